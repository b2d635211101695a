"""A serving pod's view of the epoch: what its rows are written under, whether this site acts, and
its own hold on the lease for what it gives away itself, sends that are pulled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from wayfare_engine.lease.right import terms_of
from wayfare_engine.lease.site import Answer, SiteRight
from wayfare_engine.ledger.standing import Stand, give_up_async, stand_async
from wayfare_engine.settings import Settings
from wayfare_engine.store.postgresql import Away, Postgresql

log = structlog.get_logger(__name__)

_REMEMBERED = "SELECT epoch FROM wayfare.epochs_taken WHERE plan = %s AND step = 'Acting'"


class Acting:
    """Follows the database's epoch and checks the lease. Used from one event loop.

    `told` hears under which epoch rows are made from now on, with each change: the present one, the
    last that was held here while another site holds it (such rows are put aside for the merge), or
    0 where none ever was. Without an object store there is no other site and no lease: the
    database's word is enough.
    """

    def __init__(
        self,
        settings: Settings,
        postgresql: Postgresql,
        *,
        told: Callable[[int], None] = lambda epoch: None,
    ) -> None:
        self._settings = settings
        self._postgresql = postgresql
        self._told = told
        self._right = SiteRight(settings)
        self._wanted = asyncio.Event()
        self._asked = asyncio.Event()
        self._answer = self._right.answer()
        self._within = terms_of(settings).carried

    @property
    def epoch(self) -> int:
        """The epoch that this site's database is at; 0 before it was asked."""
        stand = self._right.stand
        return 0 if stand is None else stand.epoch

    @property
    def within(self) -> float:
        """H less clock errors: seconds that what this pod gives away may be under way."""
        return self._within

    @property
    def degraded(self) -> tuple[str, ...]:
        """What decisions do without as of the last look: `lease` while sends are held because the
        store does not answer, `epoch` while another site holds it."""
        if self._right.stand is None or self._answer.sends == "open":
            return ()
        if not self._right.stand.held:
            return ("epoch",)
        return ("lease",) if self._answer.reason == "StoreAway" else ()

    def may_send(self) -> float:
        """Seconds that the right to act lasts; 0.0 when there is none."""
        return self._right.may_send()

    def answer(self) -> Answer:
        """Whether this site acts, now."""
        return self._right.answer()

    def heard(self) -> None:
        """The epoch, or what is asked of this site, has changed."""
        self._wanted.set()

    async def known(self) -> None:
        """Wait until the database was asked once."""
        await self._asked.wait()

    async def follow(self) -> None:
        """Follow the database's epoch and check the lease, until cancelled."""
        try:
            while True:
                self._wanted.clear()
                with contextlib.suppress(*Away, psycopg.Error):
                    async with self._postgresql.connection() as connection:
                        await self._look(connection)
                self._tell()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wanted.wait(), self._settings.poll_seconds)
        finally:
            self._right.stop()

    async def _look(self, connection: AsyncConnection[Any]) -> None:
        lost_to = self._right.lost_to
        # Nobody at this site writes under an epoch that another one took from it.
        if (
            lost_to is not None
            and lost_to.epoch > self.epoch
            and await give_up_async(connection, lost_to.epoch)
        ):
            log.warning("epoch.lost", epoch=lost_to.epoch, holder=lost_to.site)
        found = await stand_async(connection)
        remembered: set[int] = set()
        if found != self._right.stand:
            cursor = await connection.execute(_REMEMBERED, (self._settings.recovery_plan,))
            remembered = {int(epoch) for (epoch,) in await cursor.fetchall()}
        before = self._right.stand
        self._right.follow(found, remembered.__contains__)
        if before is None or _written(before) != _written(found):
            self._told(_written(found))
        self._asked.set()

    def _tell(self) -> None:
        now = self._right.answer()
        if (now.reason, now.holder) != (self._answer.reason, self._answer.holder):
            log.info("acting.changed", epoch=self.epoch, active=now.active, why=now.why)
        self._answer = now


def _written(stand: Stand) -> int:
    """The epoch that rows are made under."""
    return stand.epoch if stand.held else stand.own
