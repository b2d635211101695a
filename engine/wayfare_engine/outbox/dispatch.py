"""Dispatch: a planned send's turn has come, and everything that could forbid it is asked again.

The dispatch is a row of the ledger. For a `Journaled` channel nothing leaves before that row is in
the object store. (Model: `dispatch`, then `seal`, then `send`.)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.ledger import Kind, LedgerRow
from wayfare_engine.ledger.bodies import Dispatch, Outcome
from wayfare_engine.outbox.channel import Channel, Send
from wayfare_engine.outbox.checks import Check, Elsewhere, Later, Refused, ask, expiry
from wayfare_engine.outbox.facts import Origin, record
from wayfare_engine.outbox.holds import hold
from wayfare_engine.outbox.offers import note

_writing = crash_point("outbox.dispatch.writing", "turns were chosen; nothing is written")
_written = crash_point("outbox.dispatch.written", "dispatches are committed; nothing has left")

# A customer's sends go one after the other: nothing is taken for whom another is under way. A send
# that a merge decides about just now is left to the next turn. A channel that is full holds up its
# customers' later sends: they go in the order in which they are due. While a send is offered or
# in a puller's hands, its customer's later sends of that channel wait, those of others do not.
_OPEN = """
SELECT o.send_key, o.customer_id, coalesce(o.fallback, o.channel), o.payload::text,
    o.outcome_attempt, o.due, o.expires, wayfare.send_partition(o.customer_id), o.channel
FROM wayfare.outbox o LEFT JOIN wayfare.send_holds h USING (send_key)
WHERE (o.outcome IS NULL OR o.outcome IN ('NotAccepted', 'Held'))
    AND o.attempt <= o.outcome_attempt
    AND o.due <= %(now)s
    AND coalesce(o.fallback, o.channel) = ANY(%(channels)s)
    AND wayfare.send_partition(o.customer_id) = ANY(%(partitions)s)
    AND (h.until IS NULL OR h.until <= %(now)s)
    AND o.customer_id <> ALL(%(busy)s)
    AND NOT EXISTS (SELECT FROM wayfare.pulled w
        WHERE w.customer_id = o.customer_id AND w.channel = coalesce(o.fallback, o.channel)
            AND w.send_key <> o.send_key)
    AND (NOT %(some_full)s OR NOT EXISTS (
        SELECT FROM wayfare.outbox p
        WHERE p.customer_id = o.customer_id AND coalesce(p.fallback, p.channel) = ANY(%(full)s)
            AND (p.due, p.send_key) < (o.due, o.send_key)
            AND (p.outcome IS NULL OR p.outcome IN ('NotAccepted', 'Held'))
            AND p.attempt <= p.outcome_attempt
            AND NOT EXISTS (SELECT FROM wayfare.send_holds q
                WHERE q.send_key = p.send_key AND q.until > %(now)s)))
