"""What pullers say of sends that they fetched: the outcome, as far as it is one.

`Accepted` settles a send whenever it comes and of whichever attempt: it took effect, and nothing
may follow it (`projections.ranks`). That nothing took effect is only believed of the newest
dispatch, and of a repeat it says nothing of the attempts before it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from psycopg import AsyncConnection

from wayfare_engine.facts import Fact
from wayfare_engine.ledger.bodies import Cause, Outcome
from wayfare_engine.outbox.fetching import Lease
from wayfare_engine.outbox.outcome import Ending

Said = Literal["Accepted", "Rejected", "NotAccepted"]

_KNOWN = """
SELECT g.place::int - 1, o.customer_id, o.attempt, o.dispatch_id, o.outcome, o.outcome_attempt,
    o.channel IS DISTINCT FROM o.dispatch_channel, p.send_key IS NOT NULL,
    p.leased_until IS NOT NULL, coalesce(p.in_doubt, false), p.fallback, coalesce(p.tries, 0),
    coalesce(p.pause, 0), p.give_up_at
FROM unnest(%s::text[]) WITH ORDINALITY AS g (send_key, place)
JOIN wayfare.outbox o ON o.send_key = g.send_key AND o.dispatch_channel = %s
LEFT JOIN wayfare.pulled p ON p.send_key = o.send_key AND p.dispatch_id = o.dispatch_id
"""
_PAUSE = """
INSERT INTO wayfare.send_holds (send_key, until, reason, tries, by_rule)
SELECT send_key, until, 'not accepted', tries, false
FROM unnest(%s::text[], %s::timestamptz[], %s::int[]) AS g (send_key, until, tries)
ON CONFLICT (send_key) DO UPDATE SET until = excluded.until, reason = excluded.reason,
    by_rule = excluded.by_rule, tries = greatest(send_holds.tries, excluded.tries)
"""
_RELEASE = "DELETE FROM wayfare.send_holds WHERE send_key = ANY(%s)"
_THROUGH = """
DELETE FROM wayfare.pulled p USING wayfare.outbox o
WHERE p.send_key = ANY(%s) AND o.send_key = p.send_key
    AND (o.outcome_attempt >= p.attempt OR o.outcome = 'Accepted')
"""
_END_LEASES = """
UPDATE wayfare.pulled SET leased_until = clock_timestamp()
WHERE leased_until > clock_timestamp()
    AND (send_key, dispatch_id) IN (SELECT * FROM unnest(%s::text[], %s::uuid[]))
