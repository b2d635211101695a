"""What a person has to look at: dead letters, and sends of which nobody knows.

A dead letter ended without effect, for want of a way out: its channel refused it for good, or it
was given up, or it expired though no rule held it back. What a rule forbade (an opt-out, a list, a
cap, quiet hours) is no dead letter: it ended as it should. An unknown may have taken effect.

What a person set aside is in neither list, nor an unknown that a receipt speaks of: its provider
has it. All of it stays in the ledger, and is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import Connection, sql

Sort = Literal["dead-letters", "unknowns"]

#: Of `o`, its outbox row, and `r`, the last ruling on it.
_ENDED: dict[Sort, str] = {
    "dead-letters": "o.outcome IN ('Rejected', 'Expired') AND o.cause IS DISTINCT FROM 'Rule' "
    "AND o.attempt <= o.outcome_attempt AND o.due IS NOT NULL",
    "unknowns": "o.outcome = 'Unknown' AND o.attempt <= o.outcome_attempt AND o.due IS NOT NULL",
}
_DROPPED = "(r.action = 'Drop' AND r.attempt = o.outcome_attempt) IS TRUE"
_BY_RECEIPT = "o.outcome = 'Unknown' AND o.receipt_rank > 0"
_FROM = "FROM wayfare.outbox o LEFT JOIN wayfare.rulings r USING (send_key)"
_COLUMNS = """o.send_key, o.customer_id, coalesce(o.dispatch_channel, o.channel), o.journey, o.node,
    o.outcome, o.cause, coalesce(o.detail, ''), o.outcome_at, o.outcome_attempt, o.due,
    coalesce(r.expires, o.expires), o.dispatched_at, o.dispatch_site, o.receipt"""


@dataclass(frozen=True)
class Letter:
    """A send that is in a list. `channel` is the one that it went through last. `cause`: see
    `ledger.bodies.Cause`; None of an unknown."""

    send_key: str
    customer: str
    channel: str
    journey: str
    node: str
    outcome: str
    cause: str | None
    detail: str
    ended_at: datetime
    attempts: int
    due: datetime
    expires: datetime | None
    dispatched_at: datetime | None
    site: str | None
    receipt: str | None


@dataclass(frozen=True)
class Wanted:
    """Which of a list. `since` is when they ended, or later; `reason` is a cause, or a part of the
    detail, in any case of letters."""

    channel: str | None = None
    since: datetime | None = None
    reason: str | None = None
    journey: str | None = None


@dataclass(frozen=True)
class Counts:
    """Of a list: `by_reason` has (cause or outcome, detail) and how many, the most first; `dropped`
    are those that were set aside, `by_receipt` unknowns that a receipt made known."""

    total: int
    by_reason: Sequence[tuple[str, str, int]]
    dropped: int
    by_receipt: int


def letters(connection: Connection[Any], sort: Sort, wanted: Wanted, *, limit: int) -> list[Letter]:
    """The list, those that ended last first. Raises psycopg.Error."""
    query, given = _where(sort, wanted)
    found = connection.execute(
        sql.SQL("SELECT {} {} ORDER BY o.outcome_at DESC, o.send_key LIMIT %(limit)s").format(
            sql.SQL(_COLUMNS), query
        ),
        given | {"limit": limit},
    ).fetchall()
    return [Letter(*row) for row in found]


def keys(
    connection: Connection[Any],
    sort: Sort,
    wanted: Wanted,
    *,
    limit: int,
    after: tuple[datetime, str] | None = None,
) -> list[tuple[datetime, str]]:
    """(when it ended, send key) of a part of the list, those that ended first first, behind
    `after`. Raises psycopg.Error."""
    query, given = _where(sort, wanted)
    found = connection.execute(
        sql.SQL(
            "SELECT o.outcome_at, o.send_key {} AND (%(after_at)s::timestamptz IS NULL "
            "OR (o.outcome_at, o.send_key) > (%(after_at)s, %(after_key)s)) "
            "ORDER BY o.outcome_at, o.send_key LIMIT %(limit)s"
        ).format(query),
        given
        | {
            "limit": limit,
            "after_at": after[0] if after else None,
            "after_key": after[1] if after else "",
        },
    ).fetchall()
    return [(at, key) for at, key in found]


def counts(connection: Connection[Any], sort: Sort, wanted: Wanted, *, most: int = 20) -> Counts:
    """How many there are, and why; of the reasons at most `most`. Raises psycopg.Error."""
    query, given = _where(sort, wanted, listed=False)
    row = connection.execute(
        sql.SQL(
            "SELECT count(*) FILTER (WHERE {listed}), count(*) FILTER (WHERE {dropped}), "
            "count(*) FILTER (WHERE {by_receipt} AND NOT {dropped}) {query}"
        ).format(
            listed=sql.SQL(_listed()),
            dropped=sql.SQL(_DROPPED),
            by_receipt=sql.SQL(_BY_RECEIPT),
            query=query,
        ),
        given,
    ).fetchone()
    assert row is not None, "a count is one row"
    reasons = connection.execute(
        sql.SQL(
            "SELECT coalesce(o.cause, o.outcome), coalesce(o.detail, ''), count(*) {} "
            "AND {} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %(most)s"
        ).format(query, sql.SQL(_listed())),
        given | {"most": most},
    ).fetchall()
    return Counts(int(row[0]), reasons, int(row[1]), int(row[2]))


def listed(connection: Connection[Any], sort: Sort) -> Mapping[str, int]:
    """How many of a list there are, by channel: a gauge's values. Raises psycopg.Error."""
    query, given = _where(sort, Wanted())
    found = connection.execute(
        sql.SQL("SELECT coalesce(o.dispatch_channel, o.channel), count(*) {} GROUP BY 1").format(
            query
        ),
        given,
    ).fetchall()
    return {channel: int(count) for channel, count in found}


def _listed() -> str:
    return f"NOT {_DROPPED} AND NOT ({_BY_RECEIPT})"


def _where(
    sort: Sort, wanted: Wanted, *, listed: bool = True
) -> tuple[sql.Composed, dict[str, Any]]:
    conditions = [_ENDED[sort]]
    if listed:
        conditions.append(_listed())
    given: dict[str, Any] = {}
    if wanted.channel is not None:
        conditions.append("coalesce(o.dispatch_channel, o.channel) = %(channel)s")
        given["channel"] = wanted.channel
    if wanted.since is not None:
        conditions.append("o.outcome_at >= %(since)s")
        given["since"] = wanted.since
    if wanted.journey is not None:
        conditions.append("o.journey = %(journey)s")
        given["journey"] = wanted.journey
    if wanted.reason is not None:
        conditions.append(
            "(lower(o.cause) = lower(%(reason)s) "
            "OR position(lower(%(reason)s) IN lower(coalesce(o.detail, ''))) > 0)"
        )
        given["reason"] = wanted.reason
    text = f"{_FROM} WHERE {' AND '.join(conditions)}"
    return sql.Composed([sql.SQL(text)]), given
