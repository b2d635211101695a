"""The breakers of a worker's channels: kept while their limits stay, whatever else changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from wayfare_engine.guards import (
    Breaker,
    BreakerLimits,
    Change,
    Manual,
    Permit,
    SharedBreaker,
    Sharing,
    State,
    bounded_client,
)
from wayfare_engine.metrics import SendMetrics

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Stand:
    """Where a breaker stands, since when, and why."""

    state: str
    since: datetime
    why: str


class Breakers:
    """`valkey`: address of the Valkey by which workers share them; None: each worker has its own.
    `prefix` tells this engine's breakers from others' in it."""

    def __init__(
        self,
        valkey: str | None,
        *,
        prefix: str,
        metrics: SendMetrics,
        boottime: Callable[[], float],
        clock: Callable[[], datetime],
        changed: Callable[[], None],
    ) -> None:
        self._sharing = (
            Sharing(bounded_client(valkey), clock=boottime) if valkey is not None else None
        )
        self._prefix = prefix
        self._metrics = metrics
        self._boottime = boottime
        self._clock = clock
        self._changed = changed
        self._made: dict[str, tuple[BreakerLimits, Breaker | SharedBreaker]] = {}
        self._lock = threading.Lock()
        self._stands: dict[str, Stand] = {}
        self._news: set[str] = set()

    def start(self) -> None:
        """Begin to share."""
        if self._sharing is not None:
            self._sharing.start()

    def stop(self) -> None:
        """End."""
        if self._sharing is not None:
            self._sharing.stop()

    def breaker(
        self, channel: str, limits: BreakerLimits, manual: Manual
    ) -> Breaker | SharedBreaker:
        """The channel's; the same as before while its limits are the same."""
        present = self._made.get(channel)
        if present is None or present[0] != limits:

            def report(change: Change) -> None:
                self._report(channel, change)

            name = f"{self._prefix}/{channel}"
            made = (
                Breaker(name, limits, clock=self._boottime, report=report)
                if self._sharing is None
                else self._sharing.breaker(name, limits, report=report)
            )
            self._made[channel] = present = (limits, made)
        breaker = present[1]
        breaker.force(manual)
        with self._lock:
            stand = self._stands.get(channel)
            if stand is None or stand.state != breaker.state.value:
                self._stands[channel] = Stand(breaker.state.value, self._clock(), "")
                self._news.add(channel)
        return breaker

    def ask(self, channel: str) -> None:
        """Let an opening whose time is over end, also when no send is there to try: decisions that
        go by it would plan none until then, and it would be open for ever."""
        breaker = self._made[channel][1]
        if breaker.state is State.OPEN:
            permit = breaker.allow()
            if isinstance(permit, Permit):
                breaker.give_back(permit)

    def stand(self, channel: str) -> Stand:
        """Where the channel's breaker stands now."""
        with self._lock:
            stand = self._stands[channel]
            present = self._made[channel][1].state.value
            if stand.state != present:
                stand = Stand(present, self._clock(), stand.why)
                self._stands[channel] = stand
                self._news.add(channel)
            return stand

    def take_news(self) -> set[str]:
        """Channels whose breaker changed since the last call."""
        with self._lock:
            news, self._news = self._news, set()
        return news

    def _report(self, channel: str, change: Change) -> None:
        log.warning(
            "channel.breaker",
            channel=channel,
            before=change.before.value,
            state=change.after.value,
            why=change.why,
        )
        self._metrics.breaker_changes.labels(channel, change.after.value).inc()
        for state in State:
            self._metrics.breaker.labels(channel, state.value).set(state is change.after)
        with self._lock:
            self._stands[channel] = Stand(change.after.value, self._clock(), change.why)
            self._news.add(channel)
        self._changed()
