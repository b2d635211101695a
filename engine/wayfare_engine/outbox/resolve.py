"""Doing what the rules of `in_doubt` say, for a batch of sends at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from wayfare_engine.outbox.channel import Channel, Send
from wayfare_engine.outbox.checks import Check, Later, Refused, ask
from wayfare_engine.outbox.dispatch import Turn, committed, dispatch
from wayfare_engine.outbox.facts import Origin
from wayfare_engine.outbox.holds import hold
from wayfare_engine.outbox.in_doubt import Ask, GiveUp, InDoubt, what_to_do
from wayfare_engine.outbox.outcome import Ended

_LOOK_AGAIN = timedelta(seconds=5)


@dataclass(frozen=True)
class Question:
    """The provider is to be asked about `send`; without an answer it is `Unknown` if `last`."""

    send: Send
    last: bool


@dataclass(frozen=True)
class Resolved:
    """`unknown` are final, or known by their receipts; `repeated` were dispatched again;
    `questions` are still to be put."""

    unknown: tuple[Ended, ...]
    repeated: Turn
    questions: tuple[Question, ...]


def resolve(
    connection: Connection[Any],
    doubts: Sequence[InDoubt],
    origin: Origin,
    *,
    channels: Mapping[str, Channel],
    checks: Sequence[Check],
    silent: Collection[str] = (),
) -> Resolved:
    """Decide about sends whose hand-over can no longer take effect. The caller owns their
    partitions, and nothing of theirs is under way. What would be repeated through a channel of
    `silent`, for whose sends nobody asks, is looked at again later.

    A repeat that a check forbids by now is not made: then it stays unknown whether the first
    hand-over took effect. Raises StaleEpoch and psycopg.Error.
    """
    now = origin.clock()
    unknown: list[Ended] = []
    questions: list[Question] = []
    repeats: list[Send] = []
    holds: dict[str, tuple[datetime, str]] = {}
    for doubt in doubts:
        what = what_to_do(doubt, channels[doubt.send.channel], site=origin.site, now=now)
        if isinstance(what, GiveUp):
            unknown.append(Ended(doubt.send, "Unknown", what.detail))
        elif isinstance(what, Ask):
            questions.append(Question(doubt.send, what.give_up))
        elif doubt.send.channel in silent:
            later = min(now + _LOOK_AGAIN, what.known_until)
            holds[doubt.send.send_key] = (later, "in doubt, and nobody asks for it")
        else:
            repeats.append(replace(doubt.send, in_doubt=True, known_until=what.known_until))
    with connection.transaction():
        verdicts = ask(checks, connection, repeats, now)
        allowed: list[Send] = []
        for send in repeats:
            verdict = verdicts.get(send.send_key)
            if verdict is None:
                allowed.append(send)
            elif isinstance(verdict, Refused) and verdict.result == "Accepted":
                unknown.append(Ended(send, "Accepted", verdict.detail))
            elif isinstance(verdict, Refused):
                unknown.append(Ended(send, "Unknown", f"{verdict.detail}, while in doubt"))
            else:
                assert isinstance(verdict, Later), "what is in doubt goes nowhere else"
                holds[send.send_key] = (verdict.until, verdict.detail)
        hold(connection, holds)
        turn = dispatch(connection, origin, allowed, channels=channels, checks=(), now=now)
    committed(turn)
    return Resolved(tuple(unknown), turn, tuple(questions))
