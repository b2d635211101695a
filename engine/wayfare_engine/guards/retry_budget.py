"""Retries may be a share of all calls, so that a channel that fails is not called ever more.

Three tries of every send treble the load just when there is too much of it. A budget over all sends
bounds that: with a ratio of 0.1 the load grows by a tenth at most, whatever the tries of one send.

Sources: Finagle's `RetryBudget` (a ratio of the calls in a window of some seconds, on top of a
least number a second; https://finagle.github.io/blog/2016/02/08/retry-budgets), and the per-client
retry budget of 10 % in "Site Reliability Engineering", chapter 21, "Handling Overload"
(https://sre.google/sre-book/handling-overload/).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from wayfare_engine.guards.limits import Checking

_BUCKETS = 10


@dataclass(frozen=True, slots=True)
class Spent:
    """What is in the window: first calls, retries, and how many retries these calls allow."""

    calls: int
    retries: int
    allowed: float


class RetryBudget:
    """Over the last `window` seconds: retries <= `ratio` * first calls + `floor` * `window`.

    `floor`, in retries a second, is for channels with few calls. It is kept in steps of a tenth of
    the window. `clock` gives seconds that only grow. Raises BadLimit. Safe to use from several
    threads.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        ratio: float = 0.1,
        floor: float = 1.0,
        window: float = 10.0,
    ) -> None:
        check = Checking("retry budget")
        check.number("ratio", ratio, least=0, most=10)
        check.number("floor", floor, least=0, most=10_000)
        check.seconds("window", window, most=86_400)
        self._clock = clock
        self._ratio = ratio
        self._floor = floor * window
        self._window = window
        self._lock = threading.Lock()
        # Of each bucket: when it began, calls, retries.
        self._buckets: deque[list[float]] = deque()
        self._calls = self._retries = 0

    def called(self) -> None:
        """A first call was made, or is about to be."""
        with self._lock:
            self._bucket()[1] += 1
            self._calls += 1

    def may_retry(self) -> bool:
        """Whether a retry may be made now; it is counted as made then."""
        with self._lock:
            bucket = self._bucket()
            # A little more for sums of fractions: 0.1 * 10 calls are 1 retry.
            if self._retries + 1 > self._ratio * self._calls + self._floor + 1e-9:
                return False
            bucket[2] += 1
            self._retries += 1
            return True

    def accepted(self) -> None:
        """A retry was taken: the provider is well, and it was no more load than a first call. It
        counts as one, so that what waited through an outage leaves soon after it."""
        with self._lock:
            bucket = self._bucket()
            bucket[1] += 1
            self._calls += 1
            if self._retries:
                self._retries -= 1
                # The oldest that is left: the window forgets it first.
                next(one for one in self._buckets if one[2])[2] -= 1

    def left(self) -> int:
        """How many retries may be made now."""
        spent = self.spent()
        return max(0, int(spent.allowed - spent.retries + 1e-9))

    def spent(self) -> Spent:
        """What is in the window now."""
        with self._lock:
            self._bucket()
            allowed = self._ratio * self._calls + self._floor
            return Spent(self._calls, self._retries, allowed)

    def _bucket(self) -> list[float]:
        now, buckets = self._clock(), self._buckets
        while buckets and buckets[0][0] <= now - self._window:
            _, calls, retries = buckets.popleft()
            self._calls -= int(calls)
            self._retries -= int(retries)
        if not buckets or now - buckets[-1][0] >= self._window / _BUCKETS:
            buckets.append([now, 0, 0])
        return buckets[-1]
