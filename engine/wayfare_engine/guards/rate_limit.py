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
    of this process: workers that share a provider's limit divide it among them (`share`). `clock`
    gives seconds that only grow. Raises BadLimit. Safe to use from several threads.
    """

    @classmethod
    def strict(cls, count: int, per: float, *, clock: Callable[[], float]) -> RateLimit:
        """At most `count` calls in any `per` seconds, for providers that count so: what it allows
        at once (a twentieth) is taken from what comes evenly."""
        burst = max(1, count // 20)
        return cls(count=count - burst + 1, per=per, clock=clock, burst=burst)

    def __init__(
        self, *, count: int, per: float, clock: Callable[[], float], burst: int | None = None
    ) -> None:
        check = Checking("rate limit")
        check.count("count", count, least=1, most=10_000_000)
        check.seconds("per", per, most=31_536_000)
        self._burst = count if burst is None else burst
        check.count("burst", self._burst, least=1, most=10_000_000)
        self._whole = (self._burst, count / per)
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

    def take_some(self, most: int) -> tuple[int, float]:
        """Take up to `most`: how many were taken, and, for none, seconds until there is one."""
        with self._lock:
            self._fill()
            taken = min(most, int(self._tokens + _ROUNDING))
            self._tokens = max(0.0, self._tokens - taken)
            return taken, 0.0 if taken else (1 - self._tokens) / self._a_second

    def within(self, seconds: float) -> int:
        """How many calls it lets through in the next `seconds`, if nobody took any meanwhile."""
        with self._lock:
            self._fill()
            return int(self._tokens + seconds * self._a_second + _ROUNDING)

    def share(self, part: float) -> None:
        """Let through this part of the whole, above 0 and at most 1: others have the rest."""
        check = Checking("rate limit")
        check.that(0 < part <= 1, "part", part, "above 0 and at most 1")
        with self._lock:
            self._fill()
            burst, a_second = self._whole
            self._burst, self._a_second = max(1, int(burst * part)), a_second * part
            self._tokens = min(self._tokens, float(self._burst))

    def give_back(self, tokens: int = 1) -> None:
        """So many calls were not made after all."""
        with self._lock:
            self._fill()
            self._tokens = min(self._tokens + tokens, float(self._burst))

    def _fill(self) -> None:
        now = self._clock()
        passed = max(0.0, now - self._at)
        self._tokens = min(self._tokens + passed * self._a_second, float(self._burst))
        self._at = now
