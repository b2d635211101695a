"""A token bucket: so many calls in a time, and so many at once after a pause."""

from __future__ import annotations

import threading
from collections.abc import Callable

from wayfare_engine.guards.limits import Checking

#: Of one token: what adding up fractions may be wrong by.
_ROUNDING = 1e-6


class RateLimit:
    """`count` calls in `per` seconds, evenly; up to `burst` at once (None: `count`) after a pause.

    In any time of t seconds at most `burst + t * count / per` are let through. It counts the calls
    of this process: workers that share a provider's limit divide it among them. `clock` gives
    seconds that only grow. Raises BadLimit. Safe to use from several threads.
    """

    def __init__(
        self, *, count: int, per: float, clock: Callable[[], float], burst: int | None = None
    ) -> None:
        check = Checking("rate limit")
        check.count("count", count, least=1, most=10_000_000)
        check.seconds("per", per, most=31_536_000)
        self._burst = count if burst is None else burst
        check.count("burst", self._burst, least=1, most=10_000_000)
        self._a_second = count / per
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = float(self._burst)
        self._at = clock()

    def take(self) -> float:
        """Take a token: 0.0, go. Otherwise nothing was taken: seconds until there is one, if
        nobody else takes it."""
        with self._lock:
            self._fill()
            if self._tokens >= 1 - _ROUNDING:
                self._tokens = max(0.0, self._tokens - 1)
                return 0.0
            return (1 - self._tokens) / self._a_second

    def give_back(self) -> None:
        """No call was made after all."""
        with self._lock:
            self._fill()
            self._tokens = min(self._tokens + 1, float(self._burst))

    def _fill(self) -> None:
        now = self._clock()
        passed = max(0.0, now - self._at)
        self._tokens = min(self._tokens + passed * self._a_second, float(self._burst))
        self._at = now
