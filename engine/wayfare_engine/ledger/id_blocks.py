"""Dense ids from journaled blocks, so that no two sites or epochs ever give out the same one.

A block is allocated in a transaction of its own, with a row `id_block`, after the highest block
that any chain is known to have. It is used only once that row is in the store: an epoch that takes
over has read the chain to its end and starts behind it, and a block that it did not find there was
never used. Ids of a block that were not handed out when its process, site or epoch ended are a
hole; none is ever given out twice.

    reserve(connection, 50_000, site="east", epoch=3, ids=new_id, at=now(), sealed=wait)
    with connection.transaction():
        ranges = take(connection, 50_000, site="east", epoch=3)

Replay of a row: `APPLY` with (site, epoch, first, size). What came by replay is handed out no
further, also not at the site that allocated it: how far it came is not in the chain.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection, Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.errors import SaidToPeople
from wayfare_engine.ledger import bodies, fence
from wayfare_engine.ledger.append import append_rows
from wayfare_engine.ledger.row import Kind, LedgerRow

#: Dense ids are uint32.
LIMIT = 2**32
#: What a block holds at least, so that small imports do not make a block each.
SMALLEST = 10_000
_LOCK = 0x57494442  # "WIDB"

APPLY = (
    "INSERT INTO wayfare.id_blocks (site, epoch, first, size, next, sealed) "
    "VALUES (%s, %s, %s, %s, %s, true) "
    "ON CONFLICT (site, epoch, first) DO UPDATE SET sealed = true WHERE NOT id_blocks.sealed"
)

allocating = crash_point("ledger.id_block.allocating", "a block's transaction is about to commit")
allocated = crash_point("ledger.id_block.allocated", "the block and its row are committed")
in_store = crash_point("ledger.id_block.in_store", "the block's row is in the store")


@dataclass(eq=False)
class TooFewIds(SaidToPeople):
    """Fewer ids are left in usable blocks than were asked for: reserve them first."""

    wanted: int
    left: int

    def __str__(self) -> str:
        return (
            f"{self.wanted} ids are needed and {self.left} are left in blocks that may be used; "
            "reserve a block first, and wait until its row is in the object store"
        )


@dataclass(eq=False)
class IdsExhausted(SaidToPeople):
    """The numbers themselves are used up."""

    def __str__(self) -> str:
        return f"all {LIMIT} ids of customers are used up; no more customers can be added"


@dataclass(eq=False)
class BlockNotSealed(SaidToPeople):
    """The block's row did not get into the store in time."""

    first: int

    def __str__(self) -> str:
        return (
            f"the block of ids from {self.first} is not in the object store yet, so that its ids "
            "may not be used; see `wayfare journal status` for why sealing waits, and run this "
            "again: the block is kept"
        )


_HIGHEST = "SELECT coalesce(max(first + size), 0) FROM wayfare.id_blocks"
_USED = "SELECT capacity FROM wayfare.customer_version"
_ADD = (
    "INSERT INTO wayfare.id_blocks (site, epoch, first, size, next, sealed, tx) "
    "VALUES (%s, %s, %s, %s, %s, %s, pg_current_xact_id())"
)
_LEFT = (
    "SELECT coalesce(sum(first + size - next), 0) FROM wayfare.id_blocks "
    "WHERE site = %s AND epoch = %s AND sealed"
)
_UNSEALED = (
    "SELECT first, tx::text FROM wayfare.id_blocks "
    "WHERE site = %s AND epoch = %s AND NOT sealed ORDER BY first"
)
_SEAL = "UPDATE wayfare.id_blocks SET sealed = true WHERE site = %s AND epoch = %s AND first = %s"
# Locks the blocks in their order; what another transaction takes meanwhile is waited for and seen.
_USABLE = (
    "SELECT first, size, next FROM wayfare.id_blocks WHERE site = %s AND epoch = %s AND sealed "
    "AND next < first + size ORDER BY first FOR UPDATE"
)
_ADVANCE = "UPDATE wayfare.id_blocks SET next = %s WHERE site = %s AND epoch = %s AND first = %s"


