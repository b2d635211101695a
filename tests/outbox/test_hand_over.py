"""One hand-over alone: what its answer is when time passes meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.servers.receivers import boottime
from wayfare_engine.outbox import Channel, Key, Send
from wayfare_engine.outbox.channel import Answer, HandOver, Reading, Result
from wayfare_engine.outbox.hand_over import hand_over

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
SEND = Send("key", "anna", "sms", "{}", 1, AT, expires=AT + timedelta(seconds=1))


@dataclass
class Slow:
    """A host whose answers take two seconds each, by a clock that only they move."""

    results: list[Result]
    at: datetime = AT
    taken: list[str] = field(default_factory=list)

    def reading(self, youngest: float) -> Reading:
        return Reading("", boottime())

    def batch_size(self) -> int:
        return 10

    def hand_over(self, what: HandOver) -> Answer:
        self.at += timedelta(seconds=2)
        self.taken.append(what.send.send_key)
        return Answer(self.results.pop(0))

    def hand_over_batch(self, what: Sequence[HandOver]) -> Sequence[Answer]:
        return [self.hand_over(one) for one in what]

    def took_effect(self, send_key: str, seconds: float) -> bool:
        raise AssertionError("nobody is to ask")


class Held:
    def may_send(self) -> float:
        return 60.0


def handed(host: Slow, sends: Sequence[Send]) -> list[Result]:
    answers = hand_over(
        Channel("sms", host, Key(60.0)),
        sends,
        site="east",
        epoch=1,
        guard=Held(),
        window=5.0,
        session_alive_at=boottime,
        boottime=boottime,
        clock=lambda: host.at,
    )
    return [answer.result for answer in answers]


@pytest.mark.parametrize("result", [Result.ACCEPTED, Result.IN_DOUBT, Result.REJECTED])
def test_what_expires_while_it_is_answered_keeps_its_answer(result: Result) -> None:
    host = Slow([result])
    assert handed(host, [SEND]) == [result]
    assert host.taken == ["key"]


def test_what_the_provider_may_forget_meanwhile_keeps_its_answer() -> None:
    repeat = replace(SEND, expires=None, known_until=AT + timedelta(seconds=1), in_doubt=True)
    assert handed(Slow([Result.ACCEPTED]), [repeat]) == [Result.ACCEPTED]


def test_only_what_was_late_is_handed_over_again_and_not_after_its_time() -> None:
    sends = [SEND, replace(SEND, send_key="late", expires=None), replace(SEND, send_key="over")]
    host = Slow([Result.ACCEPTED, Result.LATE, Result.LATE, Result.ACCEPTED])
    assert handed(host, sends) == [Result.ACCEPTED, Result.ACCEPTED, Result.HELD]
    assert host.taken == ["key", "late", "over", "late"]


def test_what_is_over_before_it_leaves_does_not_leave() -> None:
    host = Slow([], at=AT + timedelta(seconds=1))
    assert handed(host, [SEND]) == [Result.HELD]
    assert host.taken == []
