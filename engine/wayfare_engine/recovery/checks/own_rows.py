"""Rows of this database's ledger that are in no chain of the store that is looked at: what waits
for its seal; and what the clone of a drill wrote, whose chain is in a store of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from psycopg import Connection

from wayfare_engine.journal.positions import Chain
from wayfare_engine.journal.unsealed_rows import UNSEALED_IDS
from wayfare_engine.ledger import Kind, LedgerRow

_BATCH: Final = 5000
_IDS: Final = f"""
SELECT id FROM ({UNSEALED_IDS}) u UNION SELECT l.id FROM wayfare.ledger l
JOIN wayfare.sealed_epochs c ON c.site = l.site AND c.epoch = l.epoch
WHERE NOT EXISTS (SELECT FROM unnest(%(sites)s::text[], %(epochs)s::bigint[]) AS t (site, epoch)
    WHERE t.site = l.site AND t.epoch = l.epoch)
"""  # noqa: S608 - constants


def own_ids(
    connection: Connection[Any], there: Collection[Chain], kinds: Collection[Kind]
) -> set[bytes]:
    """The ids of those of some kinds; `there`: the chains of the store. Raises psycopg.Error."""
    query = f"SELECT l.id FROM ({_IDS}) o JOIN wayfare.ledger l USING (id)"  # noqa: S608
    given = _given(there) | {"kinds": [kind.value for kind in kinds]}
    found = connection.execute(f"{query} WHERE l.kind = ANY(%(kinds)s)", given).fetchall()
    return {row[0].bytes for row in found}


def own_rows(connection: Connection[Any], there: Collection[Chain]) -> Iterator[list[LedgerRow]]:
    """The rows, some at a time. Raises psycopg.Error."""
    with connection.cursor(name="own_rows") as cursor:
        cursor.execute(
            "SELECT l.id, l.site, l.epoch, l.kind, l.key, l.version, l.customer_id, l.at, "  # noqa: S608
            f"l.body::text FROM ({_IDS}) o JOIN wayfare.ledger l USING (id)",
            _given(there),
        )
        while some := cursor.fetchmany(_BATCH):
            yield [LedgerRow(*row) for row in some]


def _given(there: Collection[Chain]) -> dict[str, Any]:
    return {"sites": [site for site, _ in there], "epochs": [epoch for _, epoch in there]}
