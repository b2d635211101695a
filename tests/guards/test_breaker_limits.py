"""Bounds that cannot work are refused, and the refusal says which and what it must be."""

from __future__ import annotations

import math
from typing import Any

import pytest

from wayfare_engine.guards import BadLimit, BreakerLimits


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
