"""When a breaker opens, what it lets through, and when it closes again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.guards.clock import Clock
from wayfare_engine.guards import (
    Breaker,
    BreakerLimits,
    Change,
    Counts,
    Manual,
    Permit,
    Refused,
    State,
)

LIMITS = BreakerLimits(
    minimum_calls=4,
    window=10.0,
    open_for=5.0,
    longest_open=30.0,
    trial_calls=2,
    probe_lease=8.0,
    slow_after=1.0,
    slow_percent=75,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def changes() -> list[Change]:
    return []


@pytest.fixture
def breaker(clock: Clock, changes: list[Change]) -> Breaker:
    return Breaker("sms", LIMITS, clock=clock, report=changes.append)


def state(breaker: Breaker) -> State:
    return breaker.state


def permit(breaker: Breaker) -> Permit:
    given = breaker.allow()
    assert isinstance(given, Permit)
    return given


def refused(breaker: Breaker) -> Refused:
    given = breaker.allow()
    assert isinstance(given, Refused)
    return given


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.failed(permit(breaker))


def succeed(breaker: Breaker, times: int = 1, seconds: float = 0.1) -> None:
    for _ in range(times):
        breaker.succeeded(permit(breaker), seconds)


def test_it_opens_at_the_share_of_failures_and_not_before(breaker: Breaker) -> None:
    succeed(breaker, 3)
    fail(breaker, 2)
    assert state(breaker) is State.CLOSED
    fail(breaker)
    assert state(breaker) is State.OPEN


def test_it_does_not_open_on_fewer_calls_than_the_minimum(breaker: Breaker) -> None:
    fail(breaker, 3)
    assert state(breaker) is State.CLOSED
    succeed(breaker)
    assert state(breaker) is State.OPEN


def test_it_opens_when_too_many_are_slow(breaker: Breaker, changes: list[Change]) -> None:
    succeed(breaker, 1)
    succeed(breaker, 3, seconds=1.01)
    assert state(breaker) is State.OPEN
    assert changes[-1].why == "3 of 4 calls took longer than 1 s"


def test_a_call_of_just_slow_after_is_not_slow(breaker: Breaker) -> None:
    succeed(breaker, 8, seconds=1.0)
    assert breaker.counts() == Counts(calls=8)


def test_slowness_does_not_matter_where_no_limit_is_set(clock: Clock) -> None:
    breaker = Breaker("sms", replace(LIMITS, slow_after=None), clock=clock)
    succeed(breaker, 8, seconds=1e6)
    assert state(breaker) is State.CLOSED


def test_what_is_older_than_the_window_is_forgotten(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.pass_(10.0)
    fail(breaker, 3)
    assert state(breaker) is State.CLOSED
    assert breaker.counts() == Counts(3, 3)


def test_a_bound_by_count_lets_fresh_failures_weigh_more_than_many_old_successes(
    clock: Clock,
) -> None:
    bounded = Breaker("sms", replace(LIMITS, window_calls=20, buckets=5), clock=clock)
    unbounded = Breaker("sms", LIMITS, clock=clock)
    for breaker in (bounded, unbounded):
        succeed(breaker, 1000)
    assert 20 <= bounded.counts().calls < 24
    fail(bounded, 12)
    fail(unbounded, 12)
    assert (bounded.state, unbounded.state) == (State.OPEN, State.CLOSED)


def test_open_it_says_when_to_ask_again(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 4)
    clock.pass_(2.0)
    assert refused(breaker) == Refused("sms", State.OPEN, 3.0)


def test_after_its_time_one_probe_is_let_through(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 4)
    clock.pass_(5.0)
    assert permit(breaker).probe
    assert refused(breaker).state is State.HALF_OPEN


def test_enough_probes_in_a_row_close_it_with_nothing_counted(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, 4)
    clock.pass_(5.0)
    succeed(breaker, 1)
    assert state(breaker) is State.HALF_OPEN
    succeed(breaker, 1)
    assert state(breaker) is State.CLOSED
    assert breaker.counts() == Counts()


def fail_probe(breaker: Breaker) -> None:
    breaker.failed(permit(breaker))


def be_slow(breaker: Breaker) -> None:
    breaker.succeeded(permit(breaker), 1.01)


@pytest.mark.parametrize("end", [fail_probe, be_slow])
def test_one_bad_probe_opens_it_for_longer_each_time_up_to_a_limit(
    breaker: Breaker, clock: Clock, end: Callable[[Breaker], None]
) -> None:
    fail(breaker, 4)
    seen = []
    for _ in range(5):
        left = refused(breaker).again
        seen.append(left)
        clock.pass_(left)
        succeed(breaker, 1)  # one success is not enough, and does not help later
        end(breaker)
    assert seen == [5.0, 10.0, 20.0, 30.0, 30.0]


def test_closing_takes_the_growth_back(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 4)
    clock.pass_(5.0)
    fail_probe(breaker)
    clock.pass_(10.0)
    succeed(breaker, 2)
    fail(breaker, 4)
    assert refused(breaker).again == 5.0


def test_a_probe_whose_caller_died_goes_to_another_after_its_lease(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, 4)
    clock.pass_(5.0)
    dead = permit(breaker)
    clock.pass_(7.99)
    refused(breaker)
    clock.pass_(0.01)
    succeed(breaker, 1)
    breaker.failed(dead)  # too late to count: another had the probe since
    assert state(breaker) is State.HALF_OPEN
    succeed(breaker, 1)
    assert state(breaker) is State.CLOSED


def test_a_probe_that_was_not_made_goes_to_the_next_at_once(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 4)
    clock.pass_(5.0)
    breaker.give_back(permit(breaker))
    assert permit(breaker).probe


def test_what_was_allowed_while_closed_says_nothing_later(breaker: Breaker, clock: Clock) -> None:
    early = [permit(breaker) for _ in range(3)]
    fail(breaker, 4)
    breaker.failed(early[0])
    clock.pass_(5.0)
    probe = permit(breaker)
    breaker.failed(early[1])
    breaker.succeeded(probe, 0.1)
    succeed(breaker, 1)
    breaker.failed(early[2])
    assert state(breaker) is State.CLOSED
    assert breaker.counts() == Counts()


def test_each_change_is_reported_with_its_why(
    breaker: Breaker, clock: Clock, changes: list[Change]
) -> None:
    fail(breaker, 4)
    clock.pass_(5.0)
    succeed(breaker, 2)
    assert [str(c.after.value) + ": " + c.why for c in changes] == [
        "Open: 4 of 4 calls failed",
        "HalfOpen: it was open for its time",
        "Closed: 2 probes in a row succeeded",
    ]
    assert [c.before for c in changes] == [State.CLOSED, State.OPEN, State.HALF_OPEN]


def test_forced_open_nothing_passes_and_waiting_does_not_help(
    breaker: Breaker, clock: Clock
) -> None:
    breaker.force(Manual.FORCED_OPEN)
    clock.pass_(1e9)
    assert refused(breaker) == Refused("sms", State.FORCED_OPEN, math.inf)


def test_forced_closed_everything_passes(breaker: Breaker) -> None:
    breaker.force(Manual.FORCED_CLOSED)
    fail(breaker, 100)
    assert state(breaker) is State.FORCED_CLOSED
    assert breaker.counts() == Counts(100, 100)


@pytest.mark.parametrize("manual", [Manual.FORCED_OPEN, Manual.FORCED_CLOSED])
def test_back_at_auto_it_starts_anew(
    breaker: Breaker, changes: list[Change], manual: Manual
) -> None:
    fail(breaker, 4)
    breaker.force(manual)
    breaker.force(manual)
    breaker.force(Manual.AUTO)
    breaker.force(Manual.AUTO)
    assert state(breaker) is State.CLOSED
    assert len(changes) == 3
    fail(breaker, 3)
    assert state(breaker) is State.CLOSED


def test_a_report_that_fails_fails_nobodys_call(clock: Clock) -> None:
    def broken(change: Change) -> None:
        raise RuntimeError(change.why)

    breaker = Breaker("sms", LIMITS, clock=clock, report=broken)
    fail(breaker, 4)
    assert state(breaker) is State.OPEN


def test_a_report_may_use_the_breaker(clock: Clock) -> None:
    changes: list[Change] = []

    def look(change: Change) -> None:
        changes.append(change)
        if change.after is State.OPEN:
            looking.force(Manual.FORCED_CLOSED)

    looking = Breaker("sms", LIMITS, clock=clock, report=look)
    fail(looking, 4)
    assert [change.after for change in changes] == [State.OPEN, State.FORCED_CLOSED]
