"""`plan_send` for asyncio, for callers who are told whether their send is new."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from wayfare_engine.facts.record import record_async
from wayfare_engine.ledger import Kind, fence
from wayfare_engine.outbox.facts import Origin
from wayfare_engine.outbox.plan import PlannedSend, intent

#: Two who plan the same key wait for each other; in the order of the numbers, never in a circle.
#: Few numbers, because a transaction may plan a thousand sends and locks are limited.
_LOCKS, _LOCK_SPACE = 64, 0x57504C4E  # "WPLN"
_LOCK = "SELECT pg_advisory_xact_lock(%s, number) FROM unnest(%s::int[]) AS given (number)"
_KNOWN = "SELECT send_key FROM wayfare.outbox WHERE send_key = ANY(%s) AND due IS NOT NULL"


async def plan_send_async(
    connection: AsyncConnection[Any],
    sends: Sequence[PlannedSend],
    *,
    site: str,
    ids: Callable[[], uuid.UUID],
    clock: Callable[[], datetime],
) -> frozenset[str]:
    """Write the intents of those sends that have none yet, under the present epoch, in one
    transaction; returns their keys. The first of several of one key counts.

    Raises StaleEpoch when this site does not hold its epoch, and psycopg.Error.
    """
    by_key: dict[str, PlannedSend] = {}
    for send in sends:
        by_key.setdefault(send.key, send)
    async with connection.transaction():
        await connection.execute(_LOCK, (_LOCK_SPACE, sorted({_number(key) for key in by_key})))
        epoch = await fence.enter_present_async(connection)
        cursor = await connection.execute(_KNOWN, (list(by_key),))
        for (key,) in await cursor.fetchall():
            del by_key[key]
        if by_key:
            origin = Origin(site, epoch, ids, clock)
            at = clock()
            rows = [
                origin.row(Kind.INTENT, send.customer, intent(send), at) for send in by_key.values()
            ]
            await record_async(connection, rows)
    return frozenset(by_key)


def _number(key: str) -> int:
    return hashlib.blake2b(key.encode(), digest_size=1).digest()[0] % _LOCKS
