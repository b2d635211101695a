"""What a channel's limits and tries come to, with real workers and receivers."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from tests.outbox.conftest import WINDOW, Outbox, now
from tests.servers.receivers import Dedupe, Fault, boottime
from tests.servers.wait import until
from wayfare_engine.outbox import Channel, Key, PlannedSend, Rate, Retry, Send
from wayfare_engine.outbox.retries import Retries


def starts(outbox: Outbox, kind: Dedupe = "Key") -> int:
    return sum(record.what == "start" for record in outbox.receivers[kind].records())


def planned(outbox: Outbox, count: int) -> list[PlannedSend]:
    sends = [outbox.send("Key") for _ in range(count)]
    outbox.plan(*sends)
    return sends


def test_of_a_channel_whose_calls_do_not_end_no_more_is_dispatched_than_fits(
    outbox: Outbox,
) -> None:
    planned(outbox, 30)
    other = outbox.send("Query")
    dispatched = "SELECT count(*)::int FROM wayfare.ledger WHERE kind = 'dispatch'"
    # Nobody seals: what is dispatched waits.
    with outbox.sending(channels=outbox.channels(concurrency=2, queue=3)):
        until(lambda: outbox.ask(dispatched) == [(5,)], what="two places and three that wait")
        outbox.plan(other)
        until(lambda: outbox.state(other)[1] == 1, what="turns go on")
        assert outbox.ask(dispatched) == [(6,)]


def test_no_more_calls_at_a_time_than_the_channel_has(outbox: Outbox) -> None:
    outbox.receivers["Key"].fail(Fault("slow", times=20, seconds=0.03))
    sends = planned(outbox, 20)
    with outbox.sealing(), outbox.sending(channels=outbox.channels(concurrency=3)):
        until(lambda: outbox.count("Accepted") == len(sends), what="all outcomes")
    running = most = 0
    for record in outbox.receivers["Key"].records():
        running += {"start": 1, "effect": -1}.get(record.what, 0)
        most = max(most, running)
    assert 1 < most <= 3


@pytest.mark.parametrize("workers", [1, 2])
def test_sends_leave_no_faster_than_their_rate(outbox: Outbox, workers: int) -> None:
    """Two workers share it."""
    rate, count = Rate(10, 0.5), 40
    channels = {"Key": replace(outbox.channels()["Key"], rate=rate)}
    sends = planned(outbox, count)
    began = boottime()
    with outbox.sealing(), outbox.sending(channels=channels):
        if workers == 2:
            with outbox.sending(channels=channels):
                until(lambda: outbox.count("Accepted") == count, what="all outcomes")
        else:
            until(lambda: outbox.count("Accepted") == count, what="all outcomes")
    records = outbox.receivers["Key"].records()
    last = max(record.at for record in records if record.what == "start")
    # Each worker has one at once; the others come one by one. No machine is too slow for this.
    assert last - began >= (count - workers) * rate.per / rate.count
    assert outbox.receivers["Key"].effects() == {send.key: 1 for send in sends}


def test_tries_are_counted_over_the_end_of_a_worker(outbox: Outbox) -> None:
    outbox.receivers["Key"].fail(Fault("not_accepted", times=1000))
    [send] = planned(outbox, 1)
    channels = outbox.channels(retry=Retry(pause=0.3, longest_pause=0.3, jitter=0.0, attempts=3))
    with outbox.sealing():
        with outbox.sending(channels=channels):
            until(lambda: outbox.outcome(send) == "NotAccepted", what="the first try")
        with outbox.sending(channels=channels):
            until(lambda: outbox.outcome(send) == "Rejected", what="it is given up")
    assert starts(outbox) == 3
    assert outbox.state(send)[2] == "given up, not accepted: busy"
    assert outbox.ask("SELECT count(*)::int FROM wayfare.send_holds") == [(0,)]


def test_after_its_last_try_it_goes_on_through_the_fallback_which_has_tries_of_its_own(
    outbox: Outbox,
) -> None:
    for kind in ("Key", "Query"):
        outbox.receivers[kind].fail(Fault("not_accepted", times=1000))
    [send] = planned(outbox, 1)
    channels = outbox.channels(retry=Retry(pause=0.02, longest_pause=0.05, attempts=2))
    channels["Key"] = replace(channels["Key"], fallback="Query")
    with outbox.sealing(), outbox.sending(channels=channels):
        until(lambda: outbox.outcome(send) == "Rejected", what="it is given up")
    assert (starts(outbox, "Key"), starts(outbox, "Query")) == (2, 2)


def test_what_was_held_in_between_has_not_lost_its_tries(outbox: Outbox) -> None:
    outbox.receivers["Key"].fail(Fault("not_accepted", times=1000))
    [send] = planned(outbox, 1)
    retry = Retry(pause=1.5, longest_pause=1.5, jitter=0.0, attempts=2)
    with outbox.sending(channels=outbox.channels(retry=retry)):
        with outbox.sealing():
            until(lambda: outbox.outcome(send) == "NotAccepted", what="the first try")
        until(lambda: outbox.state(send)[1] >= 2, what="the second dispatch")
        outbox.lapse()
        until(lambda: outbox.outcome(send) in ("Held", "Rejected"), what="that it is held")
        outbox.hold()
        with outbox.sealing():
            until(lambda: outbox.outcome(send) == "Rejected", what="it is given up")
    assert starts(outbox) == 2


def test_retries_are_a_share_of_first_tries_while_they_fail_and_all_leave_when_it_is_well(
    outbox: Outbox,
) -> None:
    count, share = 40, 0.1
    outbox.receivers["Key"].fail(Fault("not_accepted", times=1_000_000))
    sends = planned(outbox, count)
    retry = Retry(pause=0.01, longest_pause=0.02, budget=share)
    began = boottime()
    with outbox.sealing(), outbox.sending(channels=outbox.channels(retry=retry)):
        # The floor is one a second, of which ten seconds are there at once.
        until(lambda: starts(outbox) >= count + share * count + 10, what="the budget is spent")
        other = outbox.send("Query")
        outbox.plan(other)
        until(lambda: outbox.outcome(other) == "Accepted", what="turns go on")
        retries, seconds = starts(outbox) - count, boottime() - began
        assert retries <= share * count + 10 + seconds
        outbox.receivers["Key"].calm()
        until(lambda: outbox.count("Accepted") == count + 1, what="all leave")
    assert outbox.receivers["Key"].effects() == {send.key: 1 for send in sends}


def test_a_call_has_no_more_time_than_the_channel_says(outbox: Outbox) -> None:
    outbox.receivers["Key"].fail(Fault("slow", seconds=WINDOW * 0.75))
    [send] = planned(outbox, 1)
    with outbox.sealing(), outbox.sending(channels=outbox.channels(timeout=WINDOW / 2)):
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    assert "late" in [record.what for record in outbox.receivers["Key"].records()]
    assert outbox.receivers["Key"].effects() == {send.key: 1}


@pytest.mark.parametrize("jitter", [0.0, 0.2, 1.0])
def test_pauses_vary_by_the_jitter_and_grow(outbox: Outbox, jitter: float) -> None:
    retry = Retry(pause=1.0, longest_pause=10.0, multiplier=3.0, jitter=jitter)
    channel = Channel("Key", outbox.channels()["Key"].host, Key(60.0), retry=retry)
    retries = Retries({"Key": channel}, clock=boottime, random=Random(7))
    with_key = replace(_send(), channel="Key")
    for number, ceiling in ((1, 1.0), (2, 3.0), (3, 9.0), (4, 10.0)):
        pauses = [retries.pause(with_key, number) for _ in range(200)]
        lowest = ceiling * (1 - jitter)
        assert all(lowest <= pause <= ceiling for pause in pauses)
        assert max(pauses) - min(pauses) >= 0.9 * (ceiling - lowest)


def _send() -> Send:
    return Send("key", "anna", "sms", "{}", 1, now())
