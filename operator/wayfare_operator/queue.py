"""A keyed work queue: what events, timers and failures all end in.

A key is in the queue at most once, is worked on by one worker at a time, and comes back after a
failure with exponential backoff. Work is level-based: a key carries no event, only a name.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

K = TypeVar("K", bound=Hashable)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays after failures: `first`, doubled each time, at most `limit` seconds."""

    first: float = 0.25
    limit: float = 60.0

    def delay(self, failures: int) -> float:
        """The delay after that many failures in a row, counted from 1."""
        return float(min(self.limit, self.first * 2 ** min(failures - 1, 32)))


class WorkQueue(Generic[K]):
    """`reconcile(key)` is called for each due key; it returns seconds to come back in, or None."""

    def __init__(
        self,
        reconcile: Callable[[K], Awaitable[float | None]],
        *,
        workers: int,
        clock: Callable[[], float],
        backoff: Backoff | None = None,
        on_error: Callable[[K, Exception], None] | None = None,
        priority: Callable[[K], int] | None = None,
    ) -> None:
        """With `priority`, of the keys that are due those with the least number go first."""
        self._reconcile = reconcile
        self._workers = workers
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._on_error = on_error
        self._priority = priority or (lambda _: 0)
        self._due: dict[K, float] = {}
        self._later: list[tuple[float, int, K]] = []
        self._now: list[tuple[int, float, int, K]] = []
        self._order = itertools.count()
        self._active: set[K] = set()
        self._failures: dict[K, int] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due)

    @property
    def idle(self) -> bool:
        """True when nothing is being worked on and nothing is due now."""
        now = self._clock()
        return not self._active and all(due > now for due in self._due.values())

    def add(self, key: K, after: float = 0.0) -> None:
        """Have `key` reconciled in `after` seconds, or earlier if it already was to be."""
        due = self._clock() + after
        present = self._due.get(key)
        if present is not None and present <= due:
            return
        self._due[key] = due
        heapq.heappush(self._later, (due, next(self._order), key))
        self._wake.set()

    def forget(self, key: K) -> None:
        """Drop a key that is not worked on at the moment."""
        self._due.pop(key, None)
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """How often in a row `key` has failed."""
        return self._failures.get(key, 0)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._take()
            try:
                after = await self._reconcile(key)
            except Exception as error:
                # Any failure of one key, foreseen or not, is retried and never ends the others.
                failures = self._failures.get(key, 0) + 1
                self._failures[key] = failures
                after = self._backoff.delay(failures)
                log.warning(
                    "reconcile failed",
                    key=str(key),
                    failures=failures,
                    retry_in=after,
                    error=f"{type(error).__name__}: {error}",
                )
                if self._on_error is not None:
                    self._on_error(key, error)
            else:
                self._failures.pop(key, None)
            self._active.discard(key)
            if after is not None:
                self.add(key, after)
            self._wake.set()

    async def _take(self) -> K:
        while True:
            now = self._clock()
            while self._later and self._later[0][0] <= now:
                due, order, key = heapq.heappop(self._later)
                if self._due.get(key) == due:
                    heapq.heappush(self._now, (self._priority(key), due, order, key))
            taken = self._first_free()
            if taken is not None:
                del self._due[taken]
                self._active.add(taken)
                return taken
            self._wake.clear()
            timeout = self._later[0][0] - now if self._later else None
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _first_free(self) -> K | None:
        """The first due key that nobody works on; a busy one is woken by its worker's end."""
        busy = []
        taken: K | None = None
        while self._now and taken is None:
            item = heapq.heappop(self._now)
            _, due, _, key = item
            if self._due.get(key) != due:
                continue
            if key in self._active:
                busy.append(item)
            else:
                taken = key
        for item in busy:
            heapq.heappush(self._now, item)
        return taken
