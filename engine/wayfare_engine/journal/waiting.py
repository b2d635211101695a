"""Waiting until what a transaction wrote is in the store: `ack=journaled`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from psycopg import AsyncConnection, Connection, sql

from wayfare_engine.store import channels

_LISTEN = sql.SQL("LISTEN {}").format(sql.Identifier(channels.SEALED))
_SEALED = (
    "SELECT EXISTS (SELECT FROM wayfare.seal_intents WHERE from_tx <= %(tx)s::text::xid8 "
    "AND to_tx >= %(tx)s::text::xid8 AND sealed_at IS NOT NULL "
    "AND (%(epoch)s::bigint IS NULL OR epoch = %(epoch)s))"
)
_AMONG = (
    "SELECT given.tx, given.epoch FROM unnest(%s::text[], %s::bigint[]) AS given (tx, epoch) "
    "WHERE EXISTS (SELECT FROM wayfare.seal_intents s WHERE s.from_tx <= given.tx::xid8 "
    "AND s.to_tx >= given.tx::xid8 AND s.sealed_at IS NOT NULL "
    "AND (given.epoch IS NULL OR s.epoch = given.epoch))"
)
#: A notification can be missed when the connection was lost and made anew; then this is the pause.
_LOOK_AGAIN_SECONDS = 1.0


def journaled(connection: Connection[Any], tx: int, *, epoch: int | None = None) -> bool:
    """Whether the ledger rows of transaction `tx` are in a segment that is in the store.

    `epoch` is the one that they were written under; it may be left out where rows of only one
    epoch are written at a time.
    """
    # model: JOURNALED
    row = connection.execute(_SEALED, {"tx": str(tx), "epoch": epoch}).fetchone()
    return row is not None and bool(row[0])


async def journaled_among(
    connection: AsyncConnection[Any], places: Sequence[tuple[int, int | None]]
) -> list[tuple[int, int | None]]:
    """Those of these (transaction, epoch) for which `journaled` is true."""
    cursor = await connection.execute(
        _AMONG, ([str(tx) for tx, _ in places], [epoch for _, epoch in places])
    )
    return [(int(tx), epoch) for tx, epoch in await cursor.fetchall()]


def wait_journaled(
    connection: Connection[Any],
    tx: int,
    seconds: float,
    *,
    epoch: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Wait until `journaled`, at most `seconds`; whether it is.

    `connection` is direct (no transaction pooler), autocommits, and is used by nobody else
    meanwhile. It goes on listening afterwards, which makes the next wait cheaper. Raises
    psycopg.Error.
    """
    deadline = clock() + seconds
    connection.execute(_LISTEN)
    while not journaled(connection, tx, epoch=epoch):
        left = deadline - clock()
        if left <= 0:
            return False
        for _ in connection.notifies(timeout=min(left, _LOOK_AGAIN_SECONDS), stop_after=1):
            pass
    return True


async def wait_journaled_async(
    connection: AsyncConnection[Any],
    tx: int,
    seconds: float,
    *,
    epoch: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """`wait_journaled` for asyncio."""
    deadline = clock() + seconds
    await connection.execute(_LISTEN)
    while True:
        cursor = await connection.execute(_SEALED, {"tx": str(tx), "epoch": epoch})
        row = await cursor.fetchone()
        if row is not None and row[0]:
            return True
        left = deadline - clock()
        if left <= 0:
            return False
        wait = min(left, _LOOK_AGAIN_SECONDS)
        async for _ in connection.notifies(timeout=wait, stop_after=1):
            pass
