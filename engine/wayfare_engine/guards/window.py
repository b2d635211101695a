"""What calls came to of late, in buckets, so that forgetting costs nothing a call."""

from __future__ import annotations

from collections import deque

from wayfare_engine.guards.breaker_limits import BreakerLimits
from wayfare_engine.guards.states import Counts, Outcome


class Window:
    """Counts of the last `window` seconds and, where bounded, of the last `window_calls` calls.

    A call is counted for at least `window` less one bucket's seconds, and not longer than `window`;
    a bound by count keeps at least `window_calls` calls and at most one bucket more. Not safe to
    use from several threads: its breaker has the lock.
    """

    def __init__(self, limits: BreakerLimits) -> None:
        self._limits = limits
        # Of each bucket: when it began, calls, failures, slow ones.
        self._buckets: deque[list[float]] = deque()
        self._calls = self._failures = self._slow = 0

    def add(self, now: float, outcome: Outcome) -> None:
        """Count a call that ended at `now`."""
        self._forget(now)
        buckets, limits = self._buckets, self._limits
        if (
            not buckets
            or now - buckets[-1][0] >= limits.slice
            or buckets[-1][1] >= limits.calls_per_bucket
        ):
            buckets.append([now, 0, 0, 0])
        bucket = buckets[-1]
        bucket[1] += 1
        self._calls += 1
        if outcome is Outcome.FAILURE:
            bucket[2] += 1
            self._failures += 1
        elif outcome is Outcome.SLOW:
            bucket[3] += 1
            self._slow += 1

    def counts(self, now: float) -> Counts:
        """What is in the window at `now`."""
        self._forget(now)
        return Counts(self._calls, self._failures, self._slow)

    def clear(self) -> None:
        """Forget everything."""
        self._buckets.clear()
        self._calls = self._failures = self._slow = 0

    def _forget(self, now: float) -> None:
        buckets, most = self._buckets, self._limits.window_calls
        while buckets and (
            buckets[0][0] <= now - self._limits.window
            or (most is not None and self._calls - buckets[0][1] >= most)
        ):
            _, calls, failures, slow = buckets.popleft()
            self._calls -= int(calls)
            self._failures -= int(failures)
            self._slow -= int(slow)
