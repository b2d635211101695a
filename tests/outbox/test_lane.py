"""A channel's lane alone: its places, its queue, its rate."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.servers.receivers import boottime
from tests.servers.wait import until
from wayfare_engine.guards import BadLimit
from wayfare_engine.outbox import Channel, Key, NoDedupe, Rate, Send
from wayfare_engine.outbox.channel import Answer, HandOver, Reading, Result
from wayfare_engine.outbox.lane import Lane, Waiting

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Many:
    """A host that takes `most` at once. The lane asks it for that and nothing else."""

    def __init__(self, most: int) -> None:
        self.most = most

    def batch_size(self) -> int:
        return self.most

    def reading(self, youngest: float) -> Reading:
        return Reading("", boottime())

    def hand_over(self, what: HandOver) -> Answer:
        return Answer(Result.ACCEPTED)

    def hand_over_batch(self, what: Sequence[HandOver]) -> Sequence[Answer]:
        return [Answer(Result.ACCEPTED)] * len(what)

    def took_effect(self, send_key: str, seconds: float) -> bool:
        return True


def send(number: int, payload: str = "{}") -> Send:
    return Send(f"key-{number}", f"customer-{number}", "sms", payload, 1, AT)


class Seen:
    """What a lane did. Calls wait until `let_go` is set."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.held: list[tuple[str, str]] = []
        self.let_go = threading.Event()

    def call(self, batch: Sequence[Waiting]) -> int:
        self.calls.append([one.send.send_key for one in batch])
        assert self.let_go.wait(30)
        return len(batch)

    def hold(self, late: Sequence[Waiting], why: str) -> None:
        self.held += [(one.send.send_key, why) for one in late]

    def called(self) -> int:
        return sum(len(keys) for keys in self.calls)


@contextmanager
def lane(seen: Seen, most: int = 1, patience: float = 60.0, **limits: Any) -> Iterator[Lane]:
    channel = Channel("sms", Many(most), **({"dedupe": Key(60.0)} | limits))
    made = Lane(channel, call=seen.call, hold=seen.hold, patience=patience, boottime=boottime)
    try:
        yield made
    finally:
        seen.let_go.set()
        made.stop()


def stays(fact: Callable[[], bool], probe: Callable[[], object]) -> None:
    """The fact holds however often the lane is woken."""
    for _ in range(20):
        probe()
        assert fact()


def test_so_many_run_and_so_many_wait() -> None:
    seen = Seen()
    with lane(seen, concurrency=2, queue=3) as one:
        assert one.room(under_way=0) == 5
        one.put([send(n) for n in range(5)], 0)
        until(lambda: len(seen.calls) == 2, what="two calls")
        stays(lambda: len(seen.calls) == 2, lambda: one.put([], 0))
        assert one.room(under_way=5) == 0
    assert [key for keys in seen.calls for key in keys] == [f"key-{n}" for n in range(5)]


def test_a_call_takes_as_many_as_the_host_takes_and_waits_for_none() -> None:
    seen = Seen()
    with lane(seen, most=4, concurrency=1) as one:
        one.put([send(0)], 0)
        until(lambda: len(seen.calls) == 1, what="the first call")
        one.put([send(n) for n in range(1, 7)], 0)
    assert [len(keys) for keys in seen.calls] == [1, 4, 2]


def test_batches_together_have_no_more_sends_than_may_be_at_once() -> None:
    seen = Seen()
    with lane(seen, most=4, concurrency=6, at_once=6, queue=3) as one:
        assert one.room(under_way=0) == 6 + 3
        one.put([send(n) for n in range(9)], 0)
        until(lambda: seen.called() == 6, what="as many as may be")
        stays(lambda: seen.called() == 6, lambda: one.put([], 0))
    assert seen.called() == 9
    assert max(map(len, seen.calls)) == 4


