"""The thread that keeps a process's breakers and Valkey together."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from redis import Redis

from wayfare_engine.guards.breaker_limits import BreakerLimits
from wayfare_engine.guards.limits import Checking
from wayfare_engine.guards.reports import Report
from wayfare_engine.guards.shared_breaker import SharedBreaker

log = structlog.get_logger(__name__)

_BETWEEN = 0.02


class Sharing:
    """Makes shared breakers, one a channel, and calls their `sync` every `every` seconds; at once
    when one would open, with 20 ms between rounds at least.

    `client` should wait a short time only (`bounded_client`): while Valkey hangs, a round takes
    that long, and the breakers go on alone.
    """

    def __init__(self, client: Redis, *, clock: Callable[[], float], every: float = 0.25) -> None:
        Checking("sharing").seconds("every", every, most=60)
        self._client = client
        self._clock = clock
        self._every = every
        self._breakers: dict[str, SharedBreaker] = {}
        self._news = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="guards-sharing", daemon=True)

    def breaker(
        self, name: str, limits: BreakerLimits, *, report: Report | None = None
    ) -> SharedBreaker:
        """A new breaker of the channel; one of that name before it is no longer kept together."""
        made = SharedBreaker(
            name, limits, self._client, clock=self._clock, report=report, hurry=self._news.set
        )
        self._breakers = {**self._breakers, name: made}
        self._news.set()
        return made

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it."""
        self._over.set()
        self._news.set()
        self._thread.join()

    def sync(self) -> bool:
        """One round over all breakers; whether Valkey answered."""
        breakers = list(self._breakers.values())
        for number, breaker in enumerate(breakers):
            if not breaker.sync():
                # One wait is enough to know.
                for other in breakers[number + 1 :]:
                    other.go_alone()
                return False
        return True

    def _run(self) -> None:
        answered = None
        while not self._over.is_set():
            self._news.clear()
            try:
                answers = self.sync()
            except Exception:
                # A thread that ended would leave every breaker with what it knew last.
                log.exception("guards.sync_failed")
            else:
                if answers is not answered:
                    log.info("guards.valkey", answers=answers)
                answered = answers
            self._over.wait(_BETWEEN)
            self._news.wait(self._every)
