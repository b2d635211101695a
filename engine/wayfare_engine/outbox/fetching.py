"""Giving what is offered to who asks for it: a lease on each send, until a time of this database.

To give is the hand-over of a channel that is pulled, so the right to act is held then. The answer
may lie on the way; who asked throws it away when more than H has passed since they asked, so that
nothing of an epoch gets into anybody's hands once the next one acts. What a puller does with a
lease takes its own time, and no clock bounds it: there the channel's dedupe class counts.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from psycopg import AsyncConnection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.ledger import fence

_leased = crash_point("outbox.fetching.leased", "sends are leased; nobody was answered yet")

_KNOWN = "SELECT FROM wayfare.pullers WHERE channel = %s"
_ASKED = """
UPDATE wayfare.pullers SET asked_at = clock_timestamp() WHERE channel = %s
    AND (asked_at IS NULL OR asked_at < clock_timestamp() - interval '1 second')
"""
# A lease ends with what the send may be late for: its expiry, or its provider's memory of the key.
_GIVE = """
WITH chosen AS (
    SELECT p.send_key, o.customer_id, p.attempt, p.dispatch_id, o.payload::text AS payload, o.due,
        o.expires, coalesce(o.test, false) AS test, o.address, p.rendered
    FROM wayfare.pulled p
    JOIN wayfare.outbox o ON o.send_key = p.send_key AND o.dispatch_id = p.dispatch_id
    WHERE p.channel = %(channel)s AND p.epoch = %(epoch)s
        AND p.leased_until IS NULL AND p.offered_until > clock_timestamp()
        AND o.outcome_attempt < p.attempt AND o.outcome IS DISTINCT FROM 'Accepted'
        AND o.due IS NOT NULL
        AND (o.expires IS NULL OR o.expires > clock_timestamp())
        AND (p.known_until IS NULL OR p.known_until > clock_timestamp())
        AND NOT EXISTS (SELECT FROM wayfare.opt_outs x
            WHERE x.out AND x.customer_id = o.customer_id AND x.channel IN (p.channel, '*'))
    ORDER BY o.due, p.send_key LIMIT %(limit)s
    FOR UPDATE OF p SKIP LOCKED
)
UPDATE wayfare.pulled p SET leased_until = least(
    clock_timestamp() + make_interval(secs => %(seconds)s), c.expires, p.known_until)
FROM chosen c WHERE p.send_key = c.send_key
RETURNING c.send_key, c.customer_id, c.attempt, c.dispatch_id, c.payload, c.due, c.expires,
    p.leased_until, c.test, c.address, c.rendered
"""
# Only what nobody acknowledged: an answer that was never given must not take anything away.
_RETURN = """
UPDATE wayfare.pulled SET leased_until = NULL
WHERE (send_key, dispatch_id) IN (SELECT * FROM unnest(%s::text[], %s::uuid[]))
"""


class NoSuchChannel(Exception):
    """No worker of this site has such a channel that is pulled."""


class NotActing(Exception):
    """This process does not hold the right to act; nothing was given."""


class RightToAct(Protocol):
    """The right of this process to act, by its own check. `epoch` is the one that it is for."""

    @property
    def epoch(self) -> int: ...

    def may_send(self) -> float: ...


@dataclass(frozen=True)
class Lease:
    """The text that a puller is given with a send, and gives back.

    It names the dispatch, so every site that knows that one knows the lease; each dispatch has one
    at most. The mark at its end tells one that was given with another send.
    """

    attempt: int
    dispatch: uuid.UUID

    def text(self, send_key: str) -> str:
        """As it is given with the send."""
        return f"{self.attempt}.{self.dispatch.hex}.{self._mark(send_key)}"

    @classmethod
    def read(cls, text: str, send_key: str) -> Lease | None:
        """The lease; None for what was never given with this send."""
        attempt, _, rest = text.partition(".")
        dispatch, _, mark = rest.partition(".")
        if not (attempt.isascii() and attempt.isdecimal()) or len(attempt) > 9:
            return None
        try:
            lease = cls(int(attempt), uuid.UUID(hex=dispatch))
        except ValueError:
            return None
        return lease if lease.text(send_key) == text and mark else None

    def _mark(self, send_key: str) -> str:
        named = f"{self.attempt}/{self.dispatch.hex}/{send_key}".encode()
        return hashlib.sha256(named).hexdigest()[:8]


@dataclass(frozen=True)
class Given:
    """A send in its puller's hands until `until`. `payload` is the content as JSON text; where it
    is to be `rendered` the message is made of it before anybody has it. `address` is a test's."""

    send_key: str
    customer: str
    attempt: int
    dispatch: uuid.UUID
    payload: str
    due: datetime
    expires: datetime | None
    until: datetime
    test: bool = False
    address: str | None = None
    rendered: bool = False

    @property
    def lease(self) -> str:
        """What the puller acknowledges with."""
        return Lease(self.attempt, self.dispatch).text(self.send_key)


async def give(
    connection: AsyncConnection[Any],
    channel: str,
    *,
    right: RightToAct,
    limit: int,
    seconds: float,
) -> list[Given]:
    """Lease at most `limit` sends of a channel for `seconds`, those that are due first.

    `connection` autocommits. Raises NoSuchChannel, NotActing, StaleEpoch, psycopg.Error; nothing is
    in anybody's hands then.
    """
    if (await connection.execute(_KNOWN, (channel,))).rowcount == 0:
        raise NoSuchChannel(channel)
    await connection.execute(_ASKED, (channel,))
    if right.may_send() <= 0:
        raise NotActing
    async with connection.transaction():
        epoch = await fence.enter_present_async(connection)
        if epoch != right.epoch:
            raise NotActing
        asked = {"channel": channel, "epoch": epoch, "limit": limit, "seconds": seconds}
        found = await (await connection.execute(_GIVE, asked)).fetchall()
    given = sorted((Given(*row) for row in found), key=lambda one: (one.due, one.send_key))
    if given:
        _leased()
    # The commit may have taken long. From here it is H that bounds the way to who asked.
    if right.may_send() <= 0:
        await give_back(connection, given)
        raise NotActing
    return given


async def give_back(connection: AsyncConnection[Any], given: Sequence[Given]) -> None:
    """Undo leases of which nobody was told."""
    if given:
        keys = [one.send_key for one in given]
        await connection.execute(_RETURN, (keys, [one.dispatch for one in given]))
