"""What a worker reports of its channels, made from what it knows. Pure, but for the metrics."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from wayfare_engine.metrics import SendMetrics
from wayfare_engine.store.channel_reports import ChannelReport, Standing
from wayfare_engine.worker.sending.breakers import Stand
from wayfare_engine.worker.sending.built import Built
from wayfare_engine.worker.sending.figures import Rates


def running_report(
    way: Built, problem: str | None, stand: Stand, rates: Rates, now: datetime
) -> ChannelReport:
    """Of a channel that sends."""
    at, said = (None, None) if rates.error is None else rates.error
    return ChannelReport(
        channel=way.name,
        at=now,
        spec=way.digest,
        problem=problem,
        breaker=stand.state,
        breaker_since=stand.since,
        breaker_why=stand.why,
        accepted_per_minute=round(rates.accepted, 2),
        failed_per_minute=round(rates.failed, 2),
        p99_ms=None if rates.p99 is None else round(rates.p99 * 1000, 2),
        last_error=said,
        last_error_at=at,
    )


def idle_report(name: str, spec: str, why: str, since: datetime, now: datetime) -> ChannelReport:
    """Of a channel that does not send, `since` the worker was started."""
    return ChannelReport(
        channel=name,
        at=now,
        spec=spec,
        problem=why,
        breaker="Closed",
        breaker_since=since,
        breaker_why="",
        accepted_per_minute=0.0,
        failed_per_minute=0.0,
        p99_ms=None,
        last_error=None,
        last_error_at=None,
    )


def count(
    metrics: SendMetrics, channels: Collection[str], standings: Mapping[str, Standing]
) -> None:
    """Tell how many sends stand where, of all channels there are or were."""
    for name in {*channels, *standings}:
        one = standings.get(name, Standing())
        for standing, number in (
            ("waiting", one.waiting),
            ("in_flight", one.in_flight),
            ("unknown", one.unknown),
        ):
            metrics.sends.labels(name, standing).set(number)
