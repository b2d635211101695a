"""Checkpoints of the acting site and snapshots of one that follows, each at its interval.

A checkpoint says what the tables are at a position of the chain, so that another site can compare
its own when this one is gone. Whoever compares reads the chain from there on, so where much is
written one comes more often. A snapshot bounds what is to be replayed; only a database that holds
nothing but what is sealed can give one. Of a site's workers one does it at a time.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import structlog

from wayfare_engine.clock import new_id
from wayfare_engine.errors import SaidToPeople
from wayfare_engine.journal import checking, checkpoint, intents, positions, snapshot
from wayfare_engine.journal.positions import Chain
from wayfare_engine.journal.snapshots import prune, usable
from wayfare_engine.metrics import KeepingMetrics
from wayfare_engine.objectstore import ObjectStore, open_store, paths
from wayfare_engine.settings import Settings
from wayfare_engine.store.postgresql import end_with_client, patient
from wayfare_engine.worker.standing import Standing

log = structlog.get_logger(__name__)

_LOCK = (0x57464B50, 1)  # "WFKP"
_LOOK_SECONDS = 1.0
#: After one that failed, and at most so long between two looks.
_AGAIN_SECONDS = 60.0
#: A site acts for so long before the first checkpoint of its epoch.
_SETTLED_SECONDS = 60.0
#: With so many rows since the last checkpoint, the next one comes after so many times what that one
#: took, but not sooner than in `_OFTEN_SECONDS`. The last number is half of what TablesEqual folds.
_SOONER = ((1_000, 100.0), (250_000, 3.0))
_OFTEN_SECONDS = 300.0


def until_checkpoint(
    connection: psycopg.Connection[Any],
    store: ObjectStore,
    chain: Chain,
    *,
    usual: float,
    took: float,
    now: datetime,
) -> float | None:
    """Seconds until the next checkpoint of this database's own chain is due, which is every `usual`
    seconds, or more often by what the last one `took`; None: the chain has none yet.

    Raises ChainProblem, StoreProblem, psycopg.Error.
    """
    found = checking.newest(store)
    if found is None or not found[2].startswith(paths.checkpoints(*chain)):
        return None
    body, at, _ = found
    rows = intents.position(connection, *chain).seq - body.watermark.get(
        f"{chain[0]}/{chain[1]}", 0
    )
    return checkpoint_interval(rows, usual=usual, took=took) - (now - at).total_seconds()


def checkpoint_interval(rows: int, *, usual: float, took: float) -> float:
    """Seconds from a checkpoint that took so many to the next, when so many rows came since."""
    for many, times in _SOONER:
        if rows >= many:
            usual = min(usual, max(_OFTEN_SECONDS, times * took))
    return usual


class Keeping:
    """The checkpoints and snapshots of one worker. `run` is for a thread of its own."""

    def __init__(
        self,
        settings: Settings,
        standing: Standing,
        metrics: KeepingMetrics,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._standing = standing
        self._metrics = metrics
        self._clock = clock
        self._dsn = patient(settings.direct_dsn, "wayfare-keeping")
        self._seen = (0, False)
        self._since = self._due_at = time.monotonic()
        self._took = 0.0

    def run(self, stop: threading.Event) -> None:
        """Take what is due until `stop` is set."""
        while not stop.wait(_LOOK_SECONDS):
            view = self._standing.view
            if view is None:
                continue
            if (view.stand.epoch, view.holds) != self._seen:
                self._seen = (view.stand.epoch, view.holds)
                self._since = self._due_at = time.monotonic()
            if time.monotonic() < self._due_at:
                continue
            what = "checkpoint" if view.stand.sends else "snapshot" if view.follows else None
            if what is None:
                continue
            try:
                pause = self._take(what)
            except (SaidToPeople, psycopg.Error, OSError, TimeoutError) as error:
                log.warning("keeping.failed", what=what, error=str(error).partition("\n")[0])
                self._metrics.failures.labels(what).inc()
                pause = _AGAIN_SECONDS
            except Exception:
                log.exception("keeping.failed", what=what)
                self._metrics.failures.labels(what).inc()
                pause = _AGAIN_SECONDS
            interval = self._interval(what)
            pause = min(pause, _AGAIN_SECONDS, interval or pause)
            self._due_at = time.monotonic() + max(0.0, pause)

    def _interval(self, what: str) -> float:
        settings = self._settings
        return settings.checkpoint_seconds if what == "checkpoint" else settings.snapshot_seconds

    def _take(self, what: str) -> float:
        """Take it if it is due; seconds until the next may be."""
        interval = self._interval(what)
        if not interval:
            return _AGAIN_SECONDS
        store = self._store()
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            end_with_client(connection)
            row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", _LOCK).fetchone()
            if row is None or not row[0]:
                return interval  # another worker is at it
            began = time.monotonic()
            if what == "checkpoint":
                left = self._checkpoint_due(connection, store)
                if left > 0:
                    return left
                taken = checkpoint.take(
                    self._settings.direct_dsn,
                    store,
                    site=self._settings.site,
                    ids=new_id,
                    clock=self._clock,
                )
                self._took = time.monotonic() - began
                removed = checkpoint.prune(store, keep=self._settings.checkpoint_keep)
                log.info("checkpoint.taken", path=taken.path, removed=len(removed))
            else:
                left = self._snapshot_due(connection, store)
                if left > 0:
                    return left
                self._snapshot(store)
            self._metrics.taken.labels(what).inc()
            self._metrics.seconds.labels(what).set(time.monotonic() - began)
            self._metrics.taken_at.labels(what).set(self._clock().timestamp())
        return interval

    def _checkpoint_due(self, connection: psycopg.Connection[Any], store: ObjectStore) -> float:
        view = self._standing.view
        assert view is not None, "looked at before"
        usual = self._settings.checkpoint_seconds
        left = until_checkpoint(
            connection,
            store,
            (self._settings.site, view.stand.epoch),
            usual=usual,
            took=self._took,
            now=self._clock(),
        )
        if left is None:
            # A site that has just come to act has other things to do.
            return min(usual, _SETTLED_SECONDS) - (time.monotonic() - self._since)
        return left

    def _snapshot_due(self, connection: psycopg.Connection[Any], store: ObjectStore) -> float:
        """0 when there is something new and the newest snapshot is old enough."""
        covered = sum(at.seq for at in positions.positions(connection).values())
        if not covered:
            return self._settings.snapshot_seconds
        newest = usable(
            store, plan=self._settings.recovery_plan, revision=snapshot.revision(connection)
        )
        if newest is None:
            return 0.0
        if newest.rows_covered >= covered:
            return self._settings.snapshot_seconds
        age = (self._clock() - newest.taken_at).total_seconds()
        return self._settings.snapshot_seconds - age

    def _snapshot(self, store: ObjectStore) -> None:
        settings = self._settings
        manifest = snapshot.take(
            settings.direct_dsn,
            store,
            plan=settings.recovery_plan,
            snapshot=snapshot.snapshot_id(self._clock(), secrets.token_hex(4)),
            clock=self._clock,
        )
        removed = prune(store, keep=settings.snapshot_keep)
        self._metrics.snapshot_rows.set(manifest.rows_covered)
        log.info(
            "snapshot.taken",
            snapshot=manifest.id,
            rows=manifest.rows_covered,
            bytes=manifest.size,
            removed=len(removed),
        )

    def _store(self) -> ObjectStore:
        settings = self._settings
        assert settings.object_store_url is not None
        return open_store(
            settings.object_store_url, timeout_seconds=settings.object_store_timeout_seconds
        )
