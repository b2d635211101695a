"""A site that does not hold its epoch follows the one that does: what is sealed there is applied
here as it comes.

One worker of the site does it, a round at a time, and lets go of the lock of catching up between
rounds, so that a command or a step of a run has its turn. Each batch is fenced: nothing is applied
once this site holds the epoch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import psycopg
import structlog

from wayfare_engine.customers import applying
from wayfare_engine.errors import SaidToPeople
from wayfare_engine.journal import positions
from wayfare_engine.journal.catch_up import CatchUp, CatchUpReport
from wayfare_engine.journal.positions import AlreadyRunning, Chain, HeldHere
from wayfare_engine.lease.beats import Beat, read_beat
from wayfare_engine.metrics import StandbyMetrics
from wayfare_engine.objectstore import ObjectStore, open_store
from wayfare_engine.privacy import batches
from wayfare_engine.settings import Settings
from wayfare_engine.store.blobs import fetch_missing
from wayfare_engine.store.postgresql import patient
from wayfare_engine.worker.standing import Standing

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
#: Between two tries after something went wrong; at most.
_PAUSE_AT_MOST = 15.0


@dataclass(frozen=True)
class Followed:
    """How far this database is behind. `lag_rows`: of what the acting site's newest beat says, and
    None while no beat was read; `lag_seconds`: for how long it has not been at the journal's end,
    by this process's clock. `problem` is why it does not get on."""

    watermark: Mapping[Chain, int]
    lag_rows: int | None
    lag_seconds: float
    as_of: datetime
    problem: str | None = None

    def facts(self) -> dict[str, object]:
        """For JSON."""
        return {
            "lagRows": self.lag_rows,
            "lagSeconds": round(self.lag_seconds, 3),
            "watermark": positions.by_name(dict(self.watermark)),
            "asOf": self.as_of.isoformat(),
            "problem": self.problem,
        }


class Following:
    """The following of one worker. `run` is for a thread of its own, until `stop` is set."""

    def __init__(
        self,
        settings: Settings,
        standing: Standing,
        metrics: StandbyMetrics,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._standing = standing
        self._metrics = metrics
        self._clock = clock
        self._dsn = patient(settings.direct_dsn, "wayfare-follow")
        self._at_end = time.monotonic()
        self._watermark: Mapping[Chain, int] = {}
        self._lag_rows: int | None = None
        #: How it stands; None where this worker does not follow.
        self.found: Followed | None = None

    def run(self, stop: threading.Event) -> None:
        """Follow while this site does not hold its epoch."""
        applying.register()
        pause = self._settings.standby_follow_seconds
        while not stop.is_set():
            if self._standing.wait(lambda view: view.follows, _LOOK_SECONDS) is None:
                self._ended()
                continue
            if self.found is None:
                self._begun()
            problem = self._try_a_round()
            self._tell(problem)
            pause = (
                self._settings.standby_follow_seconds
                if problem is None
                else min(max(pause, 0.5) * 2, _PAUSE_AT_MOST)
            )
            stop.wait(pause)

    def _begun(self) -> None:
        log.info("standby.follows")
        self._at_end = time.monotonic()
        self._metrics.following.set(1)

    def _ended(self) -> None:
        if self.found is not None:
            log.info("standby.ended")
        self.found = None
        self._metrics.following.set(0)

    def _try_a_round(self) -> str | None:
        """A round; why it failed."""
        try:
            self._round()
        except AlreadyRunning:
            log.info("standby.another_catches_up")
        except HeldHere:
            log.info("standby.held_here")
        except (SaidToPeople, psycopg.Error, OSError, TimeoutError) as error:
            text = str(error).partition("\n")[0]
            if self.found is None or self.found.problem != text:
                log.warning("standby.waits", error=text)
            self._metrics.failures.inc()
            return text
        return None

    def _round(self) -> None:
        settings = self._settings
        assert settings.object_store_url is not None
        store = open_store(
            settings.object_store_url, timeout_seconds=settings.object_store_timeout_seconds
        )
        with CatchUp.opened(
            self._dsn, store, plan=settings.recovery_plan, patience=0.0, standby=True
        ) as session:
            snapshot = session.restore()
            report = session.once()
            if snapshot is not None or report.segments:
                batches.sync(session.connection, store)
                fetch_missing(session.connection, store)
        self._measure(report, store)
        if snapshot is not None:
            log.info("standby.restored", snapshot=snapshot)

    def _measure(self, report: CatchUpReport, store: ObjectStore) -> None:
        self._metrics.rows.inc(report.total)
        self._metrics.segments.inc(report.segments)
        self._metrics.apply_seconds.inc(report.seconds)
        self._watermark = report.watermark
        beat = self._beat(store)
        behind = report.remaining
        if beat is None:
            self._lag_rows = None
        else:
            reached = report.watermark.get((beat.site, beat.epoch), 0)
            self._lag_rows = max(0, beat.sealed_seq + beat.unsealed - reached)
            behind += max(0, beat.sealed_seq - reached)
        if not behind:
            self._at_end = time.monotonic()

    def _beat(self, store: ObjectStore) -> Beat | None:
        holder = self._standing.answer().holder
        if holder is None:
            return None
        return read_beat(store, self._settings.recovery_plan, holder)

    def _tell(self, problem: str | None) -> None:
        seconds = time.monotonic() - self._at_end
        self.found = Followed(
            self._watermark, self._lag_rows, seconds, self._clock(), problem=problem
        )
        self._metrics.lag_seconds.set(seconds)
        if self._lag_rows is not None:
            self._metrics.lag_rows.set(self._lag_rows)
        self._metrics.problem.set(0 if problem is None else 1)
        for (site, epoch), seq in self._watermark.items():
            self._metrics.position.labels(site, str(epoch)).set(seq)
