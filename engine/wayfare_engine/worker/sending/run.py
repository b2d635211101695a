"""A worker's sends, kept in step with the plan, the epoch and the hosts.

A thread looks every second: when the plan's channels, what hosts say of themselves or the epoch
changed, the `SendWorker` that runs is ended, which takes as long as its hand-overs under way, and
another is begun. What was dispatched and did not leave is found again, as after a crash. Where the
epoch is not held none runs; in a planned move the one that runs is drained first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg_pool import ConnectionPool

from wayfare_engine.clock import new_id
from wayfare_engine.customers.messages import MessageMaker, Messages
from wayfare_engine.errors import SaidToPeople
from wayfare_engine.guards import BadLimit
from wayfare_engine.lease.right import terms_of
from wayfare_engine.lease.terms import boottime
from wayfare_engine.ledger.bodies import Guard
from wayfare_engine.ledger.fence import StaleEpoch
from wayfare_engine.ledger.standing import Stand, State, stand
from wayfare_engine.metrics import SendMetrics
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.outbox import HttpHost, Origin, SendWorker, quiesce
from wayfare_engine.outbox.channel import Host
from wayfare_engine.plan import Plan
from wayfare_engine.privacy import MasterKeys
from wayfare_engine.settings import Settings
from wayfare_engine.store import channel_reports
from wayfare_engine.store.customers import sealed_attributes
from wayfare_engine.store.postgresql import Away, patient
from wayfare_engine.worker.sending import built, built_in
from wayfare_engine.worker.sending.breakers import Breakers
from wayfare_engine.worker.sending.figures import Figures, WatchedHost
from wayfare_engine.worker.sending.hosts import Hosts, Known
from wayfare_engine.worker.sending.reports import count, idle_report, running_report
from wayfare_engine.worker.standing import Standing

log = structlog.get_logger(__name__)

#: What the operator tells apart from a host's problem.
NOT_HELD = "the right to act is not held: sends wait"
_LOOK_SECONDS = 1.0
_DRAINING_SECONDS = 0.05
_REPORT_SECONDS = 5.0
_CONNECT_SECONDS = 1.0
#: For looking up customers while messages are made.
_CONNECTIONS = 8


@dataclass
class _Running:
    """One SendWorker. `made_from` is everything that it would have to be made anew for."""

    made_from: object
    worker: SendWorker
    stop: threading.Event
    thread: threading.Thread
    ways: Mapping[str, built.Built]
    problems: Mapping[str, str]


class Sending:
    """Runs the sends of one worker process, between `start` and `stop`."""

    def __init__(
        self,
        settings: Settings,
        *,
        standing: Standing,
        plan: Callable[[], Plan | None],
        store: ObjectStore | None,
        masters: MasterKeys | None,
        addresses: Mapping[str, str],
        metrics: SendMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._standing = standing
        self._plan = plan
        self._metrics = metrics
        self._clock = clock
        self._dsn = patient(settings.direct_dsn, "wayfare-sending")
        self._over = threading.Event()
        self._news = threading.Event()
        self._addresses = addresses
        self._hosts = Hosts(addresses, clock=clock, monotonic=time.monotonic)
        self._breakers = Breakers(
            settings.valkey,
            prefix=settings.engine,
            metrics=metrics,
            boottime=boottime,
            clock=clock,
            changed=self._news.set,
        )
        self._pool = ConnectionPool(
            patient(settings.dsn, "wayfare-messages"),
            min_size=0,
            max_size=_CONNECTIONS,
            kwargs={"autocommit": True},
            open=False,
        )
        self._maker = MessageMaker(self._pool.connection, store, masters)
        self._since = clock()
        self._figures: dict[str, Figures] = {}
        self._problems: dict[str, str] = {}
        self._waits: str | None = None
        self._running: _Running | None = None
        self._thread = threading.Thread(target=self._run, name="sending", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._standing.on_change(self._news.set)
        self._pool.open()
        self._breakers.start()
        self._thread.start()

    def stop(self) -> None:
        """End what runs; hand-overs under way have their time."""
        self._over.set()
        self._news.set()
        self._thread.join()
        self._breakers.stop()
        self._hosts.close()
        self._pool.close()

    def _run(self) -> None:
        reported_at = float("-inf")
        try:
            while not self._over.is_set():
                self._news.clear()
                try:
                    with psycopg.connect(self._dsn, autocommit=True) as connection:
                        while not self._over.is_set():
                            self._try_to_look(connection)
                            news = self._breakers.take_news()
                            if news or time.monotonic() - reported_at >= _REPORT_SECONDS:
                                self._report(connection, news)
                                reported_at = time.monotonic()
                            self._news.wait(self._pause())
                            self._news.clear()
                        self._end_running()
                        quiesce.gone(connection, self._settings.pod_uid)
                        channel_reports.withdraw(connection, self._settings.pod_uid)
                except Away as error:
                    log.info("sending.store_away", error=type(error).__name__)
                    self._over.wait(_LOOK_SECONDS)
                except Exception:
                    log.exception("sending.failed")
                    self._over.wait(_LOOK_SECONDS * 5)
        finally:
            self._end_running()

    def _pause(self) -> float:
        """In a planned move somebody waits for what is under way to end: it is looked for often."""
        running = self._running
        draining = running is not None and running.worker.draining
        return _DRAINING_SECONDS if draining else _LOOK_SECONDS

    def _try_to_look(self, connection: psycopg.Connection[Any]) -> None:
        """`_look`; what it says to people is told of each channel that does not run."""
        before, self._waits = self._waits, None
        try:
            self._look(connection)
        except SaidToPeople as error:
            if str(error) != before:
                log.error("sending.waits", error=str(error))
            self._waits = str(error)

    def _look(self, connection: psycopg.Connection[Any]) -> None:
        """Have that run which should."""
        plan = self._plan()
        running = self._running
        if running is not None and not running.thread.is_alive():
            self._end_running()
            running = None
        if plan is None:
            return
        known = self._hosts.know(connection, plan.channels)
        self._problems = {
            name: k.problem or "its host has not answered yet"
            for name, k in known.items()
            if k.problem is not None or k.description is None
        }
        present = stand(connection)
        if not present.sends:
            self._let_go(connection, present)
            return
        epoch = present.epoch
        sealed = sealed_attributes(connection)
        made_from = (
            epoch,
            sealed,
            {name: (c.digest, c.url) for name, c in plan.channels.items()},
            plan.governance,
            {name: k.description for name, k in known.items()},
        )
        if running is not None and running.made_from == made_from and not running.worker.draining:
            self._problems = dict(running.problems) | self._problems
            for name in running.ways:
                self._breakers.ask(name)
            return
        self._end_running()
        messages = self._maker.of(plan)
        ways, unusable = self._ways(plan, known, messages, sealed)
        self._problems = unusable | self._problems
        if ways:
            # Noted first, and looked at again: who asks for an end sees one or the other.
            quiesce.sending(connection, self._settings.pod_uid, epoch)
            if stand(connection) == present:
                self._begin(plan, ways, unusable, messages, epoch, made_from)

    def _let_go(self, connection: psycopg.Connection[Any], present: Stand) -> None:
        """Nothing is to be sent: in a planned move what is under way ends first."""
        running = self._running
        why = self._standing.answer().why
        self._waits = NOT_HELD if why is None else f"{NOT_HELD}: {why}"
        if running is not None and present.held and present.state is State.QUIESCING:
            running.worker.drain()
            if not running.worker.drained:
                return
        self._end_running()
        quiesce.stopped(connection, self._settings.pod_uid, present.run)

    def _ways(
        self,
        plan: Plan,
        known: Mapping[str, Known],
        messages: Messages,
        sealed: Collection[str],
    ) -> tuple[dict[str, built.Built], dict[str, str]]:
        """Those that can run, and why others cannot, whose hosts are known."""
        guard: Guard = "Local" if self._settings.object_store_url is None else "Journaled"
        ways: dict[str, built.Built] = {}
        unusable: dict[str, str] = {}
        for name, channel in plan.channels.items():
            description = known[name].description
            if description is None:
                continue
            if name in messages.problems:
                unusable[name] = messages.problems[name]
                continue
            try:
                way = built.built(name, channel, description, guard=guard)
                way.breaker_limits(self._settings.hand_over_seconds)
            except (ValueError, BadLimit) as error:
                unusable[name] = f"its spec cannot be used: {str(error).splitlines()[0]}"
                continue
            if (attribute := messages.assignees.get(name)) in sealed:
                unusable[name] = (
                    f"its tasks: config.assigneeAttribute names {attribute}, which is sensitive: "
                    "name one that is not"
                )
                continue
            ways[name] = way
        return ways, unusable

    def _host(self, name: str, way: built.Built, messages: Messages) -> Host:
        if not way.built_in:
            address = self._addresses.get(way.url, way.url)
            return HttpHost(address, boottime=boottime, connect_seconds=_CONNECT_SECONDS)
        return built_in.host(
            name,
            way.spec,
            dsn=self._settings.direct_dsn,
            site=self._settings.site,
            attribute_of=messages.attribute_of,
            boottime=boottime,
            clock=self._clock,
        )

    def _begin(
        self,
        plan: Plan,
        ways: Mapping[str, built.Built],
        unusable: Mapping[str, str],
        messages: Messages,
        epoch: int,
        made_from: object,
    ) -> None:
        settings, terms = self._settings, terms_of(self._settings)
        right = self._standing.right(epoch)
        if right is None:
            self._waits = NOT_HELD
            return
        channels, breakers = {}, {}
        for name, way in ways.items():
            figures = self._figures.get(name)
            if figures is None:
                figures = self._figures[name] = Figures(
                    name, self._metrics, boottime=boottime, clock=self._clock
                )
            host = self._host(name, way, messages)
            watched = WatchedHost(host, figures, boottime=boottime)
            channels[name] = way.channel(watched, messages.renderers[name])
            limits = way.breaker_limits(settings.hand_over_seconds)
            breakers[name] = self._breakers.breaker(name, limits, way.manual)
        worker = SendWorker(
            settings.direct_dsn,
            Origin(settings.site, epoch, new_id, self._clock),
            channels=built.with_fallbacks(channels, ways),
            guard=right,
            window=terms.carried,
            boottime=boottime,
            checks=built.checks(ways, plan.governance, zones=messages.zones),
            breakers=breakers,
        )
        stop = threading.Event()

        def run() -> None:
            try:
                worker.run(stop)
            except StaleEpoch as error:
                log.warning("sending.epoch_over", error=str(error))
            except Exception:
                log.exception("sending.worker_failed")

        thread = threading.Thread(target=run, name="sends", daemon=True)
        thread.start()
        self._running = _Running(made_from, worker, stop, thread, ways, unusable)
        log.info("sending.runs", channels=sorted(ways), epoch=epoch)

    def _end_running(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        running.stop.set()
        running.thread.join()

    def _report(self, connection: psycopg.Connection[Any], news: set[str]) -> None:
        plan, running = self._plan(), self._running
        if plan is None:
            return
        may_send = self._standing.may_send()
        self._metrics.may_send.set(may_send)
        ways = {} if running is None else running.ways
        quiesce.still_there(connection, self._settings.pod_uid)
        reports = []
        for name, channel in plan.channels.items():
            problem = self._problems.get(name)
            if name in ways:
                problem = problem or (None if may_send > 0 else NOT_HELD)
                stand, rates = self._breakers.stand(name), self._figures[name].rates()
                reports.append(running_report(ways[name], problem, stand, rates, self._clock()))
            else:
                why = problem or self._waits or "it does not run yet"
                since = self._since
                reports.append(idle_report(name, channel.digest, why, since, self._clock()))
        channel_reports.put(connection, self._settings.pod_uid, reports, changed=news)
        count(self._metrics, plan.channels, channel_reports.standings_now(connection))
