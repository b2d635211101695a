"""Sealing beside a worker's other tasks: in a thread of its own, with its figures as metrics."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import structlog

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.journal.horizon import HorizonWatch, stalled
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.journal.status import JournalStatus, status
from wayfare_engine.metrics import JournalMetrics
from wayfare_engine.objectstore import open_store
from wayfare_engine.objectstore.marker import check
from wayfare_engine.objectstore.probe import prove_store
from wayfare_engine.settings import Settings
from wayfare_engine.store.postgresql import patient
from wayfare_engine.worker.standing import Standing

log = structlog.get_logger(__name__)

_FIGURES_SECONDS = 2.0
_LOOK_SECONDS = 1.0
_PROVE_AGAIN_SECONDS = 60.0


class _Proof:
    """That the store does what the journal relies on; some forty requests, once a process.

    A site that stands by has time for them before it takes over; then sends would wait for them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._proved = False
        self._again_at = float("-inf")

    def __call__(self) -> None:
        """Prove it, unless that is done. Raises StoreUnfit, StoreProblem."""
        url = self._settings.object_store_url
        if url is not None and not self._proved:
            prove_store(url, self._settings.object_store_timeout_seconds)
            self._proved = True

    def early(self) -> None:
        """The same before it is needed; what is wrong is told, and looked at again later."""
        url, now = self._settings.object_store_url, time.monotonic()
        if self._proved or now < self._again_at or url is None:
            return
        self._again_at = now + _PROVE_AGAIN_SECONDS
        try:
            store = open_store(url, timeout_seconds=self._settings.object_store_timeout_seconds)
            check(store, self._settings.recovery_plan)
            self()
        except SaidToPeople as error:
            log.warning("store.not_proved", error=str(error))


async def seal(
    settings: Settings,
    metrics: JournalMetrics,
    standing: Standing,
    *,
    clock: Callable[[], datetime],
) -> None:
    """Seal until cancelled, when an object store is configured; returns at once when none is.

    Several workers of a site may do this: one seals, the others wait for its lock. A sealer is
    begun for each epoch that this site holds, and ended when it holds none and nothing is left.
    """
    if settings.object_store_url is None:
        return
    stop = threading.Event()
    work = asyncio.create_task(asyncio.to_thread(_seal, settings, metrics, standing, clock, stop))
    figures = asyncio.create_task(asyncio.to_thread(_figures, settings, metrics, stop))
    try:
        await asyncio.gather(work, figures)
    finally:
        stop.set()
        await asyncio.gather(work, figures, return_exceptions=True)


def _seal(
    settings: Settings,
    metrics: JournalMetrics,
    standing: Standing,
    clock: Callable[[], datetime],
    stop: threading.Event,
) -> None:
    proof = _Proof(settings)
    while not stop.is_set():
        view = standing.wait(lambda view: view.seals, _LOOK_SECONDS)
        if view is None:
            proof.early()
            continue
        epoch = view.stand.epoch
        ended = threading.Event()
        metrics.halted.set(0)
        thread = threading.Thread(
            target=_seal_one, args=(settings, metrics, epoch, clock, proof, ended), name="sealer"
        )
        thread.start()
        try:
            _while_it_seals(standing, epoch, stop)
        finally:
            ended.set()
            thread.join()


def _while_it_seals(standing: Standing, epoch: int, stop: threading.Event) -> None:
    """Until there is another epoch, or nothing of this one to seal."""
    while not stop.is_set() and not standing.ended:
        standing.wait(lambda view: not view.seals or view.stand.epoch != epoch, _LOOK_SECONDS)
        view = standing.view
        if view is not None and (not view.seals or view.stand.epoch != epoch):
            return


def _seal_one(
    settings: Settings,
    metrics: JournalMetrics,
    epoch: int,
    clock: Callable[[], datetime],
    proof: _Proof,
    stop: threading.Event,
) -> None:
    try:
        assert settings.object_store_url is not None
        sealer = Sealer(
            settings.direct_dsn,
            open_store(
                settings.object_store_url, timeout_seconds=settings.object_store_timeout_seconds
            ),
            plan=settings.recovery_plan,
            site=settings.site,
            epoch=epoch,
            clock=clock,
            seconds=settings.seal_seconds,
            prove=proof,
        )
        metrics.follow(sealer)
        log.info("sealer.begun", epoch=epoch)
        sealer.run(stop)
        log.info("sealer.ended", epoch=epoch)
    except SaidToPeople as error:
        # A conflict of chains, or a store that cannot be used: a person has to look. The worker's
        # other tasks go on, rows wait in PostgreSQL, and the lag shows. Another epoch begins anew.
        metrics.halted.set(1)
        log.error("sealer.halted", error=str(error))
    except Exception:
        metrics.halted.set(1)
        log.exception("sealer.halted")


def _figures(settings: Settings, metrics: JournalMetrics, stop: threading.Event) -> None:
    connection: psycopg.Connection[Any] | None = None
    watch = HorizonWatch(time.monotonic)
    while not stop.is_set():
        try:
            if connection is None or connection.closed:
                address = patient(settings.direct_dsn, "wayfare-journal-status")
                connection = psycopg.connect(address, autocommit=True)
            _tell(metrics, status(connection, settings.site), watch)
        except (psycopg.Error, OSError) as error:
            log.info("journal.status_away", error=type(error).__name__)
            if connection is not None:
                with contextlib.suppress(Exception):
                    connection.close()
            connection = None
        stop.wait(_FIGURES_SECONDS)
    if connection is not None:
        connection.close()


def _tell(metrics: JournalMetrics, found: JournalStatus, watch: HorizonWatch) -> None:
    metrics.lag_rows.set(found.lag.rows)
    metrics.lag_seconds.set(found.lag.seconds)
    metrics.sealed_position.set(found.sealed.seq)
    horizon = watch.seen(found.horizon)
    condition = stalled(horizon)
    metrics.horizon_age.set(horizon.age)
    metrics.stalled.set(0 if condition is None else 1)
    if condition is not None:
        log.warning("sealing.stalled", reason=condition.reason, because=condition.message)
