"""Waiting for the journal, for as many callers as there are: one question to PostgreSQL for all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

import psycopg
import structlog

from wayfare_engine.journal.waiting import journaled_among
from wayfare_engine.store.postgresql import Away, Postgresql

log = structlog.get_logger(__name__)

#: A notification can be lost with its connection; then this is the pause between two looks.
_LOOK_AGAIN_SECONDS = 1.0
Place = tuple[int, int | None]


class JournalWatch:
    """Who waits for which (transaction, epoch). Used from one event loop; `heard` is called
    whenever something was sealed (the channel `SEALED`)."""

    def __init__(self, postgresql: Postgresql) -> None:
        self._postgresql = postgresql
        self._waiting: dict[Place, list[asyncio.Future[None]]] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def heard(self) -> None:
        """Look now."""
        self._news.set()

    def start(self) -> None:
        """Start the task that asks."""
        self._task = asyncio.create_task(self._run(), name="journaled")

    async def stop(self) -> None:
        """End it; who waits is left to their time limits."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def wait(self, places: Iterable[Place], seconds: float) -> bool:
        """Wait until the rows of all these transactions are in the store, at most `seconds`."""
        told: list[asyncio.Future[None]] = []
        for place in set(places):
            told.append(asyncio.get_running_loop().create_future())
            self._waiting.setdefault(place, []).append(told[-1])
        if not told:
            return True
        self._news.set()
        _, left = await asyncio.wait(told, timeout=seconds)
        for one in left:
            one.cancel()
        return not left

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _LOOK_AGAIN_SECONDS)
            self._news.clear()
            self._forget()
            if not self._waiting:
                continue
            try:
                async with self._postgresql.connection() as connection:
                    found = await journaled_among(connection, list(self._waiting))
            except (*Away, psycopg.Error) as error:
                log.info("journaled.store_away", error=type(error).__name__)
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                continue
            for place in found:
                _tell(self._waiting.pop(place, ()))

    def _forget(self) -> None:
        for place in [p for p, who in self._waiting.items() if all(one.done() for one in who)]:
            del self._waiting[place]


def _tell(waiting: Iterable[asyncio.Future[Any]]) -> None:
    for one in waiting:
        if not one.done():
            one.set_result(None)
