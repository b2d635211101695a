"""Rows and what follows from them, in one transaction: the only way in which a site that acts
writes rows that change a projection. So a live database is at every moment what its rows give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection, Connection

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.ledger import LedgerRow, append, append_rows
from wayfare_engine.projections import apply_rows, apply_rows_async

#: What is wrong with rows themselves, as opposed to where they are written. StaleEpoch is said to
#: people too, and is told apart first.
REFUSALS = (
    *(psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded),
    *(SaidToPeople, ValueError),
)
_TRANSACTION = "SELECT pg_current_xact_id()::text"


def record(connection: Connection[Any], rows: Sequence[LedgerRow]) -> int:
    """Write the rows and what follows from them, in the transaction that is open (or their own).

    Returns the transaction's id, by which the journal can be asked whether they are in the store.
    Raises StaleEpoch when the epoch is over at this database, RowDamaged for a row that cannot be
    applied, and psycopg.Error; nothing of `rows` is written then.
    """
    with connection.transaction():
        append_rows(connection, rows)
        apply_rows(connection, rows)
        found = connection.execute(_TRANSACTION).fetchone()
        assert found is not None
        return int(found[0])


async def record_async(connection: AsyncConnection[Any], rows: Sequence[LedgerRow]) -> int:
    """`record` for asyncio. Erasures are written over a blocking connection only."""
    async with connection.transaction():
        await append(connection, rows)
        await apply_rows_async(connection, rows)
        found = await (await connection.execute(_TRANSACTION)).fetchone()
        assert found is not None
        return int(found[0])
