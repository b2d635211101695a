"""Sends that were dispatched and have no outcome: perhaps they left, perhaps not.

What may be done follows from what the channel declares:

- `Key`: repeat under the same key while the provider surely remembers it, and only where both
  sites use one account. A repeat is a new dispatch, with everything asked again.
- `Query`: ask. "Yes" is an acceptance; "no" is a definite non-acceptance, and its turn comes again.
- otherwise: never repeat. The outcome is `Unknown`, which is listed and counted.

Nothing is decided before H has passed since the last moment at which the hand-over can have
started; from then on it has taken effect or never will.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from psycopg import Connection

from wayfare_engine.outbox.channel import Channel, Dedupe, Key, Query, Send

#: The part of a provider's window that is not used: the clocks of sites and provider differ.
_MARGIN = 0.1

# What is noted as offered is nobody's yet (see `offers`), and what is leased is its puller's.
_DISPATCHED = """
SELECT t.send_key, t.customer_id, t.dispatch_channel, t.payload, t.attempt, t.due,
    coalesce(r.expires, t.expires), t.partition, t.channel, t.test, t.address,
    false, NULL::timestamptz, t.tries, r.at, coalesce(r.attempt, 0),
    t.dispatch_site, t.dispatch_epoch, t.first_dispatched_at
FROM (
    SELECT o.send_key, o.customer_id, o.dispatch_channel, o.payload::text, o.attempt,
        o.due, o.expires, wayfare.send_partition(o.customer_id) AS partition, o.channel,
        coalesce(o.test, false) AS test, o.address, coalesce(h.tries, 0) AS tries,
        o.dispatch_site, o.dispatch_epoch, o.first_dispatched_at, o.dispatched_at
    FROM wayfare.outbox o LEFT JOIN wayfare.send_holds h USING (send_key)
    LEFT JOIN wayfare.pulled w ON w.send_key = o.send_key AND w.dispatch_id = o.dispatch_id
    WHERE o.attempt > o.outcome_attempt
        AND o.outcome IS DISTINCT FROM 'Accepted'
        AND o.due IS NOT NULL
        AND o.dispatch_channel = ANY(%(channels)s)
        AND wayfare.send_partition(o.customer_id) = ANY(%(partitions)s)
        AND (h.until IS NULL OR h.until <= %(now)s)
        AND o.send_key <> ALL(%(under_way)s)
        AND (w.send_key IS NULL OR w.leased_until <= clock_timestamp())
    ORDER BY o.dispatched_at, o.send_key
    LIMIT %(limit)s
) t LEFT JOIN wayfare.rulings r ON r.send_key = t.send_key AND r.action = 'Replay'
ORDER BY t.dispatched_at, t.send_key
"""


@dataclass(frozen=True)
class InDoubt:
    """A dispatch without an outcome. `first_at` is its first dispatch, wherever that was, also when
    it was replayed since: only from then on does a provider surely remember the key."""

    send: Send
    site: str
    epoch: int
    first_at: datetime


@dataclass(frozen=True)
class Repeat:
    """Hand over again under the same key, before `known_until`."""

    known_until: datetime


@dataclass(frozen=True)
class Ask:
    """Ask the provider; after too long, `give_up` instead."""

    give_up: bool


@dataclass(frozen=True)
class GiveUp:
    """`Unknown`, for this reason."""

    detail: str


def in_doubt(
    connection: Connection[Any],
    *,
    channels: Collection[str],
    partitions: Collection[int],
    under_way: Collection[str],
    now: datetime,
    limit: int,
) -> list[InDoubt]:
    """Dispatches without outcome that nobody at this site is handing over, oldest first."""
    found = connection.execute(
        _DISPATCHED,
        {
            "channels": list(channels),
            "partitions": list(partitions),
            "under_way": list(under_way),
            "now": now,
            "limit": limit,
        },
    ).fetchall()
    return [InDoubt(Send(*row[:16]), *row[16:]) for row in found]


def what_to_do(
    doubt: InDoubt, channel: Channel, *, site: str, now: datetime
) -> Repeat | Ask | GiveUp:
    """The rule, as the module's text has it. Pure."""
    # model: RESOLVE
    dedupe: Dedupe = channel.dedupe
    age = now - doubt.first_at
    if not isinstance(dedupe, (Key, Query)):
        return GiveUp("the provider can neither tell a repeat nor be asked")
    if doubt.site != site and not channel.same_account:
        return GiveUp(f"{doubt.site} sends from another account of the provider")
    if isinstance(dedupe, Query):
        return Ask(give_up=age > timedelta(seconds=channel.retry.give_up_after))
    span = timedelta(seconds=dedupe.window * (1 - _MARGIN))
    # A first dispatch in the future is a clock that cannot be used to tell the window.
    if not timedelta(0) <= age <= span:
        return GiveUp("the provider may have forgotten the key")
    if doubt.send.expires is not None and doubt.send.expires <= now:
        return GiveUp("expired while in doubt")
    return Repeat(doubt.first_at + span)


@dataclass(frozen=True)
class UnknownSend:
    """A send of which nobody can say whether it took effect."""

    send_key: str
    customer: str
    channel: str
    dispatched_at: datetime
    site: str
    epoch: int
    detail: str


def unknown_sends(connection: Connection[Any], *, limit: int = 1000) -> list[UnknownSend]:
    """The list of what is `Unknown`, newest first."""
    found = connection.execute(
        "SELECT send_key, customer_id, coalesce(dispatch_channel, channel), dispatched_at, "
        "dispatch_site, dispatch_epoch, coalesce(detail, '') "
        "FROM wayfare.outbox WHERE outcome = 'Unknown' "
        "ORDER BY dispatched_at DESC, send_key LIMIT %s",
        (limit,),
    ).fetchall()
    return [UnknownSend(*row) for row in found]


Standing = Literal["planned", "offered", "in_doubt", "unknown", "accepted", "other"]


def standings(connection: Connection[Any]) -> Mapping[Standing, int]:
    """How many sends stand where."""
    found = connection.execute(
        "SELECT CASE WHEN outcome = 'Accepted' THEN 'accepted' "
        "WHEN attempt > outcome_attempt AND EXISTS (SELECT FROM wayfare.pulled w "
        "WHERE w.send_key = o.send_key AND w.dispatch_id = o.dispatch_id "
        "AND (w.leased_until IS NULL OR w.leased_until > clock_timestamp())) THEN 'offered' "
        "WHEN attempt > outcome_attempt THEN 'in_doubt' "
        "WHEN outcome IS NULL OR outcome IN ('NotAccepted', 'Held') THEN 'planned' "
        "WHEN outcome = 'Unknown' THEN 'unknown' ELSE 'other' END, count(*) "
        "FROM wayfare.outbox o GROUP BY 1"
    ).fetchall()
    return {name: int(count) for name, count in found}
