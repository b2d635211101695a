"""Pull: a channel that is not called. Its sends are offered, and a system fetches them.

A dispatch of such a channel is noted in `wayfare.pulled` in the transaction that writes it; to hand
it over is to offer it there, once it is in the store. From then on it has no outcome until the
puller acknowledges it (`acknowledging`), its lease lapses, or nobody fetched it in time:

- never given to anybody: certain, `Held`; its turn comes again and everything is asked again;
- given to somebody, and the lease has lapsed: in doubt, and the channel's dedupe class decides.

What is not noted was dispatched by another database, or by one that is lost: in doubt as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from psycopg import Connection

from wayfare_engine.ledger import LedgerRow, StaleEpoch, fence
from wayfare_engine.outbox.channel import (
    Answer,
    Channel,
    HandOver,
    HostUnreachable,
    Reading,
    Result,
    Send,
)
from wayfare_engine.outbox.facts import Origin
from wayfare_engine.outbox.outcome import Ended, give_up_after, outcome_batch, write_outcomes
from wayfare_engine.outbox.own_line import OwnLine
from wayfare_engine.outbox.retries import pause_after, too_many
from wayfare_engine.store.postgresql import Away, patient

#: For so long an offer stands before everything is asked again, in seconds; and when nobody has
#: asked for a channel's sends for so long, none of them is dispatched.
OFFERED_FOR = 60.0

_NOTE = """
INSERT INTO wayfare.pulled (send_key, attempt, dispatch_id, epoch, channel, customer_id, in_doubt,
    known_until, rendered, fallback, tries, pause, give_up_at)
SELECT * FROM unnest(%s::text[], %s::int[], %s::uuid[], %s::bigint[], %s::text[], %s::text[],
    %s::boolean[], %s::timestamptz[], %s::boolean[], %s::text[], %s::int[], %s::float8[],
    %s::timestamptz[])
ON CONFLICT (send_key) DO UPDATE SET attempt = excluded.attempt,
    dispatch_id = excluded.dispatch_id, epoch = excluded.epoch, channel = excluded.channel,
    customer_id = excluded.customer_id, in_doubt = excluded.in_doubt,
    known_until = excluded.known_until, rendered = excluded.rendered,
    fallback = excluded.fallback, tries = excluded.tries, pause = excluded.pause,
    give_up_at = excluded.give_up_at, offered_until = NULL, leased_until = NULL
"""
_OFFER = """
UPDATE wayfare.pulled p SET offered_until = clock_timestamp() + make_interval(secs => %(seconds)s)
FROM wayfare.outbox o
WHERE p.send_key = %(send_key)s AND p.attempt = %(attempt)s AND p.epoch = %(epoch)s
    AND p.leased_until IS NULL
    AND o.send_key = p.send_key AND o.dispatch_id = p.dispatch_id
    AND o.outcome_attempt < p.attempt AND o.outcome IS DISTINCT FROM 'Accepted'
"""
_KNOWN = "INSERT INTO wayfare.pullers (channel) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING"
_SILENT = """
SELECT channel FROM wayfare.pullers
WHERE channel = ANY(%s)
    AND (asked_at IS NULL OR asked_at < clock_timestamp() - make_interval(secs => %s))
"""
_COUNT = "SELECT channel, count(*) FROM wayfare.pulled WHERE channel = ANY(%s) GROUP BY channel"
# An offer that nobody fetched, or that its worker died before making. Who fetches just now has the
# row locked.
_UNFETCHED = """
SELECT p.send_key, o.customer_id, p.channel, '{}', p.attempt, o.due, o.expires,
    wayfare.send_partition(o.customer_id), o.channel, coalesce(o.test, false), o.address,
    p.in_doubt, p.known_until, p.tries, p.offered_until IS NOT NULL
FROM wayfare.pulled p JOIN wayfare.outbox o USING (send_key)
WHERE p.leased_until IS NULL
    AND (p.offered_until IS NULL OR p.offered_until <= clock_timestamp())
    AND o.dispatch_id = p.dispatch_id
    AND o.outcome_attempt < p.attempt AND o.outcome IS DISTINCT FROM 'Accepted'
    AND o.due IS NOT NULL
    AND p.channel = ANY(%(channels)s)
    AND wayfare.send_partition(o.customer_id) = ANY(%(partitions)s)
    AND p.send_key <> ALL(%(under_way)s)
LIMIT %(limit)s
FOR UPDATE OF p SKIP LOCKED
"""
_RECALL = """
UPDATE wayfare.pulled SET offered_until = clock_timestamp()
WHERE leased_until IS NULL AND offered_until > clock_timestamp() AND channel = ANY(%s)
"""
_FORGET = "DELETE FROM wayfare.pulled WHERE send_key = ANY(%s)"
# Those that have an outcome, whose send went on through another dispatch, or whose customer is
# erased.
_SETTLED = """
DELETE FROM wayfare.pulled WHERE send_key IN (
    SELECT p.send_key FROM wayfare.pulled p LEFT JOIN wayfare.outbox o USING (send_key)
    WHERE o.send_key IS NULL OR o.dispatch_id <> p.dispatch_id OR o.outcome_attempt >= p.attempt
        OR o.outcome = 'Accepted'
    FOR UPDATE OF p SKIP LOCKED)