def test_at_its_end_what_waits_for_a_place_is_not_waited_for() -> None:
    seen = Seen()
    channel = Channel("sms", Many(8), Key(60.0), concurrency=8, at_once=8)
    one = Lane(channel, call=seen.call, hold=seen.hold, patience=60.0, boottime=boottime)

    def wait_called(so_many: int) -> None:
        until(lambda: seen.called() == so_many, what=f"{so_many} sends are in calls")

    # One after the other, so that there are threads that have nothing to do afterwards.
    for number in range(6):
        one.put([send(number)], 0)
        wait_called(number + 1)
    seen.let_go.set()
    until(lambda: one._idle == 6, what="all threads are idle")
    seen.let_go.clear()
    one.put([send(n) for n in range(10, 18)], 0)
    wait_called(14)  # every place is taken
    one.put([send(n) for n in range(20, 24)], 0)
    ending = threading.Thread(target=one.stop, daemon=True)
    ending.start()
    wait_called(18)  # each is told that the worker stops
    seen.let_go.set()
    ending.join(30)
    assert not ending.is_alive(), "a thread waits for a place that nobody will tell it of"


def test_a_place_that_is_free_again_is_taken_though_a_question_comes_first() -> None:
    seen = Seen()
    asked, answer = threading.Event(), threading.Event()

    def question() -> None:
        asked.set()
        assert answer.wait(30)

    with lane(seen, most=2, concurrency=3, at_once=2) as one:
        one.put([send(n) for n in range(2)], 0)
        until(lambda: seen.called() == 2, what="both places are taken")
        one.put([send(2)], 0)
        one.ask(question)
        assert asked.wait(30)
        seen.let_go.set()
        until(lambda: seen.called() == 3, what="the one that waited")
        answer.set()


def test_a_batch_stays_below_what_a_host_reads() -> None:
    seen = Seen()
    large = '{"text": "' + "x" * 200_000 + '"}'
    with lane(seen, most=100, concurrency=1) as one:
        one.put([send(0), *(send(n, large) for n in range(1, 6))], 0)
        until(lambda: seen.calls, what="the first call")
    assert all(len(keys) <= 3 for keys in seen.calls)
    assert seen.called() == 6


def test_what_cannot_leave_in_time_by_the_rate_is_held() -> None:
    seen = Seen()
    seen.let_go.set()
    with lane(seen, patience=5.0, rate=Rate(1, 3600.0)) as one:
        one.put([send(n) for n in range(3)], 0)
        until(lambda: len(seen.held) == 2, what="the others are held")
    assert seen.calls == [["key-0"]]
    assert seen.held == [(f"key-{n}", "rate limit: 1 in 3600 s") for n in (1, 2)]


def test_what_was_held_after_all_leaves_its_place_in_the_rate_to_others() -> None:
    seen = Seen()
    seen.let_go.set()
    channel = Channel("sms", Many(1), Key(60.0), concurrency=1, rate=Rate(1, 3600.0))
    refusing = Lane(
        channel,
        call=lambda batch: 0 * seen.call(batch),
        hold=seen.hold,
        patience=5.0,
        boottime=boottime,
    )
    refusing.put([send(n) for n in range(4)], 0)
    until(lambda: seen.called() == 4, what="each had the token that the last gave back")
    refusing.stop()
    assert refusing.room(under_way=0) == 1
    assert seen.held == []


def test_there_is_room_for_what_the_rate_lets_through_in_time() -> None:
    seen = Seen()
    with lane(seen, patience=5.0, rate=Rate(20, 1.0)) as one:
        assert one.room(under_way=0) == 1 + 100
        one.share(0.5)
        assert one.room(under_way=0) == 1 + 50
    with lane(seen, patience=5.0, rate=Rate(1, 3600.0)) as slow:
        slow.put([send(0)], 0)
        until(lambda: seen.called() == 1, what="the call")
        until(lambda: slow.room(under_way=0) == 0, what="no room for an hour")


def test_of_what_cannot_be_told_again_few_are_ahead() -> None:
    with lane(Seen(), concurrency=2, dedupe=NoDedupe()) as one:
        assert one.room(under_way=0) == 32


def test_at_its_end_what_waits_for_the_rate_is_not_waited_for() -> None:
    seen = Seen()
    seen.let_go.set()
    with lane(seen, patience=7200.0, rate=Rate(1, 3600.0)) as one:
        one.put([send(n) for n in range(3)], 0)
        until(lambda: seen.called() == 1, what="the first")
    assert seen.called() == 3, "each is told that the worker stops"


@pytest.mark.parametrize("rate", [Rate(0, 1.0), Rate(1, 0.0)])
def test_a_rate_that_cannot_work_is_refused(rate: Rate) -> None:
    with pytest.raises(BadLimit, match="rate limit"), lane(Seen(), rate=rate):
        pass
