"""The takeover estimate: its arithmetic, what is unknown in it, and the lag's budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayfare_engine.lease.terms import wait_seconds
from wayfare_operator.recovery.takeover import Facts, estimate, lease_wait

SOUND = Facts(
    ttl=12,
    clock_error=0.001,
    hand_over=5,
    wake=14,
    restore=0,
    lag_rows=1_200_000,
    rate=40_000,
    verify=8,
    objective=120,
)


def test_the_sum_can_be_followed() -> None:
    found = estimate(SOUND)
    assert found.seconds == pytest.approx(17.024 + 14 + 0 + 30 + 8, abs=0.001)
    assert found.arithmetic == (
        "wait 17.0 s (lease 12.0 s × (1 + 0.001) / (1 - 0.001) + hand-over 5.0 s) + wake 14.0 s + "
        "restore 0.0 s + lag 1,200,000 rows ÷ 40,000 rows/s = 30.0 s + verify 8.0 s = 69.0 s; "
        "objective 120.0 s"
    )
    assert found.meets(120) == "True"
    assert found.meets(60) == "False"


@given(st.floats(0.1, 600), st.floats(0, 0.1), st.floats(0, 60))
def test_the_wait_is_the_one_that_a_taker_really_waits(
    ttl: float, error: float, hand_over: float
) -> None:
    assert lease_wait(ttl, error, hand_over) == wait_seconds(ttl, error, hand_over)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"wake": None}, "wake"),
        ({"restore": None}, "restore"),
        ({"lag_rows": None}, "lag"),
        ({"rate": None}, "lag"),
        ({"rate": 0}, "lag"),
        ({"verify": None}, "verify"),
    ],
)
def test_an_unknown_part_makes_the_sum_unknown(change: dict[str, Any], name: str) -> None:
    found = estimate(replace(SOUND, **change))
    assert found.seconds is None
    assert found.unknown == (name,)
    assert "unknown, at least" in found.arithmetic
    assert found.meets(120) == "Unknown"
    # What is known is too long already.
    assert found.meets(10) == "False"


def test_a_site_that_follows_needs_no_rate_and_is_no_further_away_than_it_says() -> None:
    found = estimate(replace(SOUND, lag_rows=12, rate=None, behind=1.5))
    assert found.seconds == pytest.approx(40.524, abs=0.001)
    assert "lag 12 rows, applied as they come, 1.5 s behind" in found.arithmetic


def test_no_lag_needs_no_rate() -> None:
    found = estimate(replace(SOUND, lag_rows=0, rate=None))
    assert found.seconds == pytest.approx(39.024, abs=0.001)


def test_the_lag_has_a_budget_and_an_extra_window_comes_before_it_is_used_up() -> None:
    found = estimate(SOUND)
    assert found.budget_rows == int((120 - 17.024024 - 14 - 8) * 40_000)
    assert not found.over_budget(1_200_000)
    at_budget = estimate(replace(SOUND, lag_rows=found.budget_rows))
    assert at_budget.seconds == pytest.approx(120, abs=0.01)
    assert found.over_budget(int(found.budget_rows * 0.81))
    assert not found.over_budget(int(found.budget_rows * 0.79))


def test_where_nothing_is_left_for_the_lag_any_row_is_too_much_and_none_is_not() -> None:
    found = estimate(replace(SOUND, objective=20))
    assert found.budget_rows == 0
    assert found.over_budget(1)
    assert not found.over_budget(0)
    assert not found.over_budget(None)
