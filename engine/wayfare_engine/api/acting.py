"""A serving pod's own hold on the epoch, for what it gives away itself: sends that are pulled."""

from __future__ import annotations

import asyncio
import contextlib
import math

import psycopg
import structlog
from psycopg import AsyncConnection

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.lease import open_lease_store
from wayfare_engine.lease.right import Leased, terms_of
from wayfare_engine.settings import Settings
from wayfare_engine.store.postgresql import Away, Postgresql

log = structlog.get_logger(__name__)

_EPOCH = "SELECT epoch, held FROM wayfare.site_epoch"


class Acting:
    """Which epoch this pod may act under, by its own checks of the lease.

    Without an object store there is no other site and no lease: the database's word is enough.
    """

    def __init__(self, settings: Settings, postgresql: Postgresql) -> None:
        self._settings = settings
        self._postgresql = postgresql
        self._leased = settings.object_store_url is not None
        self._epoch = 0
        self._held = False
        self._right: Leased | None = None

    @property
    def epoch(self) -> int:
        """The epoch that this site's database is at; 0 before it was asked."""
        return self._epoch

    @property
    def within(self) -> float:
        """H less clock errors: seconds that what this pod gives away may be under way."""
        return terms_of(self._settings).carried

    def may_send(self) -> float:
        """Seconds that the right to act lasts; 0.0 when there is none."""
        if not self._held:
            return 0.0
        if not self._leased:
            return math.inf
        right = self._right
        return right.may_send() if right is not None else 0.0

    async def follow(self) -> None:
        """Follow the database's epoch and check the lease, until cancelled."""
        try:
            while True:
                with contextlib.suppress(*Away, psycopg.Error):
                    async with self._postgresql.connection() as connection:
                        await self._look(connection)
                await asyncio.sleep(self._settings.poll_seconds)
        finally:
            self._let_go()

    async def _look(self, connection: AsyncConnection[object]) -> None:
        found = await (await connection.execute(_EPOCH)).fetchone()
        epoch, held = (int(found[0]), bool(found[1])) if found else (0, False)  # type: ignore[index]
        if self._leased and (epoch != self._epoch or (held and self._right is None)):
            self._let_go()
            if held:
                self._hold(epoch)
        self._epoch, self._held = epoch, held

    def _hold(self, epoch: int) -> None:
        settings = self._settings
        assert settings.object_store_url is not None
        try:
            store = open_lease_store(settings.object_store_url, ttl=settings.lease_ttl_seconds)
        except SaidToPeople as error:
            log.error("acting.no_store", error=str(error))
            return
        self._right = Leased(store, settings, epoch)

    def _let_go(self) -> None:
        right, self._right = self._right, None
        if right is not None:
            right.stop()
