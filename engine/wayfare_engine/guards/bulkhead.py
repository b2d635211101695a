"""So many calls at a time and so many that wait; what does not fit is refused at once.

A channel that hangs then holds up its own calls and no others: not the threads, not the memory.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from types import TracebackType

from wayfare_engine.guards.limits import Checking


@dataclass(frozen=True, slots=True)
class Full:
    """No place: how full it was. `waited`: seconds in the queue, 0.0 when that was full too."""

    name: str
    running: int
    concurrency: int
    waiting: int
    queue: int
    waited: float

    def __str__(self) -> str:
        how = f"{self.running} of {self.concurrency} run, {self.waiting} of {self.queue} wait"
        tail = f" after {self.waited:g} s in the queue" if self.waited else ""
        return f"{self.name}: no place{tail} ({how})"


class Place:
    """A place among those that run. Leave it once the call has ended; `with` does."""

    __slots__ = ("_bulkhead", "_left")

    def __init__(self, bulkhead: Bulkhead) -> None:
        self._bulkhead = bulkhead
        self._left = False

    def leave(self) -> None:
        """Give the place to the first who waits. A second time it does nothing."""
        self._bulkhead._leave(self)

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()


class _Waiter:
    __slots__ = ("called", "place")

    def __init__(self) -> None:
        self.called = threading.Event()
        self.place: Place | None = None


class Bulkhead:
    """At most `concurrency` calls run and `queue` wait, each for at most `wait` seconds, served in
    the order in which they came. Raises BadLimit. Safe to use from several threads."""

    def __init__(self, name: str, *, concurrency: int, queue: int, wait: float) -> None:
        check = Checking("bulkhead")
        check.count("concurrency", concurrency, least=1, most=10_000)
        check.count("queue", queue, least=0, most=10_000_000)
        check.seconds("wait", wait, most=86_400, zero=True)
        check.that(
            wait > 0 or queue == 0, "wait", wait, f"above 0, or nobody of the queue ({queue}) waits"
        )
        self.name = name
        self._concurrency = concurrency
        self._queue = queue
        self._wait = wait
        self._lock = threading.Lock()
        self._running = 0
        self._waiters: deque[_Waiter] = deque()

    @property
    def running(self) -> int:
        """How many run now."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._waiters)

    def enter(self, at_most: float | None = None) -> Place | Full:
        """A place, now or after waiting; `at_most`: seconds, where the caller has less time than
        `wait`. 0 or less: do not wait."""
        wait = self._wait if at_most is None else min(at_most, self._wait)
        with self._lock:
            if self._running < self._concurrency:
                self._running += 1
                return Place(self)
            if len(self._waiters) >= self._queue or wait <= 0:
                return self._full(0.0)
            waiter = _Waiter()
            self._waiters.append(waiter)
        waiter.called.wait(wait)
        with self._lock:
            # A place that came at the last moment is taken: it was taken from others.
            if waiter.place is not None:
                return waiter.place
            self._waiters.remove(waiter)
            return self._full(wait)

    def _leave(self, place: Place) -> None:
        with self._lock:
            if place._left:
                return
            place._left = True
            if self._waiters:
                first = self._waiters.popleft()
                first.place = Place(self)
                first.called.set()
            else:
                self._running -= 1

    def _full(self, waited: float) -> Full:
        waiting = len(self._waiters)
        return Full(self.name, self._running, self._concurrency, waiting, self._queue, waited)
