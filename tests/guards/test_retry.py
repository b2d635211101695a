"""The budget of retries, and the pause before one."""

from __future__ import annotations

import threading
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import Retrying, stop_after_attempt

from tests.guards.clock import Clock
from wayfare_engine.guards import BadLimit, FullJitter, RetryBudget, Spent


def test_a_tenth_of_the_calls_may_be_retried() -> None:
    budget = RetryBudget(clock=Clock(), ratio=0.1, floor=0.0)
    for _ in range(100):
        budget.called()
    assert [budget.may_retry() for _ in range(12)] == [True] * 10 + [False] * 2
    assert budget.spent() == Spent(100, 10, 10.0)


def test_few_calls_have_the_floor() -> None:
    budget = RetryBudget(clock=Clock(), ratio=0.1, floor=0.2, window=10.0)
    assert [budget.may_retry() for _ in range(3)] == [True, True, False]


def test_calls_and_retries_are_forgotten_after_the_window() -> None:
    clock = Clock()
    budget = RetryBudget(clock=clock, ratio=0.5, floor=0.0, window=10.0)
    for _ in range(4):
        budget.called()
    assert budget.may_retry()
    clock.pass_(10.0)
    assert budget.spent() == Spent(0, 0, 0.0)
    assert not budget.may_retry()


def test_nothing_is_retried_with_a_budget_of_nothing() -> None:
    budget = RetryBudget(clock=Clock(), ratio=0.0, floor=0.0)
    budget.called()
    assert not budget.may_retry()


@given(
    ratio=st.sampled_from([0.0, 0.1, 0.25, 1.0]),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=80),
)
def test_a_retry_never_exceeds_the_ratio_and_is_never_refused_below_it(
    ratio: float, steps: list[tuple[bool, int]]
) -> None:
    clock = Clock()
    budget = RetryBudget(clock=clock, ratio=ratio, floor=0.2, window=10.0)
    calls: list[float] = []
    retries: list[float] = []
    for is_call, pause in steps:
        clock.pass_(float(pause))
        calls = [at for at in calls if at > clock.now - 10.0]
        retries = [at for at in retries if at > clock.now - 10.0]
        if is_call:
            budget.called()
            calls.append(clock.now)
        else:
            fits = len(retries) + 1 <= ratio * len(calls) + 2.0 + 1e-9
            assert budget.may_retry() is fits
            retries += [clock.now] if fits else []


def test_threads_together_spend_no_more_than_there_is() -> None:
    budget = RetryBudget(clock=Clock(), ratio=0.1, floor=0.0)
    granted: list[bool] = []

    def call() -> None:
        for _ in range(100):
            budget.called()

    def retry() -> None:
        granted.extend(budget.may_retry() for _ in range(100))

    for work in (call, retry):
        threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert granted.count(True) == 80


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ratio": -0.1}, "ratio is -0.1, and must be from 0 to 10"),
        ({"floor": -1.0}, "floor is -1.0, and must be from 0 to 10,000"),
        ({"window": 0.0}, "window is 0.0, and must be above 0 and at most 86,400 seconds"),
    ],
)
def test_a_nonsense_budget_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadLimit) as refused:
        RetryBudget(clock=Clock(), **fields)
    assert str(refused.value) == f"retry budget: {message}"


def test_the_ceiling_doubles_up_to_the_longest() -> None:
    jitter = FullJitter(first=1.0, longest=10.0, random=Random(1))
    assert [jitter.ceiling(n) for n in (1, 2, 3, 4, 5, 1000)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_pauses_are_spread_over_all_from_nothing_to_the_ceiling() -> None:
    jitter = FullJitter(first=1.0, longest=10.0, random=Random(1))
    pauses = [jitter.pause_after(3) for _ in range(4000)]
    assert all(0.0 <= pause <= 4.0 for pause in pauses)
    quarters = [sum(int(pause) == quarter for pause in pauses) for quarter in range(4)]
    assert all(850 < found < 1150 for found in quarters)


def test_the_same_random_source_gives_the_same_pauses() -> None:
    one, two = (FullJitter(first=1.0, longest=9.0, random=Random(7)) for _ in range(2))
    assert [one.pause_after(n) for n in range(1, 9)] == [two.pause_after(n) for n in range(1, 9)]


def test_tenacity_waits_by_it() -> None:
    slept: list[float] = []
    jitter = FullJitter(first=1.0, longest=10.0, random=Random(7))
    retrying = Retrying(wait=jitter, stop=stop_after_attempt(4), sleep=slept.append, reraise=True)

    def refuse() -> None:
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        retrying(refuse)
    again = FullJitter(first=1.0, longest=10.0, random=Random(7))
    assert slept == [again.pause_after(n) for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"first": 0.0}, "first is 0.0, and must be above 0 and at most 86,400 seconds"),
        ({"longest": 0.5}, "longest is 0.5, and must be at least first (1)"),
        ({"multiplier": 0.9}, "multiplier is 0.9, and must be from 1 to 10"),
    ],
)
def test_a_nonsense_backoff_is_refused(fields: dict[str, Any], message: str) -> None:
    sound: dict[str, Any] = {"first": 1.0, "longest": 10.0, "random": Random(1)}
    with pytest.raises(BadLimit) as refused:
        FullJitter(**(sound | fields))
    assert str(refused.value) == f"backoff: {message}"


def test_attempts_are_counted_from_one() -> None:
    with pytest.raises(BadLimit, match="attempt is 0"):
        FullJitter(first=1.0, longest=10.0, random=Random(1)).pause_after(0)


def test_a_retry_that_was_taken_is_given_back_and_counts_as_a_call() -> None:
    budget = RetryBudget(clock=Clock(), ratio=0.5, floor=0.1, window=10.0)
    assert budget.left() == 1
    for _ in range(20):
        assert budget.may_retry(), "as long as they are taken, they go on"
        budget.accepted()
    assert budget.spent() == Spent(20, 0, 11.0)
    assert budget.left() == 11


def test_what_was_taken_after_the_window_is_not_counted_off() -> None:
    clock = Clock()
    budget = RetryBudget(clock=clock, ratio=0.0, floor=0.1, window=10.0)
    assert budget.may_retry()
    clock.pass_(10.0)
    budget.accepted()
    assert budget.spent() == Spent(1, 0, 1.0)