ORDER BY o.due, o.send_key
LIMIT %(limit)s
FOR UPDATE OF o SKIP LOCKED
"""


@dataclass(frozen=True)
class Turn:
    """What one transaction dispatched. `tx` is 0 when it wrote nothing.

    `refused` counts sends that ended here, `held` those that have to wait.
    """

    sends: tuple[Send, ...] = ()
    tx: int = 0
    refused: int = 0
    held: int = 0


def take_turns(
    connection: Connection[Any],
    origin: Origin,
    *,
    channels: Mapping[str, Channel],
    partitions: Collection[int],
    busy: Collection[str],
    checks: Sequence[Check],
    limit: int,
    room: Mapping[str, int],
) -> Turn:
    """Dispatch what is due, at most one send a customer, and no more of a channel than there is
    `room` for (no limit where it says nothing). The caller owns the partitions.

    Raises StaleEpoch when the epoch is over at this database, and psycopg.Error.
    """
    now = origin.clock()
    full = [name for name in channels if room.get(name, 1) <= 0]
    with connection.transaction():
        found = connection.execute(
            _OPEN,
            {
                "now": now,
                "channels": [name for name in channels if name not in full],
                "full": full,
                "some_full": bool(full),
                "partitions": list(partitions),
                "busy": list(busy),
                "limit": limit,
            },
        ).fetchall()
        first_of: dict[str, Send] = {}
        for row in found:
            first_of.setdefault(row[1], Send(*row))
        sends = _within(list(first_of.values()), room)
        turn = dispatch(connection, origin, sends, channels=channels, checks=checks, now=now)
    committed(turn)
    return turn


def _within(sends: Sequence[Send], room: Mapping[str, int]) -> list[Send]:
    """Without those for which their channel has no room."""
    left = dict(room)
    found = []
    for send in sends:
        if left.get(send.channel, 1) > 0:
            found.append(send)
            if send.channel in left:
                left[send.channel] -= 1
    return found


def dispatch(
    connection: Connection[Any],
    origin: Origin,
    sends: Sequence[Send],
    *,
    channels: Mapping[str, Channel],
    checks: Sequence[Check],
    now: datetime,
) -> Turn:
    """Ask again, and write a dispatch, an end, or a hold for each. `attempt` counts on from each
    send's own. Inside a transaction of the caller's, who calls `committed` after it."""
    if not sends:
        return Turn()
    # model: DISPATCH
    verdicts = ask(checks, connection, sends, now)
    rows: list[LedgerRow] = []
    going: list[tuple[Send, LedgerRow]] = []
    holds: dict[str, tuple[datetime, str]] = {}
    for send in sends:
        verdict = verdicts.get(send.send_key)
        if isinstance(verdict, Later):
            # What expires while it is held back is looked at then, and recorded as expired.
            until = verdict.until if send.expires is None else min(verdict.until, send.expires)
            holds[send.send_key] = (until, verdict.detail)
            continue
        send = replace(send, attempt=send.attempt + 1)
        if isinstance(verdict, Refused | Elsewhere):
            body = Outcome(
                send_key=send.send_key,
                attempt=send.attempt,
                result=verdict.result if isinstance(verdict, Refused) else "NotAccepted",
                detail=verdict.detail,
                fallback=(
                    channels[send.channel].fallback if isinstance(verdict, Elsewhere) else None
                ),
            )
            rows.append(origin.row(Kind.OUTCOME, send.customer, body, now))
            continue
        row = origin.row(
            Kind.DISPATCH,
            send.customer,
            Dispatch(
                send_key=send.send_key,
                attempt=send.attempt,
                channel=send.channel,
                guard=channels[send.channel].guard,
            ),
            now,
        )
        going.append((send, row))
        rows.append(row)
    tx = 0
    with connection.transaction():
        hold(connection, holds)
        if rows:
            _writing()
            tx = record(connection, rows)
            note(connection, going, channels)
    return Turn(
        tuple(send for send, _ in going), tx, refused=len(rows) - len(going), held=len(holds)
    )


def committed(turn: Turn) -> None:
    """To be called when the transaction that `turn` is of has ended."""
    if turn.tx:
        _written()


_EXPIRED = """
SELECT o.send_key, o.customer_id, coalesce(o.fallback, o.channel), '{}',
    o.outcome_attempt, o.due, o.expires, wayfare.send_partition(o.customer_id), o.channel
FROM wayfare.outbox o
WHERE (o.outcome IS NULL OR o.outcome IN ('NotAccepted', 'Held'))
    AND o.attempt <= o.outcome_attempt
    AND o.expires <= %(now)s
    AND coalesce(o.fallback, o.channel) = ANY(%(channels)s)
    AND wayfare.send_partition(o.customer_id) = ANY(%(partitions)s)
    AND o.customer_id <> ALL(%(busy)s)
LIMIT %(limit)s
"""


def end_expired(
    connection: Connection[Any],
    origin: Origin,
    *,
    channels: Mapping[str, Channel],
    partitions: Collection[int],
    busy: Collection[str],
    limit: int,
) -> int:
    """End what expired while it waited, whether or not anything may be sent; returns how many."""
    now = origin.clock()
    found = connection.execute(
        _EXPIRED,
        {
            "now": now,
            "channels": list(channels),
            "partitions": list(partitions),
            "busy": list(busy),
            "limit": limit,
        },
    ).fetchall()
    sends = [Send(*row) for row in found]
    turn = dispatch(connection, origin, sends, channels=channels, checks=(expiry,), now=now)
    committed(turn)
    return turn.refused
