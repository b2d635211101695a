"""Bounds that cannot work are refused, and the refusal says which and what it must be."""

from __future__ import annotations

import math
from typing import Any

import pytest

from wayfare_engine.guards import BadLimit, BreakerLimits, Manual
from wayfare_engine.resources.channel import Breaker as Spec


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"failure_percent": 0}, "failure_percent is 0, and must be a whole number from 1 to 100"),
        ({"failure_percent": 101}, "failure_percent is 101, and must be a whole number from 1"),
        ({"failure_percent": True}, "failure_percent is True, and must be a whole number"),
        ({"window": 0.0}, "window is 0.0, and must be above 0 and at most 86,400 seconds"),
        ({"window": -1.0}, "window is -1.0, and must be above 0"),
        ({"window": math.nan}, "window is nan, and must be above 0"),
        ({"open_for": math.inf}, "open_for is inf, and must be above 0"),
        ({"minimum_calls": 0}, "minimum_calls is 0, and must be a whole number from 1 to 100,000"),
        ({"trial_calls": 0}, "trial_calls is 0"),
        ({"slow_after": 0.0}, "slow_after is 0.0"),
        ({"slow_percent": 0}, "slow_percent is 0"),
        ({"open_growth": 0.5}, "open_growth is 0.5, and must be from 1 to 10"),
        ({"probe_lease": 0.0}, "probe_lease is 0.0"),
        ({"buckets": 0}, "buckets is 0"),
        (
            {"open_for": 30.0, "longest_open": 20.0},
            "longest_open is 20.0, and must be at least open_for (30)",
        ),
        (
            {"minimum_calls": 100, "window_calls": 50},
            "window_calls is 50, and must be at least minimum_calls (100), or it never opens",
        ),
    ],
)
def test_nonsense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadLimit) as refused:
        BreakerLimits(**fields)
    assert str(refused.value).startswith(f"breaker: {message}")
    assert refused.value.guard == "breaker"


def test_a_breaker_that_failed_a_thousand_trials_is_open_for_the_longest_time() -> None:
    assert BreakerLimits().open_time(1000) == 600.0


def test_a_channel_that_says_nothing_has_the_limits_that_stand_here() -> None:
    assert BreakerLimits.of(Spec(), call_seconds=30.0) == BreakerLimits()


def test_what_a_channel_says_becomes_limits() -> None:
    spec = Spec.model_validate(
        {"openFor": "1h", "longestOpen": "1m", "slowAfter": "250ms", "slowPercent": 80}
    )
    limits = BreakerLimits.of(spec, call_seconds=5.0)
    assert (limits.open_for, limits.longest_open) == (3600.0, 3600.0)
    assert (limits.slow_after, limits.slow_percent, limits.probe_lease) == (0.25, 80, 10.0)


def test_a_channel_with_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(BadLimit, match=r"window is 0\.0"):
        BreakerLimits.of(Spec.model_validate({"window": "0s"}), call_seconds=5.0)


def test_what_a_person_may_say_is_what_a_channel_may_say() -> None:
    for manual in Manual:
        assert Spec.model_validate({"manual": manual.value}).manual == manual.value
