"""How long to wait before the next try: full jitter.

    pause = random between 0 and min(longest, first * multiplier ** (attempt - 1))

Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), "Full Jitter": callers
that failed together do not come back together.
"""

from __future__ import annotations

import threading
from random import Random

from tenacity import RetryCallState, wait_exponential

from wayfare_engine.guards.limits import Checking

_LONGEST = 86_400.0


class FullJitter(wait_exponential):
    """Seconds to wait, as a `wait` of tenacity, or by itself with `pause_after`.

    The ceiling is tenacity's `wait_exponential`. Its `wait_random_exponential` is the same formula
    with the one random source of the process; here it is an argument. Raises BadLimit. Safe to use
    from several threads.
    """

    def __init__(
        self, *, first: float, longest: float, random: Random, multiplier: float = 2.0
    ) -> None:
        check = Checking("backoff")
        check.seconds("first", first, most=_LONGEST)
        check.seconds("longest", longest, most=_LONGEST)
        check.number("multiplier", multiplier, least=1, most=10)
        check.that(longest >= first, "longest", longest, f"at least first ({first:g})")
        super().__init__(multiplier=first, max=longest, exp_base=multiplier)
        self._random = random
        self._lock = threading.Lock()

    def __call__(self, retry_state: RetryCallState) -> float:
        """For tenacity: the pause after the attempt that failed."""
        ceiling = super().__call__(retry_state)
        with self._lock:
            return self._random.uniform(0.0, ceiling)

    def ceiling(self, attempt: int) -> float:
        """The longest pause after attempt number `attempt` (from 1)."""
        return float(super().__call__(_after(attempt)))

    def pause_after(self, attempt: int) -> float:
        """How long to wait after attempt number `attempt` (from 1)."""
        return self(_after(attempt))


def _after(attempt: int) -> RetryCallState:
    Checking("backoff").count("attempt", attempt, least=1, most=1_000_000_000)
    state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
    state.attempt_number = attempt
    return state
