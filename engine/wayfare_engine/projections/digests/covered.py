"""Which tables and columns a digest covers: those that are the same at every database that was
brought to the same positions of the same chains.

Not covered: tables of one database alone (`journal.snapshot_tables.LOCAL` says why of each), and
what stands below. A test compares these lists with the schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wayfare_engine.projections.declared import PROJECTIONS


@dataclass(frozen=True)
class Covered:
    """A table: its key's columns, and all that are hashed, the key's first."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]


#: Tables that chains bring and a site changes by itself, with the reason.
NOT_COVERED: Final[dict[str, str]] = {
    "segment_memberships": "each site removes those that no plan in use there names, and times "
    "how long it took to compute them",
}

#: Columns of covered tables that are of one database alone, with the reason.
LOCAL_COLUMNS: Final[dict[str, dict[str, str]]] = {
    "customer_version": {"previous_blob": "which version was here before, for pods that load it"},
    "id_blocks": {
        "next": "how many ids were handed out here",
        "sealed": "whether this site may hand them out",
        "tx": "a transaction of this database",
    },
}

_BESIDE: Final = (
    Covered("customer_schema", ("name",), ("name", "type", "position", "sensitive")),
    Covered(
        "customer_version",
        ("single",),
        ("single", "version", "customers", "capacity", "epoch", "blob"),
    ),
    Covered("id_blocks", ("site", "epoch", "first"), ("site", "epoch", "first", "size")),
)

#: By name, in the order of names.
COVERED: Final[dict[str, Covered]] = {
    table.name: table
    for table in sorted(
        (
            *(
                Covered(
                    projection.name,
                    tuple(column.name for column in projection.key),
                    tuple(column.name for column in projection.columns),
                )
                for projection in PROJECTIONS
            ),
            *_BESIDE,
        ),
        key=lambda table: table.name,
    )
}
