"""Outcomes: how hand-overs ended, written in batches.

Only a definite non-acceptance is ever tried again. What is in doubt has no outcome yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.ledger import Kind, LedgerRow
from wayfare_engine.ledger.bodies import Outcome
from wayfare_engine.outbox.channel import Channel, Send
from wayfare_engine.outbox.facts import Origin, record
from wayfare_engine.outbox.holds import hold, release

_writing = crash_point("outbox.outcome.writing", "hand-overs ended; nothing is written")
_written = crash_point("outbox.outcome.written", "the outcomes are committed")

Ending = Literal["Accepted", "Rejected", "NotAccepted", "Unknown", "Expired", "Held"]


@dataclass(frozen=True)
class Ended:
    """How one hand-over ended."""

    send: Send
    result: Ending
    detail: str = ""
    provider_id: str | None = None


@dataclass(frozen=True)
class Doubt:
    """A hand-over without a definite answer, for this reason: it has no outcome yet."""

    send: Send
    detail: str


@dataclass(frozen=True)
class OutcomeBatch:
    """Rows with their ids: a batch whose commit was not answered is written again as it is."""

    ended: tuple[Ended, ...]
    doubts: tuple[Doubt, ...]
    rows: tuple[LedgerRow, ...]
    at: datetime

    @property
    def send_keys(self) -> list[str]:
        """Of all that is in it."""
        return [e.send.send_key for e in self.ended] + [d.send.send_key for d in self.doubts]


def outcome_batch(
    ended: Sequence[Ended],
    doubts: Sequence[Doubt],
    channels: Mapping[str, Channel],
    origin: Origin,
) -> OutcomeBatch:
    """Make the rows. A send that was not accepted for too long is given up: `Rejected`."""
    at = origin.clock()
    final = tuple(_given_up(e, channels, at) for e in ended)
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
            ),
            at,
        )
        for e in final
    )
    return OutcomeBatch(final, tuple(doubts), rows, at)


def write_outcomes(
    connection: Connection[Any], batch: OutcomeBatch, channels: Mapping[str, Channel]
) -> None:
    """Write the batch, once however often it is called with it.

    Raises StaleEpoch when the epoch is over at this database, and psycopg.Error.
    """
    holds = {
        send.send_key: (batch.at + _pause(send, channels), detail or "not accepted")
        for send, detail in (
            *((e.send, e.detail) for e in batch.ended if e.result == "NotAccepted"),
            *((d.send, f"in doubt: {d.detail}") for d in batch.doubts),
        )
    }
    with connection.transaction():
        if batch.rows and _present(connection, batch.rows[0]):
            return
        _writing()
        if batch.rows:
            record(connection, batch.rows)
        hold(connection, holds)
        release(connection, [e.send.send_key for e in batch.ended if e.result != "NotAccepted"])
    _written()


def _present(connection: Connection[Any], row: LedgerRow) -> bool:
    found = connection.execute("SELECT 1 FROM wayfare.ledger WHERE id = %s", (row.id,)).fetchone()
    return found is not None


def _given_up(ended: Ended, channels: Mapping[str, Channel], at: datetime) -> Ended:
    retry = channels[ended.send.channel].retry
    too_long = at - ended.send.due > timedelta(seconds=retry.give_up_after)
    if ended.result == "NotAccepted" and too_long:
        return Ended(ended.send, "Rejected", f"given up, not accepted: {ended.detail}"[:300])
    return ended


def _pause(send: Send, channels: Mapping[str, Channel]) -> timedelta:
    retry = channels[send.channel].retry
    return timedelta(seconds=retry.pause_after(send.attempt))
