"""What a step of a run is given, and what it gives back."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.pq import TransactionStatus

from wayfare_engine.journal.session import require_direct
from wayfare_engine.lease import Terms
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.recovery.tasks.problems import StepBefore
from wayfare_engine.recovery.tasks.terms import RunTerms
from wayfare_engine.runs import CheckResult, Run, StepResult, evidence, read_result
from wayfare_engine.settings import Settings
from wayfare_engine.store.postgresql import patient
from wayfare_engine.store.task_claims import TaskClaim


@dataclass(frozen=True)
class Done:
    """A step that succeeded: a sentence, figures for the report, checks, digests of evidence."""

    summary: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    checks: tuple[CheckResult, ...] = ()
    evidence: str | None = None


@dataclass
class Task:
    """One attempt of one step at this site. `dsn` is a direct address.

    `run` is None in a wake window. `number` is the run's or the window's, `records` the plan id
    that its records are under. `before` is the failure of the attempt before this one. `boottime`
    is CLOCK_BOOTTIME, `clock` the wall clock, shown only. `say` writes a line of progress, `notes`
    are of the step alone.
    """

    run: Run | None
    number: int
    step: str
    attempt: int
    plan: str
    records: str
    site: str
    dsn: str
    store: ObjectStore
    settings: Settings
    terms: RunTerms
    claim: TaskClaim
    say: Callable[[str], None]
    clock: Callable[[], datetime]
    ids: Callable[[], uuid.UUID]
    monotonic: Callable[[], float]
    boottime: Callable[[], float]
    sleep: Callable[[float], None]
    before: StepResult | None = None
    moved_at: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def lease(self) -> Terms:
        """TTL, clock error and H."""
        s = self.settings
        return Terms(s.lease_ttl_seconds, s.clock_error, s.hand_over_seconds)

    @contextmanager
    def connected(self) -> Iterator[Connection[Any]]:
        """An autocommit connection to this site's database, past any pooler. Raises psycopg.Error,
        PooledConnection."""
        address = patient(self.dsn, f"wayfare-{self.step}")
        with psycopg.connect(address, autocommit=True) as connection:
            require_direct(connection, f"the step {self.step}")
            yield connection

    def fence(self, connection: Connection[Any]) -> None:
        """Raise Superseded when another task has the step. Within a transaction the step stays
        this task's until its end; outside it is so at this moment."""
        if connection.info.transaction_status is TransactionStatus.IDLE:
            with connection.transaction():
                self.claim.fence(connection)
        else:
            self.claim.fence(connection)

    def moved(self) -> None:
        """Something was done: an outage that comes now is a new one."""
        self.moved_at = self.monotonic()

    def progress(self, what: str) -> Callable[[int, int], None]:
        """A function that is told `(done, total)` and says so every few seconds."""
        last = self.monotonic()

        def told(done: int, total: int) -> None:
            nonlocal last
            self.moved()
            if self.monotonic() - last >= 5.0:
                last = self.monotonic()
                self.say(f"{what}: {done:,} of {total:,}")

        return told

    def result_of(self, step: str) -> StepResult | None:
        """What became of another step of this run or window."""
        return read_result(self.store, self.records, self.number, step)

    def needed(self, step: str) -> StepResult:
        """`result_of`, or StepBefore."""
        found = self.result_of(step)
        if found is None:
            raise StepBefore(self.step, step)
        return found

    def keep(self, value: object) -> str:
        """Keep evidence; its digest."""
        return evidence.put(self.store, value)