"""


class PullHost:
    """The host of one or more channels that are pulled: it offers, and calls nobody.

    `dsn` is of the site's database; `seconds` is for how long an offer stands. A `Channel` with
    this host has `fetched=True` and the dedupe class `Key` (the puller drops repeats of a send key
    within the window) or `NoDedupe`. Safe to use from several threads.
    """

    def __init__(
        self, dsn: str, *, boottime: Callable[[], float], seconds: float = OFFERED_FOR
    ) -> None:
        self._boottime = boottime
        self._seconds = seconds
        self._line = OwnLine(patient(dsn, "wayfare-offers"))

    def reading(self, youngest: float) -> Reading:
        """See `Host.reading`: it is our own clock."""
        now = self._boottime()
        return Reading(repr(now), now)

    def hand_over(self, what: HandOver) -> Answer:
        """Offer it. Whether anybody takes it, an acknowledgement says."""
        send = what.send
        if self._boottime() >= float(what.reading.text) + what.remaining:
            return Answer(Result.LATE, "offered too late")
        try:
            connection = self._line.connection()
        except Away as error:
            return Answer(Result.NOT_ACCEPTED, f"no connection: {type(error).__name__}")
        given = {
            "seconds": self._seconds,
            "send_key": send.send_key,
            "attempt": send.attempt,
            "epoch": what.epoch,
        }
        try:
            with connection.transaction():
                fence.enter(connection, what.epoch)
                offered = connection.execute(_OFFER, given).rowcount
        except StaleEpoch as error:
            return Answer(Result.NOT_ACCEPTED, str(error))
        except Away as error:
            self._line.close()
            return Answer(Result.IN_DOUBT, type(error).__name__)
        if not offered:
            return Answer(Result.NOT_ACCEPTED, "its turn was over before it was offered")
        return Answer(Result.OFFERED)

    def took_effect(self, send_key: str, seconds: float) -> bool:
        """Nobody can be asked."""
        raise HostUnreachable("a system that pulls cannot be asked")


def note(
    connection: Connection[Any],
    sends: Sequence[tuple[Send, LedgerRow]],
    channels: Mapping[str, Channel],
) -> None:
    """Note dispatches (the send with its new attempt, and the dispatch's row) of channels that are
    pulled, in the transaction that writes them."""
    some = [(s, row) for s, row in sends if channels[s.channel].fetched]
    if not some:
        return
    random = Random()  # noqa: S311 - it spreads pauses
    connection.execute(
        _NOTE,
        (
            [s.send_key for s, _ in some],
            [s.attempt for s, _ in some],
            [row.id for _, row in some],
            [row.epoch for _, row in some],
            [s.channel for s, _ in some],
            [s.customer for s, _ in some],
            [s.in_doubt for s, _ in some],
            [s.known_until for s, _ in some],
            [channels[s.channel].prepare is not None for s, _ in some],
            [_fallback(s, channels) for s, _ in some],
            [s.tries for s, _ in some],
            [pause_after(channels[s.channel].retry, s.tries + 1, random) for s, _ in some],
            [_give_up_at(s, channels) for s, _ in some],
        ),
    )


def _give_up_at(send: Send, channels: Mapping[str, Channel]) -> datetime:
    """From then on it is given up when it is not accepted: at once, where it is the last try."""
    began = send.replayed_at or send.due
    if too_many(send, channels[send.channel].retry):
        return began
    return began + timedelta(seconds=give_up_after(send, channels))


def _fallback(send: Send, channels: Mapping[str, Channel]) -> str | None:
    target = channels[send.channel].fallback
    return target if target in channels and not send.in_doubt else None


@dataclass(frozen=True)
class Asked:
    """`silent`: channels that are pulled and for whose sends nobody has asked of late; `out`: how
    many sends of each are noted, offered or leased."""

    silent: frozenset[str] = frozenset()
    out: Mapping[str, int] | None = None

    def of(self, channel: str) -> int:
        """How many of a channel are out."""
        return (self.out or {}).get(channel, 0)


def asked(connection: Connection[Any], channels: Collection[str]) -> Asked:
    """What pullers of these channels do. A channel that is new is made known to them."""
    if not channels:
        return Asked()
    names = list(channels)
    silent = connection.execute(_SILENT, (names, OFFERED_FOR)).fetchall()
    out = connection.execute(_COUNT, (names,)).fetchall()
    return Asked(frozenset(name for (name,) in silent), dict(out))


def make_known(connection: Connection[Any], channels: Collection[str]) -> None:
    """Let pullers ask for these channels."""
    if channels:
        connection.execute(_KNOWN, (list(channels),))


def recall(connection: Connection[Any], channels: Collection[str]) -> None:
    """Offers of these channels that nobody fetched stand no longer."""
    if channels:
        connection.execute(_RECALL, (list(channels),))


def take_back(
    connection: Connection[Any],
    origin: Origin,
    *,
    channels: Mapping[str, Channel],
    partitions: Collection[int],
    settled: Collection[int],
    under_way: Collection[str],
    limit: int,
) -> int:
    """Take back what nobody fetched: `Held`, or in doubt as before where it was a repeat. Returns
    how many.

    `partitions` are the caller's; of those in `settled` also what no worker ever offered, because a
    predecessor can no longer do it. Raises StaleEpoch and psycopg.Error.
    """
    names = [name for name, channel in channels.items() if channel.fetched]
    if not names:
        return 0
    with connection.transaction():
        fence.enter(connection, origin.epoch)
        found = connection.execute(
            _UNFETCHED,
            {
                "channels": names,
                "partitions": list(partitions),
                "under_way": list(under_way),
                "limit": limit,
            },
        ).fetchall()
        gone = [(Send(*row[:14]), bool(row[14])) for row in found if row[14] or row[7] in settled]
        connection.execute(_FORGET, ([send.send_key for send, _ in gone],))
        ended = [
            Ended(send, "Held", "nobody fetched it" if was_offered else "it was never offered")
            for send, was_offered in gone
            if not send.in_doubt
        ]
        write_outcomes(connection, outcome_batch(ended, [], channels, origin))
    connection.execute(_SETTLED)
    return len(gone)
