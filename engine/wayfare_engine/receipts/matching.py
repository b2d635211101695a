"""Which send a receipt is of, and the facts that it makes.

A provider names a send by our key or by its own name for it, and may speak before we have written
what it answered. What matches no send yet is kept beside the ledger and tried again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from wayfare_engine.channels.contract import State
from wayfare_engine.facts import Draft, Fact, repeats, write_async
from wayfare_engine.ledger.bodies import OptOut, Receipt

#: A receipt that matched nothing for so long is forgotten; the metric has counted it.
KEPT = timedelta(days=30)

#: Only a send that went out through the channel: its provider may speak of no other.
_MATCH = """
SELECT g.place, o.send_key, o.customer_id
FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[])
    AS g (place, channel, send_key, provider_id)
JOIN wayfare.outbox o ON o.dispatch_channel = g.channel
    AND ((g.send_key IS NOT NULL AND o.send_key = g.send_key)
        OR (g.send_key IS NULL AND o.provider_id = g.provider_id))
"""
_KEEP = """
INSERT INTO wayfare.unmatched_receipts
    (channel, send_key, provider_id, state, at, detail, opt_out)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
    %s::text[], %s::boolean[])
ON CONFLICT DO NOTHING
"""
_COLUMNS = "channel, state, at, send_key, provider_id, detail, opt_out"
_FIRST = "SELECT min(id) FROM wayfare.unmatched_receipts WHERE came_at >= %s"
_WAITING = f"""
SELECT id, {_COLUMNS} FROM wayfare.unmatched_receipts WHERE id >= %s AND came_at >= %s
ORDER BY id LIMIT %s
FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - columns of our own


@dataclass(frozen=True)
class Said:
    """A receipt as it came: of a send by our key, or by the provider's own name for it. `opt_out`:
    the customer wants nothing more of this channel; a complaint says so, too."""

    channel: str
    state: State
    at: datetime
    send_key: str | None = None
    provider_id: str | None = None
    detail: str = ""
    opt_out: bool = False


@dataclass(frozen=True)
class Match:
    """The send and whose it is."""

    send_key: str
    customer: str


async def match(connection: AsyncConnection[Any], said: Sequence[Said]) -> list[Match | None]:
    """The send of each, in their order. Raises psycopg.Error."""
    cursor = await connection.execute(
        _MATCH,
        (
            list(range(len(said))),
            [one.channel for one in said],
            [one.send_key for one in said],
            [one.provider_id for one in said],
        ),
    )
    found: list[Match | None] = [None] * len(said)
    for place, send_key, customer in await cursor.fetchall():
        found[place] = Match(send_key, customer)
    return found


async def facts(
    connection: AsyncConnection[Any], said: Sequence[Said], found: Sequence[Match | None]
) -> list[list[Fact]]:
    """Each receipt's facts, none where it matches nothing: its own first, and that the customer
    opted out if it says so. A complaint that is repeated does not opt out again who has opted in
    since; an opt-out that is said always stands, because the state beside it may have come before.

    Raises psycopg.Error.
    """
    pairs = list(zip(said, found, strict=True))
    made = [[_receipt(one, of)] if of is not None else [] for one, of in pairs]
    complaints = [
        some[0].client_id for one, some in zip(said, made, strict=True) if some and _complains(one)
    ]
    known: set[str | None] = set()
    if complaints:
        cursor = await connection.execute(repeats.KNOWN, (complaints,))
        known = {client_id for client_id, _ in await cursor.fetchall()}
    for (one, of), some in zip(pairs, made, strict=True):
        if of is None:
            continue
        if one.opt_out or (_complains(one) and some[0].client_id not in known):
            out = OptOut(customer=of.customer, channel=one.channel, out=True)
            some.append(Fact(out, one.at))
    return made


def _receipt(said: Said, of: Match) -> Fact:
    body = Receipt(send_key=of.send_key, state=said.state, provider_id=said.provider_id)
    return Fact(body, said.at, of.customer)


def _complains(said: Said) -> bool:
    return said.state == "complained"


async def keep(connection: AsyncConnection[Any], said: Sequence[Said]) -> None:
    """Keep receipts that match nothing yet; the same one once. Raises psycopg.Error."""
    if said:
        await connection.execute(
            _KEEP,
            (
                [one.channel for one in said],
                [one.send_key for one in said],
                [one.provider_id for one in said],
                [one.state for one in said],
                [one.at for one in said],
                [one.detail for one in said],
                [one.opt_out for one in said],
            ),
        )


async def match_again(
    connection: AsyncConnection[Any],
    *,
    site: str,
    ids: Callable[[], uuid.UUID],
    now: datetime,
    since: datetime | None = None,
    batch: int = 500,
) -> int:
    """Write the facts of those kept receipts that match by now, each in the transaction that
    forgets it; returns how many. With `since` only of those that came from then on. What is older
    than KEPT is forgotten.

    `connection` autocommits. Raises StaleEpoch where this site does not act, psycopg.Error.
    """
    await connection.execute(
        "DELETE FROM wayfare.unmatched_receipts WHERE came_at < %s", (now - KEPT,)
    )
    oldest = since or now - KEPT
    found_first = await (await connection.execute(_FIRST, (oldest,))).fetchone()
    first = found_first[0] if found_first is not None else None
    matched = 0
    while first is not None:
        async with connection.transaction():
            rows = await (await connection.execute(_WAITING, (first, oldest, batch))).fetchall()
            if not rows:
                break
            said = [Said(*row[1:]) for row in rows]
            found = await match(connection, said)
            made = await facts(connection, said, found)
            drafts = [Draft(ids(), fact) for some in made for fact in some]
            done = [row[0] for row, of in zip(rows, found, strict=True) if of is not None]
            if drafts:
                await write_async(connection, drafts, site=site)
                await connection.execute(
                    "DELETE FROM wayfare.unmatched_receipts WHERE id = ANY(%s)", (done,)
                )
        matched += len(done)
        first = rows[-1][0] + 1
    return matched


async def waiting(connection: AsyncConnection[Any]) -> dict[str, int]:
    """How many kept receipts match nothing, by channel. Raises psycopg.Error."""
    cursor = await connection.execute(
        "SELECT channel, count(*) FROM wayfare.unmatched_receipts GROUP BY channel"
    )
    return dict(await cursor.fetchall())
