"""Outcomes: how hand-overs ended, written in batches.

Only a definite non-acceptance is ever tried again, or goes on through the fallback channel. What is
in doubt has no outcome yet.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Literal

from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.ledger import Kind, LedgerRow
from wayfare_engine.ledger.bodies import Cause, Outcome
from wayfare_engine.outbox.channel import Channel, Send
from wayfare_engine.outbox.facts import Origin, record
from wayfare_engine.outbox.holds import hold, release
from wayfare_engine.outbox.retries import Retries, too_many

_writing = crash_point("outbox.outcome.writing", "hand-overs ended; nothing is written")
_written = crash_point("outbox.outcome.written", "the outcomes are committed")

Ending = Literal["Accepted", "Rejected", "NotAccepted", "Unknown", "Expired", "Held"]


@dataclass(frozen=True)
class Ended:
    """How one hand-over ended. What is `Rejected` without a cause was refused by its channel."""

    send: Send
    result: Ending
    detail: str = ""
    provider_id: str | None = None
    fallback: str | None = None
    cause: Cause | None = None


@dataclass(frozen=True)
class Doubt:
    """A hand-over without a definite answer, for this reason: it has no outcome yet."""

    send: Send
    detail: str


@dataclass(frozen=True)
class OutcomeBatch:
    """Rows with their ids: a batch whose commit was not answered is written again as it is.
    `pauses`: seconds until what waits is looked at again, by send key."""

    ended: tuple[Ended, ...]
    doubts: tuple[Doubt, ...]
    rows: tuple[LedgerRow, ...]
    at: datetime
    pauses: Mapping[str, float]

    @property
    def send_keys(self) -> list[str]:
        """Of all that is in it."""
        return [e.send.send_key for e in self.ended] + [d.send.send_key for d in self.doubts]


def outcome_batch(
    ended: Sequence[Ended],
    doubts: Sequence[Doubt],
    channels: Mapping[str, Channel],
    origin: Origin,
    retries: Retries | None = None,
) -> OutcomeBatch:
    """Make the rows. A send that was not accepted too often or for too long is given up:
    `Rejected`. What its channel rejected goes on through the fallback, if there is one."""
    at = origin.clock()
    retries = retries or Retries(channels, clock=time.monotonic, random=Random())  # noqa: S311
    final = tuple(fall_back(_given_up(e, channels, at), channels) for e in ended)
    rows = tuple(
        origin.row(
            Kind.OUTCOME,
            e.send.customer,
            Outcome(
                send_key=e.send.send_key,
                attempt=e.send.attempt,
                result=e.result,
                detail=e.detail,
                provider_id=e.provider_id,
                fallback=e.fallback,
                cause=(e.cause or "Channel") if e.result == "Rejected" else None,
            ),
            at,
        )
        for e in final
    )
    pauses = {e.send.send_key: retries.pause(e.send, e.send.tries + 1) for e in final if _waits(e)}
    pauses |= {d.send.send_key: retries.pause(d.send, d.send.attempt) for d in doubts}
    return OutcomeBatch(final, tuple(doubts), rows, at, pauses)


def write_outcomes(connection: Connection[Any], batch: OutcomeBatch) -> None:
    """Write the batch, once however often it is called with it.

    Raises StaleEpoch when the epoch is over at this database, and psycopg.Error.
    """
    waiting = {e.send.send_key: e.detail or "not accepted" for e in batch.ended if _waits(e)}
    waiting |= {d.send.send_key: f"in doubt: {d.detail}" for d in batch.doubts}
    holds = {
        key: (batch.at + timedelta(seconds=batch.pauses[key]), why) for key, why in waiting.items()
    }
    tries = {e.send.send_key: e.send.tries + 1 for e in batch.ended if _waits(e)}
    with connection.transaction():
        if batch.rows and _present(connection, batch.rows[0]):
            return
        _writing()
        if batch.rows:
            record(connection, batch.rows)
        hold(connection, holds, tries)
        release(connection, [e.send.send_key for e in batch.ended if _is_through(e)])
    _written()


def _present(connection: Connection[Any], row: LedgerRow) -> bool:
    found = connection.execute("SELECT 1 FROM wayfare.ledger WHERE id = %s", (row.id,)).fetchone()
    return found is not None


def _given_up(ended: Ended, channels: Mapping[str, Channel], at: datetime) -> Ended:
    if ended.result != "NotAccepted":
        return ended
    began = ended.send.replayed_at or ended.send.due
    too_long = at - began > timedelta(seconds=give_up_after(ended.send, channels))
    if not too_long and not too_many(ended.send, channels[ended.send.channel].retry):
        return ended
    return replace(
        ended,
        result="Rejected",
        detail=f"given up, not accepted: {ended.detail}"[:300],
        cause="GivenUp",
    )


def fall_back(ended: Ended, channels: Mapping[str, Channel]) -> Ended:
    """The outcome as it is written: with the channel that the send goes on through.

    Pure. A repeat of what was in doubt never falls back: an earlier attempt may have taken effect.
    """
    send = ended.send
    target = channels[send.channel].fallback
    if ended.result == "Rejected" and target in channels and not send.in_doubt:
        return replace(ended, result="NotAccepted", fallback=target)
    if ended.result in ("NotAccepted", "Held") and send.moved:
        return replace(ended, fallback=send.channel)
    return ended


def give_up_after(send: Send, channels: Mapping[str, Channel]) -> float:
    """Seconds from when the send was due, or replayed: each channel on its way has its own time."""
    total, name = 0.0, send.planned or send.channel
    passed: set[str] = set()
    while name != send.channel and name in channels and name not in passed:
        passed.add(name)
        total += channels[name].retry.give_up_after
        name = channels[name].fallback or send.channel
    return total + channels[send.channel].retry.give_up_after


def _moves(ended: Ended) -> bool:
    return ended.fallback is not None and ended.fallback != ended.send.channel


def _waits(ended: Ended) -> bool:
    """Whether it pauses before its next turn: not when another channel takes it over."""
    return ended.result == "NotAccepted" and not _moves(ended)


def _is_through(ended: Ended) -> bool:
    """Whether its channel has no more to do with it. What is held has its turn at once, and keeps
    the count of its tries."""
    return not _waits(ended) and (ended.result != "Held" or _moves(ended))
