"""SQL of what workers report of channels, and of what hosts say of themselves.

Of this site alone and about now: no ledger has it, and a restored database begins without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg.types.json import Jsonb

from wayfare_engine.store import channels

#: Reports that are older by this than the newest of their channel say nothing of now. Workers
#: report every few seconds.
FRESH_SECONDS = 20.0
_FORGOTTEN_SECONDS = 600.0
#: A send that waits for longer than this is not the one that tries a half open channel.
_SOON_SECONDS = 5.0
_OPEN = ("Open", "ForcedOpen")


@dataclass(frozen=True)
class ChannelReport:
    """One worker's word on one channel. `spec`: digest of the spec that it goes by; `problem`: why
    nothing leaves through it at all. Figures are of the last minutes."""

    channel: str
    at: datetime
    spec: str
    problem: str | None
    breaker: str
    breaker_since: datetime
    breaker_why: str
    accepted_per_minute: float
    failed_per_minute: float
    p99_ms: float | None
    last_error: str | None
    last_error_at: datetime | None


_PUT = """
INSERT INTO wayfare.channel_reports (worker,
    channel, at, spec, problem, breaker, breaker_since, breaker_why,
    accepted_per_minute, failed_per_minute, p99_ms, last_error, last_error_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (worker, channel) DO UPDATE SET at = excluded.at, spec = excluded.spec,
    problem = excluded.problem, breaker = excluded.breaker,
    breaker_since = excluded.breaker_since, breaker_why = excluded.breaker_why,
    accepted_per_minute = excluded.accepted_per_minute,
    failed_per_minute = excluded.failed_per_minute, p99_ms = excluded.p99_ms,
    last_error = excluded.last_error, last_error_at = excluded.last_error_at
"""
_FRESH = """
SELECT channel, at, spec, problem, breaker, breaker_since, breaker_why,
    accepted_per_minute, failed_per_minute, p99_ms, last_error, last_error_at
FROM (
    SELECT *, max(at) OVER (PARTITION BY channel) AS newest FROM wayfare.channel_reports
) r
WHERE at >= newest - make_interval(secs => %s) ORDER BY channel, worker
"""
_OPEN_NOW = """
SELECT DISTINCT channel FROM (
    SELECT *, max(at) OVER (PARTITION BY channel) AS newest FROM wayfare.channel_reports
) r
WHERE at >= newest - make_interval(secs => %s) AND (breaker = ANY(%s) OR breaker = 'HalfOpen'
    AND EXISTS (SELECT FROM wayfare.outbox o LEFT JOIN wayfare.send_holds h USING (send_key)
        WHERE coalesce(o.fallback, o.channel) = r.channel
            AND (o.outcome IS NULL OR o.outcome IN ('NotAccepted', 'Held'))
            AND o.attempt <= o.outcome_attempt AND o.due <= now()
            AND (h.until IS NULL OR h.until <= now() + make_interval(secs => %s))))
"""
# Each part reads what a partial index has, and not the whole outbox.
STANDINGS = """
SELECT coalesce(fallback, channel), count(*), 0 FROM wayfare.outbox
WHERE (outcome IS NULL OR outcome IN ('NotAccepted', 'Held')) AND attempt <= outcome_attempt
    AND due IS NOT NULL
GROUP BY 1
UNION ALL
SELECT dispatch_channel, 0, count(*) FROM wayfare.outbox
WHERE attempt > outcome_attempt AND outcome IS DISTINCT FROM 'Accepted' AND due IS NOT NULL
GROUP BY 1
"""
UNKNOWN = """
SELECT coalesce(dispatch_channel, channel), count(*) FROM wayfare.outbox
WHERE outcome = 'Unknown' GROUP BY 1
"""


def put(
    connection: Connection[Any],
    worker: str,
    reports: Sequence[ChannelReport],
    *,
    changed: Collection[str],
) -> None:
    """Write a worker's reports, and take back what it no longer reports; tell serving pods of the
    channels whose breaker changed."""
    with connection.transaction():
        connection.execute(
            "DELETE FROM wayfare.channel_reports WHERE (worker = %s AND channel <> ALL(%s)) "
            "OR at < now() - make_interval(secs => %s)",
            (worker, [report.channel for report in reports], _FORGOTTEN_SECONDS),
        )
        connection.cursor().executemany(
            _PUT,
            [
                (
                    worker,
                    r.channel,
                    r.at,
                    r.spec,
                    r.problem,
                    r.breaker,
                    r.breaker_since,
                    r.breaker_why,
                    r.accepted_per_minute,
                    r.failed_per_minute,
                    r.p99_ms,
                    r.last_error,
                    r.last_error_at,
                )
                for r in reports
            ],
        )
        for channel in changed:
            connection.execute("SELECT pg_notify(%s, %s)", (channels.BREAKERS, channel))


def withdraw(connection: Connection[Any], worker: str) -> None:
    """The worker ends."""
    connection.execute("DELETE FROM wayfare.channel_reports WHERE worker = %s", (worker,))


async def fresh(connection: AsyncConnection[Any]) -> list[ChannelReport]:
    """The newest reports of every channel, of all workers that still report."""
    cursor = await connection.execute(_FRESH, (FRESH_SECONDS,))
    return [ChannelReport(*row) for row in await cursor.fetchall()]


async def open_channels(connection: AsyncConnection[Any]) -> frozenset[str]:
    """Channels through which nothing leaves, as some worker reported last. What was said last
    stands until somebody says something else. A half open one counts while sends wait for its
    trial; when none does, the next decision's send has to be the trial."""
    cursor = await connection.execute(_OPEN_NOW, (FRESH_SECONDS, list(_OPEN), _SOON_SECONDS))
    return frozenset([name for (name,) in await cursor.fetchall()])


@dataclass(frozen=True)
class Standing:
    """A channel's sends in numbers."""

    waiting: int = 0
    in_flight: int = 0
    unknown: int = 0


async def standings(connection: AsyncConnection[Any]) -> dict[str, Standing]:
    """Of each channel that has sends which did not end well or did not end yet. Reads what is open,
    by its indexes, and not the whole outbox."""
    cursor = await connection.execute(STANDINGS)
    found = await cursor.fetchall()
    cursor = await connection.execute(UNKNOWN)
    return _together(found, await cursor.fetchall())


def standings_now(connection: Connection[Any]) -> dict[str, Standing]:
    """`standings` for synchronous connections."""
    found = connection.execute(STANDINGS).fetchall()
    return _together(found, connection.execute(UNKNOWN).fetchall())


def _together(
    opened: Sequence[tuple[Any, ...]], ended: Sequence[tuple[Any, ...]]
) -> dict[str, Standing]:
    waiting, flying, unknown = Counter[str](), Counter[str](), Counter[str](dict(ended))
    for name, waits, flies in opened:
        waiting[name] += waits
        flying[name] += flies
    return {
        name: Standing(waiting[name], flying[name], unknown[name])
        for name in waiting.keys() | flying.keys() | unknown.keys()
    }


def describe(
    connection: Connection[Any], channel: str, url: str, description: Any, at: datetime
) -> None:
    """Remember what the channel's host said of itself."""
    connection.execute(
        "INSERT INTO wayfare.channel_descriptions (channel, url, description, at) "
        "VALUES (%s, %s, %s, %s) ON CONFLICT (channel) DO UPDATE SET url = excluded.url, "
        "description = excluded.description, at = excluded.at",
        (channel, url, Jsonb(description), at),
    )


def descriptions(connection: Connection[Any]) -> dict[str, tuple[str, Any]]:
    """Channel to the URL that was asked, and what it said of itself when it last answered."""
    found = connection.execute(
        "SELECT channel, url, description FROM wayfare.channel_descriptions"
    ).fetchall()
    return {channel: (url, description) for channel, url, description in found}


async def described(connection: AsyncConnection[Any]) -> dict[str, Any]:
    """Channel to what its host said of itself last, as JSON."""
    cursor = await connection.execute(
        "SELECT channel, description FROM wayfare.channel_descriptions"
    )
    return dict(await cursor.fetchall())
