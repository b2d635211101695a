"""Appending rows by binary COPY: the fence first, then the rows, in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, Connection

from wayfare_engine.ledger import fence
from wayfare_engine.ledger.row import LedgerRow

_COLUMNS = "(id, site, epoch, kind, key, version, customer_id, at, body)"
COPY = f"COPY wayfare.ledger {_COLUMNS} FROM STDIN (FORMAT BINARY)"
COPY_SPOOLED = f"COPY wayfare.spooled_rows {_COLUMNS} FROM STDIN (FORMAT BINARY)"
# `json` travels as its text in binary COPY too, so a body is never parsed on our side.
TYPES = ["uuid", "text", "int8", "text", "text", "int8", "text", "timestamptz", "text"]
#: Rows in one COPY of a writer: a transaction of a tenth of a second, and far below the second that
#: a transaction of the ledger may last (it holds the sealer's horizon back).
BATCH = 5000


async def append(connection: AsyncConnection[Any], rows: Sequence[LedgerRow]) -> None:
    """Write rows of one epoch in the connection's transaction (or one of their own).

    Raises StaleEpoch when the epoch is over at this database or another site's, psycopg.Error, and
    ValueError for rows of several epochs. No row is written then. No rows: nothing is done.
    """
    if not rows:
        return
    epoch = one_epoch(rows)
    async with connection.transaction():
        await fence.enter_async(connection, epoch)
        await copy_rows(connection, COPY, rows)


def append_rows(connection: Connection[Any], rows: Sequence[LedgerRow]) -> None:
    """`append` for synchronous connections."""
    if not rows:
        return
    epoch = one_epoch(rows)
    with connection.transaction(), connection.cursor() as cursor:
        fence.enter(connection, epoch)
        with cursor.copy(COPY) as copy:
            copy.set_types(TYPES)
            for row in rows:
                copy.write_row(row)


async def copy_rows(connection: AsyncConnection[Any], copy: str, rows: Sequence[LedgerRow]) -> None:
    """COPY rows by one of the statements above; the transaction is the caller's."""
    async with connection.cursor() as cursor, cursor.copy(copy.encode()) as stream:
        stream.set_types(TYPES)
        for row in rows:
            await stream.write_row(row)


async def present(
    connection: AsyncConnection[Any], ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, int]:
    """Those of `ids` that are in the ledger, with the transaction that wrote each."""
    cursor = await connection.execute(
        "SELECT id, tx::text FROM wayfare.ledger WHERE id = ANY(%s)", (list(ids),)
    )
    return {row[0]: int(row[1]) for row in await cursor.fetchall()}


def one_epoch(rows: Sequence[LedgerRow]) -> int:
    """The epoch that all of `rows` have. Raises ValueError."""
    epoch = rows[0].epoch
    for row in rows:
        if row.epoch != epoch:
            raise ValueError(f"rows of the epochs {epoch} and {row.epoch} in one transaction")
    return epoch
