"""Rows that refer to blobs are applied by those who know what is in them.

Customers and memberships are tables of their own layer. It registers here, once, how a `load` or
`segment_refresh` row is applied from its blob, and what erasing customers means to its tables.
An applier must give the same tables in whatever order rows arrive: it skips what is older
(`customers_version`) than what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from wayfare_engine.ledger.row import Kind
from wayfare_engine.projections.problems import NoApplier


@dataclass(frozen=True)
class BlobRow:
    """A row that refers to a blob. `id` is the row's 16 bytes, `body` its JSON."""

    site: str
    epoch: int
    id: bytes
    kind: Kind
    body: str | bytes


Applier = Callable[[Connection[Any], BlobRow], None]
Eraser = Callable[[Connection[Any], Sequence[str]], None]

#: The kinds whose rows refer to blobs.
KINDS = (Kind.LOAD, Kind.SEGMENT_REFRESH)
_appliers: dict[Kind, Applier] = {}
_erasers: dict[str, Eraser] = {}


def register_applier(kind: Kind, applier: Applier) -> None:
    """`applier(connection, row)` runs in the transaction that applies the row."""
    _appliers[kind] = applier


def register_eraser(name: str, eraser: Eraser) -> None:
    """`eraser(connection, customers)` runs in the transaction that applies an erasure."""
    _erasers[name] = eraser


def apply_blob(connection: Connection[Any], row: BlobRow) -> None:
    """Apply one row by its blob. Raises NoApplier, and what the applier raises."""
    applier = _appliers.get(row.kind)
    if applier is None:
        raise NoApplier(row.kind.value)
    applier(connection, row)


def has_erasers() -> bool:
    """Whether an erasure needs a blocking connection."""
    return bool(_erasers)


def erase(connection: Connection[Any], customers: Sequence[str]) -> None:
    """Tell every registered eraser."""
    for eraser in _erasers.values():
        eraser(connection, customers)
