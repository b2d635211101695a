"""How this worker's site stands to the epoch, followed in one place for all of its tasks.

A thread looks at the database, at once when it says that something changed, and checks the lease.
When another site took the next epoch, it fences this site's own database, so that nobody writes
under an epoch that is over. At the primary site it takes the first epoch of a plan.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg import sql

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.journal import problem_kept
from wayfare_engine.lease.right import Right
from wayfare_engine.lease.site import Answer, SiteRight
from wayfare_engine.lease.take_epoch import remembered
from wayfare_engine.ledger.standing import Stand, State, give_up, lease_site, stand
from wayfare_engine.objectstore import StoreUnfit
from wayfare_engine.settings import Settings
from wayfare_engine.store import channels
from wayfare_engine.store.postgresql import Away, patient
from wayfare_engine.worker.first_epoch import take_first_epoch

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
_FIRST_SECONDS = 5.0
_OPEN_CHAINS = (
    "SELECT EXISTS (SELECT FROM wayfare.sealed_epochs WHERE site = %s AND NOT over AND epoch <= %s)"
)


@dataclass(frozen=True)
class View:
    """One look. `open_chains`: a chain of this site may have rows that are not sealed."""

    stand: Stand
    open_chains: bool

    @property
    def holds(self) -> bool:
        """Whether this site writes."""
        return self.stand.held

    @property
    def seals(self) -> bool:
        """Whether there is, or may come, something to seal."""
        return self.stand.seals or self.open_chains

    @property
    def follows(self) -> bool:
        """Whether this database may be brought to what another site's chain says."""
        moving = self.stand.state in (State.QUIESCING, State.QUIESCED)
        return self.stand.leased and not self.holds and not self.seals and not moving


class Standing:
    """Follows the site, between `start` and `stop`. Safe to use from several threads. `halted` is
    called with 1 when the store cannot hold a lease, after which a person has to look."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime],
        halted: Callable[[float], None] = lambda value: None,
    ) -> None:
        self._settings = settings
        self._halted = halted
        self._unfit = False
        self._clock = clock
        self._dsn = patient(settings.direct_dsn, "wayfare-standing")
        self._right = SiteRight(settings)
        self._changed = threading.Condition()
        self._view: View | None = None
        self._over = threading.Event()
        self._first_at = float("-inf")
        self._told: str | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, name="standing", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; who waits is woken. The right to act ends with it."""
        self._over.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join()

    def on_change(self, told: Callable[[], None]) -> None:
        """Call `told`, in this thread, whenever the view changes."""
        self._callbacks.append(told)

    @property
    def view(self) -> View | None:
        """The last look; None before the first."""
        return self._view

    @property
    def ended(self) -> bool:
        """Whether `stop` was called."""
        return self._over.is_set()

    def wait(self, wanted: Callable[[View], bool], seconds: float | None = None) -> View | None:
        """The view once it is as wanted; None when this ends, or the time is over."""

        def met() -> bool:
            view = self._view
            return self._over.is_set() or (view is not None and wanted(view))

        with self._changed:
            self._changed.wait_for(met, seconds)
            view = self._view
            good = view is not None and not self._over.is_set() and wanted(view)
            return view if good else None

    def right(self, epoch: int) -> Right | None:
        """The right to act under `epoch`, if that is the one that is followed."""
        found = self._right.stand
        return self._right.right if found is not None and found.epoch == epoch else None

    def may_send(self) -> float:
        """Seconds that the right to act lasts; 0.0 when there is none."""
        return self._right.may_send()

    def answer(self) -> Answer:
        """Whether this site acts, now."""
        return self._right.answer()

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                try:
                    with psycopg.connect(self._dsn, autocommit=True) as connection:
                        self._follow(connection)
                except Away as error:
                    log.info("standing.store_away", error=type(error).__name__)
                    self._over.wait(_LOOK_SECONDS)
                except Exception:
                    log.exception("standing.failed")
                    self._over.wait(_LOOK_SECONDS)
        finally:
            self._right.stop()

    def _follow(self, connection: psycopg.Connection[Any]) -> None:
        if self._settings.object_store_url is not None:
            lease_site(connection)
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channels.EPOCH)))
        while not self._over.is_set():
            self._look(connection)
            for _ in connection.notifies(timeout=_LOOK_SECONDS, stop_after=1):
                pass

    def _look(self, connection: psycopg.Connection[Any]) -> None:
        lost_to = self._right.lost_to
        present = self._right.stand
        if lost_to is not None and (present is None or lost_to.epoch > present.epoch):
            with contextlib.suppress(psycopg.errors.LockNotAvailable):
                if give_up(connection, lost_to.epoch):
                    log.warning("epoch.lost", epoch=lost_to.epoch, holder=lost_to.site)
        found = stand(connection)
        if self._settings.lease_take_first and found.own == 0 and not found.held:
            self._take_first(connection)
            found = stand(connection)
        plan = self._settings.recovery_plan
        self._right.follow(found, lambda epoch: remembered(connection, plan, epoch))
        row = connection.execute(_OPEN_CHAINS, (self._settings.site, found.own)).fetchone()
        view = View(found, bool(row and row[0]))
        if view == self._view:
            return
        log.info(
            "standing.changed",
            epoch=found.epoch,
            held=found.held,
            state=found.state.value,
            run=found.run,
        )
        with self._changed:
            self._view = view
            self._changed.notify_all()
        for told in self._callbacks:
            told()

    def _take_first(self, connection: psycopg.Connection[Any]) -> None:
        if self._settings.object_store_url is None or self._unfit:
            return
        if time.monotonic() - self._first_at < _FIRST_SECONDS:
            return
        self._first_at = time.monotonic()
        try:
            take_first_epoch(self._settings, connection, self._clock)
        except SaidToPeople as error:
            if str(error) != self._told:
                log.warning("standing.first_epoch_waits", error=str(error))
                problem_kept.keep(connection, error, self._clock())
            self._told = str(error)
            if isinstance(error, StoreUnfit):  # a person has to look
                self._unfit = True
                self._halted(1)
        else:
            if self._told is not None:
                problem_kept.clear(connection)
            self._told = None
