"""What the control API tells of channels: all workers' reports put together. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from wayfare_engine.store.channel_reports import ChannelReport, Standing

#: The worst first: what one worker sees of a channel concerns its users, whatever others see.
_WORST = ("ForcedOpen", "Open", "HalfOpen", "ForcedClosed", "Closed")


def told(
    reports: Sequence[ChannelReport],
    standings: Mapping[str, Standing],
    descriptions: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """One object a channel, in the order of names; `reports` are sorted by channel. Rates are sums
    over workers, percentiles the worst."""
    return [
        _channel(name, list(some), standings.get(name, Standing()), descriptions.get(name))
        for name, some in groupby(reports, key=lambda report: report.channel)
    ]


def _channel(
    name: str, reports: Sequence[ChannelReport], standing: Standing, description: Any
) -> dict[str, Any]:
    breaker = min(reports, key=lambda r: (_WORST.index(r.breaker), r.breaker_since))
    errors = [(r.last_error_at, r.last_error) for r in reports if r.last_error_at is not None]
    times = [r.p99_ms for r in reports if r.p99_ms is not None]
    last = max(errors, key=lambda e: e[0]) if errors else (None, None)
    return {
        "name": name,
        "specs": sorted({r.spec for r in reports}),
        "problem": next((r.problem for r in reports if r.problem is not None), None),
        "breaker": {
            "state": breaker.breaker,
            "since": breaker.breaker_since,
            "why": breaker.breaker_why,
        },
        "waiting": standing.waiting,
        "inFlight": standing.in_flight,
        "unknown": standing.unknown,
        "acceptedPerMinute": round(sum(r.accepted_per_minute for r in reports), 1),
        "failedPerMinute": round(sum(r.failed_per_minute for r in reports), 1),
        "p99Milliseconds": max(times) if times else None,
        "lastErrorAt": last[0],
        "lastError": last[1],
        "plugin": _plugin(description),
    }


def _plugin(description: Any) -> dict[str, Any] | None:
    if not isinstance(description, dict):
        return None
    return {
        "name": description.get("plugin"),
        "version": description.get("version"),
        "deduplication": (description.get("dedupe") or {}).get("by"),
        "batchSize": description.get("batch_size", 1),
    }