"""


@dataclass(frozen=True)
class Acknowledgement:
    """What a puller says of one send. `lease` is the text that it was given."""

    send_key: str
    lease: str
    result: Said
    provider_id: str | None = None
    detail: str = ""


class Taken(StrEnum):
    """What became of an acknowledgement."""

    #: It is the send's outcome.
    SETTLED = "Settled"
    #: It had been said before; nothing was written.
    REPEAT = "Repeat"
    #: It ends the lease, and not the doubt about earlier attempts.
    NOTED = "Noted"
    #: The send was dispatched again since, or has another outcome, which stands.
    OVERTAKEN = "Overtaken"
    #: No such lease was given with this send.
    WRONG_LEASE = "WrongLease"
    #: No send of this channel with this key was dispatched, as far as is known here.
    UNKNOWN_SEND = "UnknownSend"


@dataclass(frozen=True)
class Known:
    """What is known of the send: of its newest dispatch, and what this site noted with that one.

    `noted`: this site offers it, so `leased`, `in_doubt`, `fallback`, `tries` (how often it
    was not accepted before), `pause` (seconds) and `give_up_at` are told; otherwise it was
    dispatched elsewhere, or is through.
    """

    customer: str
    attempt: int
    dispatch: uuid.UUID
    outcome: str | None
    outcome_attempt: int
    moved: bool
    noted: bool = False
    leased: bool = False
    in_doubt: bool = False
    fallback: str | None = None
    tries: int = 0
    pause: float = 0.0
    give_up_at: datetime | None = None


@dataclass(frozen=True)
class Settled:
    """What to do about an acknowledgement: `outcome` is to be written, if there is one, and the
    send's next turn waits until `pause_until`, after `tries` tries. Without such a time its channel
    is through with it."""

    taken: Taken
    outcome: Outcome | None = None
    pause_until: datetime | None = None
    tries: int = 0


async def known(
    connection: AsyncConnection[Any], channel: str, send_keys: Sequence[str]
) -> list[Known | None]:
    """What is known of each send that the channel dispatched. Raises psycopg.Error."""
    cursor = await connection.execute(_KNOWN, (list(send_keys), channel))
    found: list[Known | None] = [None] * len(send_keys)
    for place, *row in await cursor.fetchall():
        found[place] = Known(*row)
    return found


def settle(said: Acknowledgement, of: Known | None, channel: str, now: datetime) -> Settled:
    """What follows from an acknowledgement. Pure."""
    if of is None:
        return Settled(Taken.UNKNOWN_SEND)
    lease = Lease.read(said.lease, said.send_key)
    if lease is None or lease.attempt > of.attempt:
        return Settled(Taken.WRONG_LEASE)
    newest = lease.attempt == of.attempt
    if newest and (lease.dispatch != of.dispatch or (of.noted and not of.leased)):
        return Settled(Taken.WRONG_LEASE)
    if of.outcome == "Accepted":
        return Settled(Taken.REPEAT if said.result == "Accepted" else Taken.OVERTAKEN)
    if said.result == "Accepted":
        return Settled(Taken.SETTLED, _outcome(said, lease.attempt, "Accepted", said.detail))
    if not newest:
        return Settled(Taken.OVERTAKEN)
    if of.outcome_attempt >= of.attempt and of.outcome != "Unknown":
        return Settled(Taken.REPEAT if said.result == of.outcome else Taken.OVERTAKEN)
    doubtful = _doubtful(of)
    if doubtful and said.result == "NotAccepted":
        return Settled(Taken.NOTED)
    outcome = ending(said, of, channel, doubtful, now)
    if outcome.result == "NotAccepted" and outcome.fallback in (None, channel):
        until = now + timedelta(seconds=of.pause)
        return Settled(Taken.SETTLED, outcome, until, of.tries + 1)
    return Settled(Taken.SETTLED, outcome)


def ending(
    said: Acknowledgement, of: Known, channel: str, doubtful: bool, now: datetime
) -> Outcome:
    """The outcome of what was certainly not accepted: the same as `outcome.outcome_batch` makes of
    a hand-over's answer. Pure."""
    result: Ending = said.result
    detail = said.detail
    cause: Cause | None = None
    if result == "Rejected":
        cause = "Channel"
    elif of.give_up_at is not None and now > of.give_up_at:
        result, cause = "Rejected", "GivenUp"
        detail = f"given up, not accepted: {detail}"[:300]
    if result == "Rejected" and of.fallback is not None and not doubtful:
        return _outcome(said, of.attempt, "NotAccepted", detail, of.fallback)
    goes_on = channel if result == "NotAccepted" and of.moved else None
    return _outcome(said, of.attempt, result, detail, goes_on, cause)


async def end_leases(
    connection: AsyncConnection[Any], some: Sequence[tuple[Acknowledgement, Known]]
) -> None:
    """Let what these leases were for be decided about now. Raises psycopg.Error."""
    if some:
        keys = [said.send_key for said, _ in some]
        await connection.execute(_END_LEASES, (keys, [of.dispatch for _, of in some]))


async def prepare_turns(connection: AsyncConnection[Any], some: Sequence[Settled]) -> None:
    """Before outcomes are written: let the next turn of those that wait wait, and forget what was
    counted of those that their channel is through with. Raises psycopg.Error."""
    waiting = [
        (one.outcome.send_key, one.pause_until, one.tries)
        for one in some
        if one.outcome is not None and one.pause_until is not None
    ]
    through = [
        one.outcome.send_key for one in some if one.outcome is not None and one.pause_until is None
    ]
    if waiting:
        await connection.execute(_PAUSE, tuple(map(list, zip(*waiting, strict=True))))
    if through:
        await connection.execute(_RELEASE, (through,))


async def through(connection: AsyncConnection[Any], send_keys: Sequence[str]) -> None:
    """Forget the leases of sends that have their outcome. Raises psycopg.Error."""
    if send_keys:
        await connection.execute(_THROUGH, (list(send_keys),))


def fact(settled: Settled, of: Known, at: datetime) -> Fact | None:
    """The outcome as it is written."""
    return None if settled.outcome is None else Fact(settled.outcome, at, of.customer)


def _doubtful(of: Known) -> bool:
    """Whether an attempt before the newest may have taken effect."""
    if of.noted:
        return of.in_doubt
    if of.outcome_attempt >= of.attempt:  # Unknown, which says nothing of those before
        return of.attempt > 1
    return of.outcome_attempt < of.attempt - 1


def _outcome(
    said: Acknowledgement,
    attempt: int,
    result: Ending,
    detail: str,
    fallback: str | None = None,
    cause: Cause | None = None,
) -> Outcome:
    return Outcome(
        send_key=said.send_key,
        attempt=attempt,
        result=result,
        detail=detail,
        provider_id=said.provider_id,
        fallback=fallback,
        cause=cause,
    )
