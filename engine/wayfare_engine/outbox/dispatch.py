"""Dispatch: a planned send's turn has come, and everything that could forbid it is asked again.

The dispatch is a row of the ledger. For a `Journaled` channel nothing leaves before that row is in
the object store. (Model: `dispatch`, then `seal`, then `send`.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.ledger import Kind, LedgerRow
from wayfare_engine.ledger.bodies import Cause, Dispatch, Outcome
from wayfare_engine.outbox.channel import Channel, Send
from wayfare_engine.outbox.checks import Check, Elsewhere, Later, Refused, ask, expiry
from wayfare_engine.outbox.facts import Origin, record
from wayfare_engine.outbox.holds import hold, release
from wayfare_engine.outbox.offers import note
from wayfare_engine.outbox.retries import Retries

_writing = crash_point("outbox.dispatch.writing", "turns were chosen; nothing is written")
_written = crash_point("outbox.dispatch.written", "dispatches are committed; nothing has left")

# A customer's sends go one after the other: nothing is taken for whom another is under way, or is
# due earlier and not set aside. Through one channel they keep their order: what waits for its next
# try, or is in doubt, holds up those that are due later. What a rule holds back (a cap, quiet
# hours) does not, and neither does another channel. Each channel is asked for as much as it has
# room for, so that no channel's backlog takes the place of another's. A send that a merge decides
# about just now is left to the next turn. While a send is offered or in a puller's hands, its
# customer's later sends of that channel wait, those of others do not.
# `|| ''`: the look for what is due earlier goes by the customer. Before the table's first ANALYZE,
# PostgreSQL would rather go through the channel's whole backlog for each send.
_OPEN = """
SELECT turn.send_key, turn.customer_id, turn.name, turn.payload, turn.outcome_attempt, turn.due,
    coalesce(r.expires, turn.expires), turn.partition, turn.channel, turn.test, turn.address,
    false, NULL::timestamptz, turn.tries, r.at, coalesce(r.attempt, 0)
FROM unnest(%(channels)s::text[], %(limits)s::int[]) AS c (name, most)
CROSS JOIN LATERAL (
    SELECT o.send_key, o.customer_id, c.name, o.payload::text, o.outcome_attempt, o.due, o.expires,
        wayfare.send_partition(o.customer_id) AS partition, o.channel,
        coalesce(o.test, false) AS test, o.address, coalesce(h.tries, 0) AS tries
    FROM wayfare.outbox o LEFT JOIN wayfare.send_holds h USING (send_key)
    WHERE (o.outcome IS NULL OR o.outcome IN ('NotAccepted', 'Held'))
        AND o.attempt <= o.outcome_attempt
        AND o.due <= %(now)s
        AND coalesce(o.fallback, o.channel) = c.name
        AND wayfare.send_partition(o.customer_id) = ANY(%(partitions)s)
        AND (h.until IS NULL OR h.until <= %(now)s)
        AND (h.tries IS NULL OR h.tries = 0 OR c.name <> ALL(%(spent)s))
        AND o.customer_id <> ALL(%(busy)s)
        AND (c.name <> ALL(%(fetched)s) OR NOT EXISTS (
            SELECT FROM wayfare.pulled w
            WHERE w.customer_id = o.customer_id AND w.channel = c.name
                AND w.send_key <> o.send_key))
        AND NOT EXISTS (
            SELECT FROM wayfare.outbox p JOIN wayfare.send_holds q USING (send_key)
            WHERE p.customer_id = o.customer_id
                AND p.due <= o.due AND (p.due, p.send_key) < (o.due, o.send_key)
                AND coalesce(p.fallback, p.channel) || '' = c.name
                AND (p.outcome IS NULL OR p.outcome IN ('NotAccepted', 'Held'))
                AND p.attempt <= p.outcome_attempt
                AND NOT q.by_rule
                AND (q.until > %(now)s OR (q.tries > 0 AND c.name = ANY(%(spent)s))))
        AND NOT EXISTS (
            SELECT FROM wayfare.outbox p
            WHERE p.customer_id = o.customer_id AND p.dispatch_channel = c.name
                AND p.attempt > p.outcome_attempt AND p.outcome IS DISTINCT FROM 'Accepted'
                AND (p.due, p.send_key) < (o.due, o.send_key))
        AND (%(alone)s OR NOT EXISTS (
            SELECT FROM wayfare.outbox p LEFT JOIN wayfare.send_holds q USING (send_key)
            WHERE p.customer_id = o.customer_id
                AND p.due <= o.due AND (p.due, p.send_key) < (o.due, o.send_key)
                AND coalesce(p.fallback, p.channel) || '' = ANY(%(all)s)
                AND (p.outcome IS NULL OR p.outcome IN ('NotAccepted', 'Held'))
                AND p.attempt <= p.outcome_attempt
                AND (q.until IS NULL OR q.until <= %(now)s)
                AND (q.tries IS NULL OR q.tries = 0
                    OR coalesce(p.fallback, p.channel) <> ALL(%(spent)s))
                AND (coalesce(p.fallback, p.channel) <> ALL(%(fetched)s) OR NOT EXISTS (
                    SELECT FROM wayfare.pulled w
                    WHERE w.customer_id = p.customer_id
                        AND w.channel = coalesce(p.fallback, p.channel)
                        AND w.send_key <> p.send_key))))
    ORDER BY o.due, o.send_key
    LIMIT c.most
    FOR UPDATE OF o SKIP LOCKED
) turn LEFT JOIN wayfare.rulings r ON r.send_key = turn.send_key AND r.action = 'Replay'
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
    retries: Retries | None = None,
) -> Turn:
    """Dispatch what is due: at most one send a customer, `limit` in all, and no more of a channel
    than there is `room` for (no limit where it says nothing) and `retries` allow. The caller owns
    the partitions.

    Raises StaleEpoch when the epoch is over at this database, and psycopg.Error.
    """
    now = origin.clock()
    most = {name: min(limit, room.get(name, limit)) for name in channels}
    open_ones = [name for name in channels if most[name] > 0]
    if not open_ones:
        return Turn()
    # Nothing waits for a puller apart from what it is to fetch: a channel that is full of offers
    # holds up no other.
    fetched = [name for name, channel in channels.items() if channel.fetched]
    with connection.transaction():
        found = connection.execute(
            _OPEN,
            {
                "now": now,
                "all": [name for name in channels if name in open_ones or name not in fetched],
                "alone": len(channels) == 1,
                "fetched": fetched,
                "channels": open_ones,
                "limits": [most[name] for name in open_ones],
                "spent": retries.spent() if retries is not None else [],
                "partitions": list(partitions),
                "busy": list(busy),
            },
        ).fetchall()
        first_of: dict[str, Send] = {}
        for row in sorted(found, key=lambda row: (row[5], row[0])):
            first_of.setdefault(row[1], Send(*row))
        sends = _fairly(list(first_of.values()), limit)
        if retries is not None:
            sends = retries.admitted(sends)
        turn = dispatch(connection, origin, sends, channels=channels, checks=checks, now=now)
    committed(turn)
    return turn


