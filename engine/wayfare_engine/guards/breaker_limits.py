"""When a breaker opens, for how long, and what closes it again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from wayfare_engine.guards.limits import Checking
from wayfare_engine.guards.states import Counts
from wayfare_engine.resources import parse_duration
from wayfare_engine.resources.channel import Breaker as Spec

_LONGEST = 86_400.0


@dataclass(frozen=True)
class BreakerLimits:
    """All times in seconds. Raises BadLimit for what cannot work.

    It opens when at least `minimum_calls` are in the window, and `failure_percent` of them failed
    or `slow_percent` were slower than `slow_after` (None: slowness does not matter). The window is
    the last `window` seconds, and of these the last `window_calls` calls where that is given; it
    forgets in steps of one of `buckets`.

    Open lasts `open_for`, times `open_growth` each time a trial failed, at most `longest_open`.
    `trial_calls` probes in a row must succeed; a probe that nobody reports on within `probe_lease`
    is given to another caller, so it should be longer than any call takes.
    """

    failure_percent: int = 50
    window: float = 30.0
    minimum_calls: int = 20
    open_for: float = 30.0
    trial_calls: int = 3
    slow_after: float | None = None
    slow_percent: int = 50
    longest_open: float = 600.0
    open_growth: float = 2.0
    probe_lease: float = 60.0
    window_calls: int | None = None
    buckets: int = 10

    def __post_init__(self) -> None:
        check = Checking("breaker")
        check.count("failure_percent", self.failure_percent, least=1, most=100)
        check.seconds("window", self.window, most=_LONGEST)
        check.count("minimum_calls", self.minimum_calls, least=1, most=100_000)
        check.seconds("open_for", self.open_for, most=_LONGEST)
        check.count("trial_calls", self.trial_calls, least=1, most=1000)
        if self.slow_after is not None:
            check.seconds("slow_after", self.slow_after, most=_LONGEST)
        check.count("slow_percent", self.slow_percent, least=1, most=100)
        check.seconds("longest_open", self.longest_open, most=_LONGEST)
        check.that(
            self.longest_open >= self.open_for,
            "longest_open",
            self.longest_open,
            f"at least open_for ({self.open_for:g})",
        )
        check.number("open_growth", self.open_growth, least=1, most=10)
        check.seconds("probe_lease", self.probe_lease, most=_LONGEST)
        check.count("buckets", self.buckets, least=1, most=100)
        if self.window_calls is not None:
            check.count("window_calls", self.window_calls, least=1, most=10_000_000)
            check.that(
                self.window_calls >= self.minimum_calls,
                "window_calls",
                self.window_calls,
                f"at least minimum_calls ({self.minimum_calls}), or it never opens",
            )

    @classmethod
    def of(cls, spec: Spec, *, call_seconds: float) -> Self:
        """As a Channel says. `call_seconds` is the longest time of one call: a probe that nobody
        reports on for twice as long is given to another caller. Raises BadLimit."""
        open_for = _seconds(spec.open_for)
        return cls(
            failure_percent=spec.failure_percent,
            window=_seconds(spec.window),
            minimum_calls=spec.minimum_calls,
            open_for=open_for,
            trial_calls=spec.trial_calls,
            slow_after=None if spec.slow_after is None else _seconds(spec.slow_after),
            slow_percent=spec.slow_percent,
            # A channel that was written before there was a limit may be open for longer.
            longest_open=max(open_for, _seconds(spec.longest_open)),
            probe_lease=2 * call_seconds,
        )

    @property
    def slice(self) -> float:
        """Seconds of one bucket."""
        return self.window / self.buckets

    @property
    def calls_per_bucket(self) -> float:
        """Calls after which a bucket is full."""
        return math.inf if self.window_calls is None else -(-self.window_calls // self.buckets)

    def open_time(self, reopened: int) -> float:
        """Seconds of open, after a trial failed `reopened` times in a row."""
        # Large exponents overflow, and would end at the limit anyway.
        return min(self.open_for * self.open_growth ** min(reopened, 64), self.longest_open)

    def is_slow(self, seconds: float) -> bool:
        """Whether a call that succeeded after `seconds` counts as slow."""
        return self.slow_after is not None and seconds > self.slow_after

    def why_open(self, counts: Counts) -> str | None:
        """Why a window with these counts opens the breaker, in words; None: it does not."""
        if counts.calls < self.minimum_calls:
            return None
        if 100 * counts.failures >= self.failure_percent * counts.calls:
            return f"{counts.failures} of {counts.calls} calls failed"
        if self.slow_after is not None and 100 * counts.slow >= self.slow_percent * counts.calls:
            return f"{counts.slow} of {counts.calls} calls took longer than {self.slow_after:g} s"
        return None


def _seconds(duration: str) -> float:
    return parse_duration(duration).total_seconds()