def take(connection: Connection[Any], count: int, *, site: str, epoch: int) -> list[range]:
    """`count` ids of this site's usable blocks, in the caller's transaction.

    A transaction that rolls back gives them back, which is no reuse: nothing was committed with
    them. Raises TooFewIds; StaleEpoch when the epoch is over.
    """
    with connection.transaction():
        fence.enter(connection, epoch)
        usable = connection.execute(_USABLE, (site, epoch)).fetchall()
        ranges, moves = _divide(usable, count)
        for first, following in moves:
            connection.execute(_ADVANCE, (following, site, epoch, first))
    return ranges


async def take_async(
    connection: AsyncConnection[Any], count: int, *, site: str, epoch: int
) -> list[range]:
    """`take` for asyncio."""
    async with connection.transaction():
        await fence.enter_async(connection, epoch)
        usable = await (await connection.execute(_USABLE, (site, epoch))).fetchall()
        ranges, moves = _divide(usable, count)
        for first, following in moves:
            await connection.execute(_ADVANCE, (following, site, epoch, first))
    return ranges


def reserve(
    connection: Connection[Any],
    count: int,
    *,
    site: str,
    epoch: int,
    ids: Callable[[], uuid.UUID],
    at: datetime,
    sealed: Callable[[int], bool] | None,
) -> None:
    """See to it that `count` ids can be taken. `connection` is in autocommit mode, and waits are
    long: asyncio calls this in a thread.

    `sealed(tx)` waits until what transaction `tx` wrote is in the store, and says whether it is;
    None where no store is configured: then a block is usable at once. A block that an earlier
    process allocated and did not see sealed is taken up again. Raises BlockNotSealed,
    IdsExhausted, StaleEpoch.
    """
    _require_autocommit(connection.autocommit)
    for first, tx in connection.execute(_UNSEALED, (site, epoch)).fetchall():
        _confirm(connection, site, epoch, first, int(tx or 0), sealed)
    left = int(_one(connection.execute(_LEFT, (site, epoch)).fetchone()))
    if left >= count:
        return
    with connection.transaction():
        fence.enter(connection, epoch)
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        known = [_one(connection.execute(query).fetchone()) for query in (_HIGHEST, _USED)]
        first, size = _place(known, count - left)
        connection.execute(_ADD, (site, epoch, first, size, first, sealed is None))
        append_rows(connection, [_row(site, epoch, first, size, ids(), at)])
        tx = int(_one(connection.execute("SELECT pg_current_xact_id()::text").fetchone()))
        allocating()
    allocated()
    if sealed is not None:
        _confirm(connection, site, epoch, first, tx, sealed)


def _confirm(
    connection: Connection[Any],
    site: str,
    epoch: int,
    first: int,
    tx: int,
    sealed: Callable[[int], bool] | None,
) -> None:
    if sealed is not None and not sealed(tx):
        raise BlockNotSealed(first)
    in_store()
    connection.execute(_SEAL, (site, epoch, first))


def _place(known: list[Any], count: int) -> tuple[int, int]:
    """Where the next block starts, and its size."""
    first = max(int(one) for one in known)
    size = min(max(count, SMALLEST), LIMIT - first)
    if size < count:
        raise IdsExhausted
    return first, size


def _divide(usable: list[tuple[Any, ...]], count: int) -> tuple[list[range], list[tuple[int, int]]]:
    """Ranges that have `count` ids, and each touched block's (first, next)."""
    left = sum(first + size - following for first, size, following in usable)
    if left < count:
        raise TooFewIds(count, left)
    ranges: list[range] = []
    moves: list[tuple[int, int]] = []
    for first, size, following in usable:
        if count == 0:
            break
        taken = min(count, first + size - following)
        ranges.append(range(following, following + taken))
        moves.append((first, following + taken))
        count -= taken
    return ranges, moves


def _row(
    site: str, epoch: int, first: int, size: int, row_id: uuid.UUID, at: datetime
) -> LedgerRow:
    body = bodies.encode(bodies.IdBlock(first=first, size=size))
    return LedgerRow(row_id, site, epoch, Kind.ID_BLOCK, None, None, None, at, body)


def _one(row: tuple[Any, ...] | None) -> Any:
    assert row is not None, "an aggregate returns one row"
    return row[0]


def _require_autocommit(autocommit: bool) -> None:
    if not autocommit:
        raise ValueError("a block is committed before it is used: the connection must autocommit")