def _fairly(sends: Sequence[Send], limit: int) -> list[Send]:
    """At most `limit` of them: of each channel its first, then of each its second, and so on."""
    if len(sends) <= limit:
        return list(sends)
    places: Counter[str] = Counter()
    ranked = []
    for send in sends:
        places[send.channel] += 1
        ranked.append((places[send.channel], send))
    ranked.sort(key=lambda one: one[0])
    return [send for _, send in ranked[:limit]]


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
    through: list[str] = []
    by_rule: set[str] = set()
    for send in sends:
        verdict = verdicts.get(send.send_key)
        if isinstance(verdict, Later):
            if verdict.by_rule:
                by_rule.add(send.send_key)
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
                cause=_cause(verdict),
            )
            rows.append(origin.row(Kind.OUTCOME, send.customer, body, now))
            through.append(send.send_key)
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
        hold(connection, holds, by_rule=by_rule)
        release(connection, through)
        if rows:
            _writing()
            tx = record(connection, rows)
            note(connection, going, channels)
    return Turn(
        tuple(send for send, _ in going), tx, refused=len(rows) - len(going), held=len(holds)
    )


def _cause(verdict: Refused | Elsewhere) -> Cause | None:
    ends = isinstance(verdict, Refused) and verdict.result != "Accepted"
    return verdict.cause if isinstance(verdict, Refused) and ends else None


def committed(turn: Turn) -> None:
    """To be called when the transaction that `turn` is of has ended."""
    if turn.tx:
        _written()


_EXPIRED = """
SELECT o.send_key, o.customer_id, coalesce(o.fallback, o.channel), '{}',
    o.outcome_attempt, o.due, coalesce(r.expires, o.expires),
    wayfare.send_partition(o.customer_id), o.channel, coalesce(o.test, false), o.address
FROM wayfare.outbox o
    LEFT JOIN wayfare.rulings r ON r.send_key = o.send_key AND r.action = 'Replay'
WHERE (o.outcome IS NULL OR o.outcome IN ('NotAccepted', 'Held'))
    AND o.attempt <= o.outcome_attempt
    AND o.expires <= %(now)s
    AND coalesce(r.expires, o.expires) <= %(now)s
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
