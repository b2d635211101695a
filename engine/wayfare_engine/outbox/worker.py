"""The loop that takes turns, hands over and writes outcomes; a site runs as many as it likes.

One database session claims partitions of customers, and everything that is written goes through
it: when it is lost, so are the claims, and what was dispatched and had not left is held. While the
right to act is not held no turn is taken: intents wait, or expire by their own rule.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from random import Random, SystemRandom
from typing import Any

import psycopg
import structlog
from psycopg import Connection

from wayfare_engine.outbox.breakers import CallBreaker, breaker_check
from wayfare_engine.outbox.channel import Channel
from wayfare_engine.outbox.checks import ALWAYS, Check
from wayfare_engine.outbox.dispatch import Turn, end_expired, take_turns
from wayfare_engine.outbox.facts import Origin
from wayfare_engine.outbox.fallback import checked
from wayfare_engine.outbox.hand_over import MaySend
from wayfare_engine.outbox.in_doubt import in_doubt
from wayfare_engine.outbox.offers import Asked, asked, make_known, recall, take_back
from wayfare_engine.outbox.outcome import OutcomeBatch, outcome_batch, write_outcomes
from wayfare_engine.outbox.partitions import Partitions
from wayfare_engine.outbox.pipeline import Pipeline
from wayfare_engine.outbox.resolve import resolve
from wayfare_engine.outbox.retries import Retries
from wayfare_engine.outbox.under_way import UnderWay
from wayfare_engine.store.postgresql import Away, patient

log = structlog.get_logger(__name__)

_RECONNECT_SECONDS = 0.2


class SendWorker:
    """One worker. `dsn` is a direct address (no transaction pooler): claims are session locks.

    `window` is H in seconds, less what clock errors may take (`Terms.carried`); `guard` is this
    process's own. `checks` come after expiry and opt-outs, which are always asked; `breakers` are
    of those channels that have one. `batch` is the number of sends in one transaction, `capacity`
    the most of one channel under way at a time. `random` varies the pauses between tries. Raises
    FallbackProblem, and BadLimit for a channel's limits that cannot work.
    """

    def __init__(
        self,
        dsn: str,
        origin: Origin,
        *,
        channels: Mapping[str, Channel],
        guard: MaySend,
        window: float,
        boottime: Callable[[], float],
        checks: Sequence[Check] = (),
        breakers: Mapping[str, CallBreaker] | None = None,
        poll_seconds: float = 0.05,
        balance_seconds: float = 1.0,
        batch: int = 500,
        capacity: int = 4000,
        random: Random | None = None,
    ) -> None:
        self._dsn = patient(dsn, "wayfare-outbox")
        self._origin = origin
        self._channels = checked(channels)
        self._guard = guard
        self._window = window
        self._boottime = boottime
        self._breakers = breakers or {}
        # The breaker last: what nothing else objects to may be its probe.
        self._checks = (*ALWAYS, *checks, breaker_check(channels, self._breakers))
        self._poll_seconds = poll_seconds
        self._balance_seconds = balance_seconds
        self._batch = batch
        self._capacity = capacity
        self._fetched = [name for name, channel in channels.items() if channel.fetched]
        self._asked = Asked()
        self._under_way = UnderWay(boottime)
        self._retries = Retries(channels, clock=boottime, random=random or SystemRandom())
        self._unwritten: OutcomeBatch | None = None
        self._generation = 0
        self._alive_at = float("-inf")
        self._draining = False
        self._nothing_left = False

    def drain(self) -> None:
        """Take no turns any more and repeat nothing. What is under way ends as it does; what was
        offered to a system that pulls, and not fetched, is taken back."""
        self._draining = True

    @property
    def draining(self) -> bool:
        """Whether `drain` was called."""
        return self._draining

    @property
    def drained(self) -> bool:
        """Whether nothing is under way after `drain`."""
        return self._draining and self._nothing_left

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then write what has ended; or until the epoch is over here.

        Raises StaleEpoch then: what was under way is the next holder's to find in doubt.
        """
        pipeline = Pipeline(
            self._dsn,
            site=self._origin.site,
            epoch=self._origin.epoch,
            channels=self._channels,
            guard=self._guard,
            window=self._window,
            under_way=self._under_way,
            boottime=self._boottime,
            clock=self._origin.clock,
            session_alive_at=lambda: self._alive_at,
            generation=lambda: self._generation,
            breakers=self._breakers,
            retries=self._retries,
        )
        try:
            while not stop.is_set():
                try:
                    with psycopg.connect(self._dsn, autocommit=True) as session:
                        self._serve(session, pipeline, stop)
                except Away as error:
                    log.info("outbox.session_lost", error=type(error).__name__)
                    stop.wait(_RECONNECT_SECONDS)
                finally:
                    self._generation += 1
        finally:
            pipeline.stop()

    def _serve(self, session: Connection[Any], pipeline: Pipeline, stop: threading.Event) -> None:
        partitions = Partitions(session, self._boottime)
        make_known(session, self._fetched)
        balance_at = doubts_at = expiry_at = 0.0
        while not stop.is_set():
            began = self._boottime()
            session.execute("SELECT 1")
            self._alive_at = began
            self._write(session)
            if began >= balance_at:
                partitions.balance(self._under_way.partitions())
                if partitions.part:
                    pipeline.share(partitions.part)
                balance_at = began + self._balance_seconds
            if self._draining:
                self._drain(session, partitions)
                self._under_way.news.wait(self._poll_seconds)
                continue
            taken = 0
            self._asked = asked(session, self._fetched)
            if self._guard.may_send() > 0:
                if began >= doubts_at:
                    self._resolve(session, partitions, pipeline)
                    doubts_at = began + self._window / 2
                taken = self._take_turns(session, partitions, pipeline)
                waiting: Collection[str] = self._asked.silent
            else:
                waiting = self._channels
            if waiting and began >= expiry_at:
                self._end_expired(session, partitions, waiting)
                expiry_at = began + self._balance_seconds
            if not taken:
                self._under_way.news.wait(self._poll_seconds)
        pipeline.stop()
        while self._write(session):
            pass

    def _drain(self, session: Connection[Any], partitions: Partitions) -> None:
        recall(session, self._fetched)
        back = self._take_back(session, partitions)
        self._nothing_left = not back and not len(self._under_way)

    def _take_back(self, session: Connection[Any], partitions: Partitions) -> int:
        own = [
            p
            for p in partitions.held
            if self._boottime() >= partitions.held_since(p) + self._window
        ]
        return take_back(
            session,
            self._origin,
            channels=self._channels,
            partitions=partitions.held,
            settled=own,
            under_way=self._under_way.keys(),
            limit=self._batch,
        )

    def _take_turns(
        self, session: Connection[Any], partitions: Partitions, pipeline: Pipeline
    ) -> int:
        turn = take_turns(
            session,
            self._origin,
            channels={n: c for n, c in self._channels.items() if n not in self._asked.silent},
            partitions=partitions.held,
            busy=self._under_way.customers(),
            checks=self._checks,
            limit=self._batch,
            room={
                name: min(room, self._capacity - self._under_way.of(name)) - self._asked.of(name)
                for name, room in pipeline.room().items()
            },
            retries=self._retries,
        )
        self._enter(turn, pipeline)
        return len(turn.sends)

    def _end_expired(
        self, session: Connection[Any], partitions: Partitions, channels: Collection[str]
    ) -> None:
        end_expired(
            session,
            self._origin,
            channels={name: self._channels[name] for name in channels},
            partitions=partitions.held,
            busy=self._under_way.customers(),
            limit=self._batch,
        )

    def _resolve(
        self, session: Connection[Any], partitions: Partitions, pipeline: Pipeline
    ) -> None:
        self._take_back(session, partitions)
        found = in_doubt(
            session,
            channels=self._channels,
            partitions=partitions.held,
            under_way=self._under_way.keys(),
            now=self._origin.clock(),
            limit=self._batch,
        )
        # What a predecessor handed over may still start for H after its claim ended.
        settled = [
            doubt
            for doubt in found
            if self._boottime() >= partitions.held_since(doubt.send.partition) + self._window
            and self._under_way.settled(doubt.send.send_key)
        ]
        if not settled:
            return
        resolved = resolve(
            session,
            settled,
            self._origin,
            channels=self._channels,
            checks=self._checks,
            silent=self._asked.silent,
        )
        self._enter(resolved.repeated, pipeline)
        self._under_way.enter([ended.send for ended in resolved.unknown])
        self._under_way.end(*resolved.unknown)
        self._under_way.enter([question.send for question in resolved.questions])
        for question in resolved.questions:
            pipeline.ask(question)
        log.info(
            "outbox.in_doubt",
            repeated=len(resolved.repeated.sends),
            asked=len(resolved.questions),
            unknown=len(resolved.unknown),
        )

    def _enter(self, turn: Turn, pipeline: Pipeline) -> None:
        self._under_way.enter(turn.sends)
        pipeline.put(turn, self._generation)

    def _write(self, session: Connection[Any]) -> bool:
        """Write what ended since the last time; whether there was anything."""
        if self._unwritten is None:
            ended, doubts = self._under_way.take_news(self._batch)
            if not ended and not doubts:
                return False
            self._unwritten = outcome_batch(
                ended, doubts, self._channels, self._origin, self._retries
            )
        # Kept until it is known to be written: a lost answer must not write it as something else.
        write_outcomes(session, self._unwritten)
        self._under_way.leave(self._unwritten.send_keys)
        self._unwritten = None
        return True
