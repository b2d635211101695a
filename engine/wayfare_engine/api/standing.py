"""`GET /v1/sends/{send_key}`: where a send stands, and always why."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal

import msgspec
from psycopg.rows import dict_row

from wayfare_engine.store.postgresql import Away, Postgresql
from wayfare_engine.web.problems import Problem

PATH = "/v1/sends/{send_key}"
State = Literal[
    "planned", "held", "waiting", "dispatched", "accepted", "rejected", "expired", "unknown"
]

_SEND = """
SELECT o.send_key, o.customer_id AS customer, o.journey, o.node,
    coalesce(o.fallback, o.channel, o.dispatch_channel) AS channel,
    CASE WHEN o.fallback <> o.channel THEN o.channel END AS planned_channel,
    o.planned_at, o.due, o.expires, o.attempt, o.dispatched_at, o.outcome, o.outcome_attempt,
    o.outcome_at, coalesce(o.detail, '') AS detail, o.provider_id, o.receipt, o.receipt_at,
    coalesce(o.test, false) AS test, h.until, h.reason
FROM wayfare.outbox o LEFT JOIN wayfare.send_holds h USING (send_key) WHERE o.send_key = %s
"""


class SendReceipt(msgspec.Struct, frozen=True):
    """What the provider said later."""

    state: str
    at: datetime


class SendStanding(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a send stands. `why` is a sentence; `until` is when a held one is looked at again.

    `channel` is the one that it goes through now, `planned_channel` the one before its fallback.
    """

    send_key: str
    customer: str
    channel: str
    state: State
    why: str
    journey: str | None = None
    node: str | None = None
    planned_channel: str | None = None
    planned_at: datetime | None = None
    due: datetime | None = None
    expires: datetime | None = None
    until: datetime | None = None
    attempts: int = 0
    dispatched_at: datetime | None = None
    outcome: str | None = None
    outcome_at: datetime | None = None
    detail: str = ""
    provider_id: str | None = None
    receipt: SendReceipt | None = None
    test: bool = False


async def read_standing(
    postgresql: Postgresql, send_key: str, channels: Collection[str], now: datetime
) -> SendStanding:
    """Of one send. Raises Problem 404 and 503."""
    try:
        async with postgresql.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            row = await (await cursor.execute(_SEND, (send_key,))).fetchone()
    except Away:
        raise Problem(503, "store-away", "PostgreSQL is away") from None
    if row is None:
        told = f"there is no send {send_key[:64]!r}; the sends of an erased customer are gone too"
        raise Problem(404, "unknown-send", told)
    return standing(row, channels, now)


def standing(row: dict[str, Any], channels: Collection[str], now: datetime) -> SendStanding:
    """What a row of the outbox, with its hold, says. Pure."""
    state, why = _state(row, channels, now)
    receipt = row["receipt"]
    return SendStanding(
        send_key=row["send_key"],
        customer=row["customer"],
        channel=row["channel"] or "",
        state=state,
        why=why,
        journey=row["journey"],
        node=row["node"],
        planned_channel=row["planned_channel"],
        planned_at=row["planned_at"],
        due=row["due"],
        expires=row["expires"],
        until=row["until"] if state == "held" else None,
        attempts=row["attempt"],
        dispatched_at=row["dispatched_at"],
        outcome=row["outcome"],
        outcome_at=row["outcome_at"],
        detail=row["detail"],
        provider_id=row["provider_id"],
        receipt=SendReceipt(receipt, row["receipt_at"]) if receipt else None,
        test=row["test"],
    )


def _state(row: dict[str, Any], channels: Collection[str], now: datetime) -> tuple[State, str]:
    outcome, detail, channel = row["outcome"], row["detail"], row["channel"]
    if outcome == "Accepted":
        return "accepted", "the provider accepted it" + (f": {detail}" if detail else "")
    if row["attempt"] > row["outcome_attempt"]:
        told = "it was dispatched, and its outcome is not known yet"
        return "dispatched", told + (f" ({row['reason']})" if row["reason"] else "")
    if outcome == "Rejected":
        return "rejected", f"it was not sent, and will not be: {detail or 'refused for good'}"
    if outcome == "Expired":
        return "expired", f"it was not sent, and will not be: {detail or 'expired'}"
    if outcome == "Unknown":
        told = "nobody can say whether it took effect, so it is not repeated"
        return "unknown", f"{told}: {detail}" if detail else told
    if row["due"] is None:
        return "waiting", "what was planned is not known at this site yet"
    if row["until"] is not None and row["until"] > now:
        return "held", f"it is held back until {row['until']:%Y-%m-%dT%H:%M:%SZ}: {row['reason']}"
    if row["due"] > now:
        return "planned", f"it is due at {row['due']:%Y-%m-%dT%H:%M:%SZ}"
    if channel not in channels:
        return "waiting", f"there is no channel {channel!r}: it waits for one, or expires"
    last = f"; its last attempt: {detail or outcome}" if outcome else ""
    return "waiting", f"it is due, and has its turn as soon as this site may send{last}"
