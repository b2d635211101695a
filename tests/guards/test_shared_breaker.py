"""Breakers of several workers as one, in one Valkey; what is decided where."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from tests.guards.conftest import address
from tests.servers.wait import until
from wayfare_engine.guards import (
    BreakerLimits,
    Change,
    Counts,
    Manual,
    Outcome,
    Permit,
    Refused,
    SharedBreaker,
    State,
    bounded_client,
)
from wayfare_engine.guards.valkey_script import BreakerScript
from wayfare_engine.store.embedded import EmbeddedValkey

LIMITS = BreakerLimits(
    minimum_calls=10,
    window=60.0,
    open_for=0.05,
    longest_open=0.1,
    trial_calls=2,
    probe_lease=30.0,
    slow_after=1.0,
    slow_percent=50,
)
LONG = replace(LIMITS, open_for=60.0, longest_open=60.0)
Make = Callable[..., SharedBreaker]


@pytest.fixture
def client(url: str) -> Iterator[Redis]:
    with bounded_client(url, seconds=5.0) as connected:
        connected.flushdb()
        yield connected


@pytest.fixture
def make(client: Redis) -> Make:
    def make(limits: BreakerLimits = LIMITS, **more: Any) -> SharedBreaker:
        breaker = SharedBreaker("sms", limits, client, clock=time.monotonic, **more)
        assert breaker.sync()
        return breaker

    return make


def state(breaker: SharedBreaker) -> State:
    return breaker.state


def permit(breaker: SharedBreaker) -> Permit:
    given = breaker.allow()
    assert isinstance(given, Permit)
    return given


def fail(breaker: SharedBreaker, times: int) -> None:
    for _ in range(times):
        breaker.failed(permit(breaker))


def probe(breaker: SharedBreaker) -> Permit:
    def given() -> Permit | None:
        answer = breaker.allow()
        return answer if isinstance(answer, Permit) else None

    found = until(given, what="a probe", every=0.01)
    assert found.probe
    return found


def test_it_opens_by_what_all_workers_saw(make: Make) -> None:
    one, two = make(LONG), make(LONG)
    fail(one, 5)
    fail(two, 5)
    one.sync()
    assert state(one) is State.CLOSED
    two.sync()
    one.sync()
    assert (state(one), state(two)) == (State.OPEN, State.OPEN)
    refused = one.allow()
    assert isinstance(refused, Refused)
    assert 50 < refused.again <= 60


def test_it_opens_when_too_many_are_slow(make: Make) -> None:
    changes: list[Change] = []
    one = make(report=changes.append)
    for _ in range(10):
        one.succeeded(permit(one), 1.5)
    one.sync()
    assert changes[-1].why == "10 of 10 calls of all workers were slow"


def test_a_worker_that_would_open_it_alone_hurries(make: Make) -> None:
    hurried = threading.Event()
    one = make(hurry=hurried.set)
    fail(one, 9)
    assert not hurried.is_set()
    fail(one, 1)
    assert hurried.is_set()


def test_one_worker_has_the_probe_and_its_success_counts_for_all(make: Make) -> None:
    one, two = make(), make()
    fail(one, 10)
    one.sync()
    two.sync()
    first = probe(one)
    assert isinstance(two.allow(), Refused)
    one.succeeded(first, 0.1)
    two.succeeded(probe(two), 0.1)
    one.sync()
    assert (state(one), state(two)) == (State.CLOSED, State.CLOSED)


@pytest.mark.parametrize("seconds", [None, 1.5])
def test_one_bad_probe_opens_it_for_all(make: Make, seconds: float | None) -> None:
    one, two = make(), make()
    fail(one, 10)
    one.sync()
    held = probe(one)
    if seconds is None:
        one.failed(held)
    else:
        one.succeeded(held, seconds)
    two.sync()
    assert (state(one), state(two)) == (State.OPEN, State.OPEN)


def test_of_200_threads_one_gets_the_probe(make: Make) -> None:
    one = make()
    fail(one, 10)
    one.sync()
    until(lambda: not _open_for_long(one), every=0.01)
    start = threading.Barrier(200, timeout=30)
    answers: list[Permit | Refused] = []

    def ask() -> None:
        start.wait()
        answers.append(one.allow())

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 200
    assert len([answer for answer in answers if isinstance(answer, Permit)]) == 1


def _open_for_long(breaker: SharedBreaker) -> bool:
    breaker.sync()
    return breaker._until > time.monotonic()


def test_while_valkey_hangs_one_thread_waits_for_it_and_the_others_are_refused(
    mortal_valkey: EmbeddedValkey,
) -> None:
    patient = bounded_client(address(mortal_valkey), seconds=60.0)
    one = SharedBreaker("sms", LIMITS, patient, clock=time.monotonic)
    one.sync()
    fail(one, 10)
    one.sync()
    until(lambda: not _open_for_long(one), every=0.01)
    answers: list[Permit | Refused] = []
    threads = [
        threading.Thread(target=lambda: answers.append(one.allow()), daemon=True) for _ in range(50)
    ]
    assert mortal_valkey.process is not None
    os.kill(mortal_valkey.process.pid, signal.SIGSTOP)
    try:
        for thread in threads:
            thread.start()
        until(lambda: len(answers) == 49, what="49 answers", every=0.01)
        assert all(isinstance(answer, Refused) for answer in answers)
        assert len([thread for thread in threads if thread.is_alive()]) == 1
    finally:
        os.kill(mortal_valkey.process.pid, signal.SIGCONT)
    for thread in threads:
        thread.join(30)
    assert isinstance(answers[-1], Permit)


def test_a_valkey_that_hangs_is_as_good_as_away(mortal_valkey: EmbeddedValkey) -> None:
    one = SharedBreaker("sms", LIMITS, bounded_client(address(mortal_valkey)), clock=time.monotonic)
    assert one.sync()
    assert mortal_valkey.process is not None
    os.kill(mortal_valkey.process.pid, signal.SIGSTOP)
    try:
        assert not one.sync()
        assert (one.shared, isinstance(one.allow(), Permit)) == (False, True)
    finally:
        os.kill(mortal_valkey.process.pid, signal.SIGCONT)
    until(one.sync, what="Valkey answers")
    assert one.shared


def test_a_probe_that_was_not_made_goes_to_another_worker(make: Make) -> None:
    one, two = make(), make()
    fail(one, 10)
    one.sync()
    two.sync()
    one.give_back(probe(one))
    assert probe(two)


def test_calls_of_an_earlier_life_are_not_counted(make: Make, client: Redis) -> None:
    script = BreakerScript(client, "sms", LIMITS)
    make()
    assert script.sync("1", Counts(10, 10, 0), None).state is State.CLOSED


def test_forced_by_hand_here_it_does_not_ask(make: Make) -> None:
    one, two = make(LONG), make(LONG)
    one.force(Manual.FORCED_OPEN)
    assert one.allow() == Refused("sms", State.FORCED_OPEN, float("inf"))
    fail(two, 10)
    two.sync()
    one.force(Manual.FORCED_CLOSED)
    one.sync()
    fail(one, 100)
    assert state(one) is State.FORCED_CLOSED
    one.force(Manual.AUTO)
    assert state(one) is State.OPEN


def test_when_all_data_is_lost_it_starts_closed_and_goes_on(make: Make, client: Redis) -> None:
    one = make(LONG)
    fail(one, 10)
    one.sync()
    client.flushdb()
    one.sync()
    assert state(one) is State.CLOSED
    fail(one, 10)
    one.sync()
    assert state(one) is State.OPEN


def test_a_server_whose_clock_was_ahead_keeps_it_open_no_longer_than_the_limit(
    make: Make, client: Redis
) -> None:
    one = make(LONG)
    fail(one, 10)
    one.sync()
    client.hset("wayfare:breaker:sms", "until", str(10**17))
    one.sync()
    refused = one.allow()
    assert isinstance(refused, Refused)
    assert refused.again <= 60


def test_what_is_not_a_breakers_data_is_no_obstacle(make: Make, client: Redis) -> None:
    one = make()
    client.hset("wayfare:breaker:sms", mapping={"state": "Melted", "until": "soon"})
    assert one.sync()
    client.delete("wayfare:breaker:sms")
    client.set("wayfare:breaker:sms", "text")
    assert not one.sync()
    assert isinstance(one.allow(), Permit)


def test_what_nobody_uses_goes_away(make: Make, client: Redis) -> None:
    make()
    assert 0 < client.pttl("wayfare:breaker:sms") <= (60 + 0.1 + 30 + 60) * 1000


def test_without_valkey_each_goes_on_from_what_was_counted_and_open_wins_later(
    mortal_valkey: EmbeddedValkey,
) -> None:
    changes: list[Change] = []
    one, two = (
        SharedBreaker(
            "sms",
            LONG,
            bounded_client(address(mortal_valkey)),
            clock=time.monotonic,
            report=report,
        )
        for report in (changes.append, None)
    )
    assert one.sync()
    assert two.sync()
    fail(one, 9)
    mortal_valkey.kill()
    assert not one.sync()
    assert not two.sync()
    assert (one.shared, state(one)) == (False, State.CLOSED)
    fail(one, 1)
    two.succeeded(permit(two), 0.1)
    assert (state(one), state(two)) == (State.OPEN, State.CLOSED)
    mortal_valkey.start()
    two.sync()
    one.sync()
    two.sync()
    assert (one.shared, two.shared) == (True, True)
    assert (state(one), state(two)) == (State.OPEN, State.OPEN)
    assert [change.after for change in changes] == [State.OPEN]


def test_open_when_valkey_goes_it_stays_open_for_the_rest(mortal_valkey: EmbeddedValkey) -> None:
    one = SharedBreaker("sms", LONG, bounded_client(address(mortal_valkey)), clock=time.monotonic)
    one.sync()
    fail(one, 10)
    one.sync()
    mortal_valkey.kill()
    one.sync()
    refused = one.allow()
    assert isinstance(refused, Refused)
    assert (one.shared, refused.state) == (False, State.OPEN)
    assert 40 < refused.again <= 60


def test_a_verdict_that_valkey_does_not_hear_leaves_the_trial_to_this_worker(
    mortal_valkey: EmbeddedValkey,
) -> None:
    one = SharedBreaker("sms", LIMITS, bounded_client(address(mortal_valkey)), clock=time.monotonic)
    one.sync()
    fail(one, 10)
    one.sync()
    held = probe(one)
    mortal_valkey.kill()
    one.ended(held, Outcome.SUCCESS)
    assert (one.shared, state(one)) == (False, State.OPEN)
    for _ in range(2):
        one.succeeded(probe(one), 0.1)
    assert state(one) is State.CLOSED
