"""This site's beats, beside a worker's other tasks: that it is there, and what is not sealed yet.

Each worker of a site that holds its epoch writes them; such a site is silent when none of its
workers reaches both its database and the store.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import structlog

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.journal import intents
from wayfare_engine.journal.status import lag
from wayfare_engine.lease import open_lease_store
from wayfare_engine.lease.beats import BeatWriter, Figures
from wayfare_engine.ledger.standing import stand
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.objectstore.marker import check
from wayfare_engine.settings import Settings
from wayfare_engine.store.postgresql import Away, patient
from wayfare_engine.worker.standing import Standing

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0


async def beat(settings: Settings, standing: Standing, *, clock: Callable[[], datetime]) -> None:
    """Beat until cancelled, when an object store is configured; returns at once when none is. Only
    a site that holds its epoch beats, or is letting go of it in a planned move."""
    if settings.object_store_url is None:
        return
    stop = threading.Event()
    work = asyncio.create_task(asyncio.to_thread(_beat, settings, standing, clock, stop))
    try:
        await asyncio.shield(work)
    finally:
        stop.set()
        await asyncio.gather(work, return_exceptions=True)


def _beat(
    settings: Settings,
    standing: Standing,
    clock: Callable[[], datetime],
    stop: threading.Event,
) -> None:
    assert settings.object_store_url is not None
    try:
        store = open_lease_store(settings.object_store_url, ttl=settings.lease_ttl_seconds)
    except SaidToPeople as error:
        log.error("beats.halted", error=str(error))
        return
    while not stop.is_set():
        if standing.wait(lambda view: view.stand.seals, _LOOK_SECONDS) is None:
            continue
        try:
            address = patient(settings.direct_dsn, "wayfare-beats")
            with psycopg.connect(address, autocommit=True) as connection:
                _while_connected(connection, store, settings, clock, stop)
        except Away as error:
            log.info("beats.database_away", error=type(error).__name__)
            stop.wait(settings.beat_seconds)


def _while_connected(
    connection: psycopg.Connection[Any],
    store: ObjectStore,
    settings: Settings,
    clock: Callable[[], datetime],
    stop: threading.Event,
) -> None:
    writer: BeatWriter | None = None
    written_for: int | None = None
    told: str | None = None
    ours = False
    while not stop.is_set():
        present = stand(connection)
        if not present.seals:
            log.info("beats.ended", epoch=written_for)
            return
        epoch = present.epoch
        if writer is None or epoch != written_for:
            written_for = epoch
            writer = BeatWriter(
                store,
                plan=settings.recovery_plan,
                site=settings.site,
                epoch=epoch,
                figures=lambda: figures(connection, settings.site, stand(connection).epoch),
                now=clock,
                writer=settings.pod_uid,
            )
        try:
            # Nothing is written into a store of somebody else, or that no sealer has proved yet.
            ours = ours or check(store, settings.recovery_plan) is not None
            if ours:
                writer.beat()
            problem = None
        except SaidToPeople as error:
            problem = str(error)
        if problem is not None and told is None:
            log.warning("beats.waiting", error=problem)
        told = problem
        stop.wait(settings.beat_seconds)


def figures(connection: psycopg.Connection[Any], site: str, epoch: int) -> Figures:
    """What is sealed and what is not, of a site's present epoch."""
    waiting = lag(connection, site, epoch)
    return Figures(
        sealed_seq=intents.position(connection, site, epoch).seq,
        unsealed=waiting.rows,
        oldest_unsealed_at=waiting.oldest_at,
    )
