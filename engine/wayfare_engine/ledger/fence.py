"""The epoch fence: which epoch this database writes under, and raising it.

Every transaction that writes enters its epoch first: it takes the epoch's advisory lock shared and
then compares. Raising takes the same lock exclusively, so it waits for the writers that are inside
and refuses those that come after. The functions themselves are in migration 0002.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection, Connection

from wayfare_engine.errors import SaidToPeople

#: SQLSTATE of a refusal by the fence, and of a transaction that never entered.
STALE, NOT_ENTERED = "WF001", "WF002"


@dataclass(eq=False)
class StaleEpoch(SaidToPeople):
    """Rows of `epoch` are refused: the database is at `present`, which this site holds or not."""

    epoch: int
    present: int
    held: bool

    def __str__(self) -> str:
        holder = "this site holds" if self.held else "another site holds"
        return (
            f"epoch {self.epoch} is over here: the database is at epoch {self.present}, which "
            f"{holder}; nothing was written"
        )


@dataclass(frozen=True)
class SiteEpoch:
    """The epoch that this database writes under, if `held`; and the highest it ever heard of."""

    epoch: int
    highest_seen: int
    held: bool

    @property
    def active(self) -> bool:
        """Whether this site may act, as far as its database knows."""
        return self.held and self.highest_seen == self.epoch


_PRESENT = "SELECT epoch, highest_seen, held FROM wayfare.site_epoch"
_ENTER = "SELECT wayfare.enter_epoch(%s)"
_RAISE = "SELECT wayfare.raise_epoch(%s, %s)"


def enter(connection: Connection[Any], epoch: int) -> None:
    """Enter an epoch for the rest of the transaction. Raises StaleEpoch, psycopg.Error."""
    with refusals(epoch):
        connection.execute(_ENTER, (epoch,))


async def enter_async(connection: AsyncConnection[Any], epoch: int) -> None:
    """`enter` for asyncio."""
    with refusals(epoch):
        await connection.execute(_ENTER, (epoch,))


def enter_present(connection: Connection[Any]) -> int:
    """Enter whatever epoch is present, and return it. Raises StaleEpoch when it is not held."""
    with refusals(0):
        row = connection.execute("SELECT wayfare.enter_present_epoch()").fetchone()
    assert row is not None, "a function returns one row"
    return int(row[0])


async def enter_present_async(connection: AsyncConnection[Any]) -> int:
    """`enter_present` for asyncio."""
    with refusals(0):
        cursor = await connection.execute("SELECT wayfare.enter_present_epoch()")
    row = await cursor.fetchone()
    assert row is not None, "a function returns one row"
    return int(row[0])


def enter_exclusively(connection: Connection[Any]) -> int:
    """Be alone in the present epoch until the transaction ends, and return it: no writer is inside,
    and those that come wait. Set a lock_timeout before. Raises StaleEpoch, psycopg.Error."""
    before = site_epoch(connection)
    connection.execute(
        "SELECT pg_advisory_xact_lock(x'5745504f'::int, (%s::bigint %% 2147483647)::int)",
        (before.epoch,),
    )
    present = site_epoch(connection)
    if present.epoch != before.epoch or not present.held:
        raise StaleEpoch(before.epoch, present.epoch, present.held)
    return present.epoch


def site_epoch(connection: Connection[Any]) -> SiteEpoch:
    """Where this database stands."""
    row = connection.execute(_PRESENT).fetchone()
    assert row is not None, "migrations put exactly one row here"
    return SiteEpoch(int(row[0]), int(row[1]), bool(row[2]))


async def site_epoch_async(connection: AsyncConnection[Any]) -> SiteEpoch:
    """`site_epoch` for asyncio."""
    row = await (await connection.execute(_PRESENT)).fetchone()
    assert row is not None, "migrations put exactly one row here"
    return SiteEpoch(int(row[0]), int(row[1]), bool(row[2]))


def raise_epoch(connection: Connection[Any], epoch: int, *, held: bool = True) -> None:
    """Wait for the writers of the present epoch, then write under `epoch`; in one transaction.

    With `held` false another site holds it: nobody writes here. Processes hear of it on the
    channel `wayfare_epoch`. Raises StaleEpoch when `epoch` is lower than the present one.
    """
    with refusals(epoch):
        connection.execute(_RAISE, (epoch, held))


def saw_epoch(connection: Connection[Any], epoch: int) -> None:
    """Remember that there is such an epoch somewhere."""
    connection.execute("SELECT wayfare.saw_epoch(%s)", (epoch,))


@contextmanager
def refusals(epoch: int) -> Iterator[None]:
    """Turn the fence's SQLSTATE into StaleEpoch; `epoch` 0 means the present one was wanted."""
    try:
        yield
    except psycopg.Error as error:
        if error.sqlstate != STALE:
            raise
        present, _, held = (error.diag.message_detail or "0 f").partition(" ")
        raise StaleEpoch(epoch or int(present), int(present), held == "t") from None
