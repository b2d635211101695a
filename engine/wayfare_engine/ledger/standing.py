"""How this site's database stands to its epoch: whether it is held here, and what a planned move
asks of the site meanwhile. The functions themselves are in migration 0020."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg
from psycopg import AsyncConnection, Connection

from wayfare_engine.ledger import fence

#: SQLSTATE of a refusal to apply where the epoch is held.
HELD_HERE = "WF003"


class State(StrEnum):
    """What a planned move asks of this site."""

    NORMAL = "Normal"
    QUIESCING = "Quiescing"  # no turns are taken any more; what is under way ends
    QUIESCED = "Quiesced"  # nobody writes under the epoch any more; the rest is sealed
    STOOD_DOWN = "StoodDown"  # this site does not act, and says so


@dataclass(frozen=True)
class Stand:
    """One look at the database. `own` is the highest epoch that was ever held here, 0 when none
    was; `run` the one that `state` is for; `leased`: there is an object store, so only who took an
    epoch holds it."""

    epoch: int
    highest_seen: int
    held: bool
    leased: bool
    own: int
    state: State
    run: str | None

    @property
    def sends(self) -> bool:
        """Whether turns may be taken, as far as the database says."""
        return self.held and self.state is State.NORMAL and self.highest_seen <= self.epoch

    @property
    def seals(self) -> bool:
        """Whether rows of this site may be in no segment yet although nothing went wrong."""
        return self.held or self.state is State.QUIESCED


_LOOK = "SELECT epoch, highest_seen, held, leased, own, state, run FROM wayfare.site_epoch"
_LEASE = "SELECT wayfare.lease_site()"
#: Writers are inside for a second at most.
_PATIENCE = "SET LOCAL lock_timeout = '5s'"
_RAISE = "SELECT wayfare.raise_epoch(%s, false)"


def stand(connection: Connection[Any]) -> Stand:
    """Where this database stands."""
    return _stand(connection.execute(_LOOK).fetchone())


async def stand_async(connection: AsyncConnection[Any]) -> Stand:
    """`stand` for asyncio."""
    return _stand(await (await connection.execute(_LOOK)).fetchone())


def lease_site(connection: Connection[Any]) -> None:
    """Say that there is an object store: a database that never took its epoch does not hold it."""
    connection.execute(_LEASE)


async def lease_site_async(connection: AsyncConnection[Any]) -> None:
    """`lease_site` for asyncio."""
    await connection.execute(_LEASE)


def give_up(connection: Connection[Any], epoch: int) -> bool:
    """Another site holds `epoch`: nobody writes here any more, once those inside have ended. False
    when this database is past that epoch. Raises psycopg.Error while a writer does not end."""
    try:
        with connection.transaction(), fence.refusals(epoch):
            connection.execute(_PATIENCE)
            connection.execute(_RAISE, (epoch,))
    except fence.StaleEpoch:
        return False
    return True


async def give_up_async(connection: AsyncConnection[Any], epoch: int) -> bool:
    """`give_up` for asyncio."""
    try:
        async with connection.transaction():
            with fence.refusals(epoch):
                await connection.execute(_PATIENCE)
                await connection.execute(_RAISE, (epoch,))
    except fence.StaleEpoch:
        return False
    return True


def enter_standby(connection: Connection[Any]) -> bool:
    """For the rest of the transaction this site does not come to hold its epoch; False, and the
    transaction is of no use any more, when it holds it."""
    try:
        connection.execute("SELECT wayfare.enter_standby()")
    except psycopg.Error as error:
        if error.sqlstate != HELD_HERE:
            raise
        return False
    return True


def _stand(row: Any) -> Stand:
    assert row is not None, "migrations put exactly one row here"
    epoch, highest, held, leased, own, state, run = row
    return Stand(int(epoch), int(highest), bool(held), bool(leased), int(own), State(state), run)
