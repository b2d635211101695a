"""So many in a time, so many at once, and how long to wait instead of sleeping."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.guards.clock import Clock
from wayfare_engine.guards import BadLimit, RateLimit


def test_a_burst_goes_and_then_it_says_how_long_to_wait() -> None:
    clock = Clock()
    limit = RateLimit(count=10, per=2.0, burst=3, clock=clock)
    assert [limit.take() for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limit.take() == pytest.approx(0.2)
    assert limit.take() == pytest.approx(0.2)  # nothing was taken
    clock.pass_(0.15)
    assert limit.take() == pytest.approx(0.05)


def test_a_long_pause_saves_no_more_than_the_burst() -> None:
    clock = Clock()
    limit = RateLimit(count=10, per=1.0, burst=3, clock=clock)
    clock.pass_(3600.0)
    assert [limit.take() == 0.0 for _ in range(4)] == [True, True, True, False]


def test_without_a_burst_of_its_own_the_whole_count_may_go_at_once() -> None:
    limit = RateLimit(count=5, per=60.0, clock=Clock())
    assert [limit.take() == 0.0 for _ in range(6)] == [True] * 5 + [False]


def test_a_call_that_was_not_made_gives_its_token_back_and_not_more() -> None:
    limit = RateLimit(count=1, per=60.0, clock=Clock())
    limit.take()
    limit.give_back()
    limit.give_back()
    assert limit.take() == 0.0
    assert limit.take() > 0


@given(
    count=st.integers(1, 1000),
    per=st.floats(0.1, 3600),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 10), max_size=40),
)
def test_in_any_time_no_more_go_than_promised_and_the_wait_is_enough(
    count: int, per: float, burst: int, pauses: list[float]
) -> None:
    clock = Clock()
    limit = RateLimit(count=count, per=per, burst=burst, clock=clock)
    went: list[float] = []
    for pause in pauses:
        clock.pass_(pause)
        wait = limit.take()
        if wait:
            clock.pass_(wait)
            assert limit.take() == 0.0
        went.append(clock.now)
    for first, start in enumerate(went):
        for last in range(first, len(went)):
            promised = burst + (went[last] - start) * count / per
            assert last - first + 1 <= promised + 0.01


def test_threads_together_take_no_more_than_there_is() -> None:
    limit = RateLimit(count=1000, per=3600.0, clock=Clock())
    went: list[bool] = []

    def take() -> None:
        went.extend(limit.take() == 0.0 for _ in range(200))

    threads = [threading.Thread(target=take, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert went.count(True) == 1000


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"count": 0}, "count is 0, and must be a whole number from 1 to 10,000,000"),
        ({"per": 0.0}, "per is 0.0, and must be above 0 and at most 31,536,000 seconds"),
        ({"burst": -1}, "burst is -1, and must be a whole number from 1 to 10,000,000"),
    ],
)
def test_nonsense_is_refused(fields: dict[str, Any], message: str) -> None:
    sound: dict[str, Any] = {"count": 1, "per": 1.0, "clock": Clock()}
    with pytest.raises(BadLimit) as refused:
        RateLimit(**(sound | fields))
    assert str(refused.value) == f"rate limit: {message}"


@given(count=st.integers(1, 500), ask=st.lists(st.integers(1, 60), max_size=60))
def test_strict_no_window_of_the_time_has_more_than_the_count(count: int, ask: list[int]) -> None:
    clock = Clock()
    limit = RateLimit.strict(count, 10.0, clock=clock)
    went: list[float] = []
    for wanted in ask:
        taken, pause = limit.take_some(wanted)
        assert bool(taken) != bool(pause)
        went += [clock.now] * taken
        clock.pass_(pause)
    # A window that does not hold its own end; a microsecond for sums of fractions.
    for start in went:
        assert sum(start <= at < start + 10.0 - 1e-6 for at in went) <= count


def test_workers_that_share_it_have_no_more_together() -> None:
    clock = Clock()
    parts = [RateLimit.strict(100, 10.0, clock=clock) for _ in range(4)]
    for part in parts:
        part.share(0.25)
    went = 0
    for _ in range(1000):
        went += sum(part.take_some(7)[0] for part in parts)
        clock.pass_(0.01)
    assert 90 <= went <= 100


def test_it_says_how_many_it_will_let_through() -> None:
    clock = Clock()
    limit = RateLimit(count=10, per=10.0, burst=3, clock=clock)
    assert [limit.within(0.0), limit.within(5.0)] == [3, 8]
    assert limit.take_some(9) == (3, 0.0)
    assert [limit.within(0.0), limit.within(5.0)] == [0, 5]
    limit.give_back(2)
    assert limit.within(0.0) == 2


@pytest.mark.parametrize("part", [0.0, 1.1])
def test_a_share_is_a_part_of_the_whole(part: float) -> None:
    with pytest.raises(BadLimit, match="part is"):
        RateLimit(count=1, per=1.0, clock=Clock()).share(part)
