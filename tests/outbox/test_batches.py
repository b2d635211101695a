"""A host that takes batches is handed several sends in one call, and answers for each."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.outbox.conftest import WINDOW, Outbox, now
from tests.servers.receivers import Dedupe, Fault, Receiver, boottime
from tests.servers.wait import until
from wayfare_engine.guards import Breaker, BreakerLimits, State
from wayfare_engine.outbox import Channel, HttpHost, Key, PlannedSend, Retry

SENDS, BATCH = 40, 10


def batched(outbox: Outbox, kind: Dedupe = "Key") -> Receiver:
    receiver = outbox.receivers[kind]
    receiver.batch_size = BATCH
    return receiver


def planned(outbox: Outbox, kind: Dedupe = "Key", count: int = SENDS) -> list[PlannedSend]:
    sends = [outbox.send(kind) for _ in range(count)]
    outbox.plan(*sends)
    return sends


def one_call_at_a_time(outbox: Outbox, **changes: Any) -> dict[str, Channel]:
    return outbox.channels(concurrency=1, **changes)


def starts(receiver: Receiver) -> int:
    return sum(record.what == "start" for record in receiver.records())


def test_sends_that_are_ready_together_leave_in_batches(outbox: Outbox) -> None:
    receiver = batched(outbox)
    sends = planned(outbox)
    with outbox.sealing(), outbox.sending(channels=one_call_at_a_time(outbox)):
        until(lambda: outbox.count("Accepted") == SENDS, what="all outcomes")
    assert receiver.effects() == {send.key: 1 for send in sends}
    assert sum(receiver.batches) == SENDS
    assert max(receiver.batches) == BATCH
    names = outbox.ask("SELECT count(DISTINCT provider_id)::int FROM wayfare.outbox")
    assert names == [(SENDS,)], "each has its own answer"


def test_of_a_customer_one_send_is_in_a_batch_and_the_order_stays(outbox: Outbox) -> None:
    receiver = batched(outbox)
    sends = [outbox.send("Key", customer=f"c{n % 3}", node=f"n{n}", due=_due(n)) for n in range(12)]
    outbox.plan(*sends)
    with outbox.sealing(), outbox.sending(channels=one_call_at_a_time(outbox)):
        until(lambda: outbox.count("Accepted") == len(sends), what="all outcomes")
    order = [r.send_key for r in receiver.records() if r.what == "effect"]
    for customer in ("c0", "c1", "c2"):
        theirs = [send.key for send in sends if send.customer == customer]
        assert [key for key in order if key in theirs] == theirs
    assert max(receiver.batches) <= 3


def test_each_send_of_a_batch_has_its_own_end(outbox: Outbox) -> None:
    receiver = batched(outbox)
    for kind in ("not_accepted", "rejected", "error"):
        receiver.fail(Fault(kind))
    sends = planned(outbox)
    with outbox.sealing(), outbox.sending(channels=one_call_at_a_time(outbox)):
        until(lambda: outbox.count("Accepted") == SENDS - 1, what="all but one leave")
    assert outbox.count("Rejected") == 1
    effects = receiver.effects()
    assert len(effects) == SENDS - 1
    assert set(effects.values()) == {1}
    tried_again = sorted(outbox.state(send)[1] for send in sends)[-2:]
    assert tried_again == [2, 2], "what was not taken, and what was in doubt"


@pytest.mark.parametrize(
    ("kind", "fault"),
    [("Key", Fault("lost")), ("Key", Fault("cut")), ("Query", Fault("cut"))],
)
def test_a_batch_that_is_cut_off_is_in_doubt_as_a_whole(
    outbox: Outbox, kind: Dedupe, fault: Fault
) -> None:
    """And each of it is then told by the dedupe class, so that each takes effect once."""
    receiver = batched(outbox, kind)
    for _ in range(BATCH // 2):
        receiver.fail(Fault("slow"))
    receiver.fail(fault)
    sends = planned(outbox, kind)
    with outbox.sealing(), outbox.sending(channels=one_call_at_a_time(outbox)):
        until(lambda: outbox.count("Accepted") == SENDS, what="all outcomes")
    assert receiver.effects() == {send.key: 1 for send in sends}


def test_of_what_cannot_be_told_again_a_batch_that_is_cut_off_is_unknown_and_never_repeated(
    outbox: Outbox,
) -> None:
    receiver = batched(outbox, "None")
    receiver.fail(Fault("slow"))
    receiver.fail(Fault("slow"))
    receiver.fail(Fault("cut"))
    planned(outbox, "None", BATCH)
    with outbox.sealing(), outbox.sending(channels=one_call_at_a_time(outbox)):
        until(
            lambda: outbox.count("Unknown") + outbox.count("Accepted") == BATCH, what="all outcomes"
        )
    # The first may have left alone, before the host had said that it takes batches.
    assert outbox.count("Unknown") == receiver.batches[0]
    assert starts(receiver) == len(receiver.effects()) + 1
    assert set(receiver.effects().values()) == {1}


def test_a_host_that_takes_none_after_all_is_handed_one_after_the_other(outbox: Outbox) -> None:
    receiver = batched(outbox)
    host = HttpHost(receiver.url, boottime=boottime, connect_seconds=0.5)
    assert host.batch_size() == BATCH
    receiver.batch_size = 2
    sends = planned(outbox)
    channels = {"Key": Channel("Key", host, Key(3600.0), concurrency=1)}
    with outbox.sealing(), outbox.sending(channels=channels):
        until(lambda: outbox.count("Accepted") == SENDS, what="all outcomes")
    assert receiver.effects() == {send.key: 1 for send in sends}
    assert max(receiver.batches, default=0) <= 2


@pytest.mark.parametrize("dedupe", ["Key", "None"])
def test_a_host_that_says_nothing_of_itself_takes_one_at_a_time(
    outbox: Outbox, dedupe: Dedupe
) -> None:
    receiver = outbox.receivers[dedupe]
    host = HttpHost(receiver.url, boottime=boottime, connect_seconds=0.5)
    assert host.batch_size() == 1
    receiver.refuse()
    gone = HttpHost(receiver.url, boottime=boottime, connect_seconds=0.5)
    assert gone.batch_size() == 1


def test_a_breaker_counts_each_send_of_a_batch_and_its_probe_is_one_send(outbox: Outbox) -> None:
    receiver = batched(outbox)
    receiver.fail(Fault("not_accepted", times=SENDS))
    limits = BreakerLimits(minimum_calls=BATCH, open_for=0.3, longest_open=0.3, trial_calls=2)
    changes: list[Any] = []
    breaker = Breaker("Key", limits, clock=time.monotonic, report=changes.append)
    sends = planned(outbox)
    retry = Retry(pause=0.05, longest_pause=0.1, budget=None)
    channels = one_call_at_a_time(outbox, retry=retry)
    with outbox.sealing(), outbox.sending(channels=channels, breakers={"Key": breaker}):
        until(lambda: changes, what="it opens")
        # The first batch of ten, or one before the host had said that it takes batches and two.
        assert starts(receiver) <= 1 + 2 * BATCH
        receiver.calm()
        until(lambda: outbox.count("Accepted") == SENDS, what="all leave")
    assert [change.after for change in changes][-2:] == [State.HALF_OPEN, State.CLOSED]
    assert receiver.effects() == {send.key: 1 for send in sends}


def test_a_late_start_concerns_those_of_a_batch_that_are_late(outbox: Outbox) -> None:
    receiver = batched(outbox)
    receiver.fail(Fault("slow", times=2, seconds=WINDOW * 0.7))
    sends = planned(outbox, count=BATCH)
    with outbox.sealing(), outbox.sending(channels=one_call_at_a_time(outbox)):
        until(lambda: outbox.count("Accepted") == BATCH, what="all outcomes")
    assert "late" in [record.what for record in receiver.records()]
    assert receiver.effects() == {send.key: 1 for send in sends}


def _due(number: int) -> datetime:
    return now() - timedelta(minutes=20 - number)
