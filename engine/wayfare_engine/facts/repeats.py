"""Repeats of events: the ids that senders gave them, for as long as a repeat may come.

The table is of one database, and in no snapshot. Catch-up notes in it what it finds in the journal
(`projections.writing`); what that promises across a failover is in docs/events.md.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

#: Ids that are new are noted with their rows; two at once: the second waits for the first.
#: In the order of the ids, so that transactions wait and never in a circle.
NOTE = (
    "INSERT INTO wayfare.event_repeats (client_id, row_id, at) "
    "SELECT client_id, row_id, now() FROM unnest(%s::text[], %s::uuid[]) AS given "
    '(client_id, row_id) ORDER BY client_id COLLATE "C" '
    "ON CONFLICT (client_id) DO NOTHING RETURNING client_id"
)
KNOWN = "SELECT client_id, row_id FROM wayfare.event_repeats WHERE client_id = ANY(%s)"

#: Rows that one transaction removes, and transactions of one call.
BATCH, MOST = 5_000, 200
_FORGET = (
    "DELETE FROM wayfare.event_repeats WHERE client_id IN (SELECT client_id "
    "FROM wayfare.event_repeats WHERE at < %s ORDER BY at LIMIT %s FOR UPDATE SKIP LOCKED)"
)


async def forget(
    connection: AsyncConnection[Any],
    *,
    now: datetime,
    seconds: float,
    batch: int = BATCH,
    most: int = MOST,
) -> int:
    """Remove ids that were noted more than `seconds` ago; returns how many.

    At most `batch` a transaction, so that none is long, and `most` transactions; the rest is for
    the next call. Until then such an id still counts as a repeat. `connection` autocommits.
    """
    before = now - timedelta(seconds=seconds)
    removed = 0
    for _ in range(most):
        count = (await connection.execute(_FORGET, (before, batch))).rowcount
        removed += count
        if count < batch:
            break
    return removed
