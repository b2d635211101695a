"""A channel's breaker keeps sends from a host that fails, and lets them through when it is well."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests.outbox.conftest import Outbox
from tests.servers.receivers import Fault
from tests.servers.wait import until
from wayfare_engine.guards import Breaker, BreakerLimits, Change, Manual, State
from wayfare_engine.outbox import PlannedSend, Retry

SENDS, CALLS, CONCURRENCY = 60, 5, 4


def breaker(changes: list[Change], *, open_for: float) -> Breaker:
    limits = BreakerLimits(
        minimum_calls=CALLS, open_for=open_for, longest_open=open_for, trial_calls=2
    )
    return Breaker("Key", limits, clock=time.monotonic, report=changes.append)


def planned(outbox: Outbox) -> list[PlannedSend]:
    sends = [outbox.send("Key") for _ in range(SENDS)]
    outbox.plan(*sends)
    return sends


def started(outbox: Outbox) -> int:
    """Hand-overs that came to the host."""
    return sum(record.what == "start" for record in outbox.receivers["Key"].records())


def held_back(outbox: Outbox) -> int:
    query = "SELECT count(*)::int FROM wayfare.send_holds WHERE reason LIKE 'breaker %%'"
    return int(outbox.ask(query)[0][0])


@pytest.mark.parametrize("kind", ["not_accepted", "error"])
def test_a_host_that_fails_is_left_alone_and_the_sends_wait(outbox: Outbox, kind: str) -> None:
    outbox.receivers["Key"].fail(Fault(kind, times=1000))  # type: ignore[arg-type]
    changes: list[Change] = []
    key = breaker(changes, open_for=3600.0)
    planned(outbox)
    channels = outbox.channels(concurrency=CONCURRENCY)
    with outbox.sealing(), outbox.sending(channels=channels, breakers={"Key": key}):
        until(lambda: key.state is State.OPEN, what="it opens")
        until(lambda: held_back(outbox) >= SENDS - CALLS - CONCURRENCY, what="the others wait")
    assert CALLS <= started(outbox) <= CALLS + CONCURRENCY
    assert [change.after for change in changes] == [State.OPEN]
    assert outbox.receivers["Key"].effects() == {}


def test_when_the_host_is_well_again_one_after_the_other_tries_and_then_all_leave(
    outbox: Outbox,
) -> None:
    outbox.receivers["Key"].fail(Fault("not_accepted", times=CALLS))
    changes: list[Change] = []
    key = breaker(changes, open_for=0.3)
    sends = planned(outbox)
    channels = outbox.channels(concurrency=1, retry=Retry(pause=0.05, longest_pause=0.1))
    with outbox.sealing(), outbox.sending(channels=channels, breakers={"Key": key}):
        until(lambda: outbox.count("Accepted") == SENDS, what="all leave")
    assert [change.after for change in changes] == [State.OPEN, State.HALF_OPEN, State.CLOSED]
    assert outbox.receivers["Key"].effects() == dict.fromkeys((s.key for s in sends), 1)


def test_while_it_is_open_the_fallback_goes_on_and_nothing_goes_out_twice(outbox: Outbox) -> None:
    outbox.receivers["Key"].fail(Fault("not_accepted", times=1000))
    key = breaker([], open_for=3600.0)
    sends = planned(outbox)
    channels = outbox.channels(concurrency=CONCURRENCY, retry=Retry(pause=0.05))
    channels["Key"] = replace(channels["Key"], fallback="Query")
    with outbox.sealing(), outbox.sending(channels=channels, breakers={"Key": key}):
        until(lambda: outbox.count("Accepted") == SENDS, what="all leave by the other way")
    assert started(outbox) <= CALLS + CONCURRENCY
    assert outbox.receivers["Key"].effects() == {}
    assert outbox.receivers["Query"].effects() == dict.fromkeys((s.key for s in sends), 1)


def test_what_may_have_left_does_not_go_on_through_the_fallback(outbox: Outbox) -> None:
    """It opens because answers are lost, after the effect: those sends stay with their channel."""
    outbox.receivers["Key"].fail(Fault("lost", times=CALLS))
    key = breaker([], open_for=3600.0)
    channels = outbox.channels(concurrency=1)
    channels["Key"] = replace(channels["Key"], fallback="Query")
    sends = planned(outbox)
    with outbox.sealing(), outbox.sending(channels=channels, breakers={"Key": key}):
        until(lambda: outbox.count("Accepted") == SENDS - CALLS, what="all others leave")
    effects = outbox.receivers["Key"].effects()
    other = outbox.receivers["Query"].effects()
    assert len(effects) == CALLS
    assert not effects.keys() & other.keys()
    assert effects | other == dict.fromkeys((s.key for s in sends), 1)


def test_one_that_was_opened_by_hand_lets_nothing_through(outbox: Outbox) -> None:
    key = breaker([], open_for=0.1)
    key.force(Manual.FORCED_OPEN)
    planned(outbox)
    with outbox.sealing(), outbox.sending(breakers={"Key": key}):
        until(lambda: held_back(outbox) == SENDS, what="all wait")
    assert outbox.receivers["Key"].records() == []
