"""Two sites as processes, and runs whose steps are the commands that a Job's pod starts."""

from __future__ import annotations

import json
import subprocess
import threading
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from tests.catchup.databases import random_rows
from tests.journal.making import PLAN, rows, seal_all
from tests.servers.command import wayfare
from tests.servers.faultstore import FaultStore
from tests.servers.objects import ObjectServer
from tests.servers.postgresql import PostgresqlServer
from tests.servers.wait import until
from wayfare_engine import runs
from wayfare_engine.clock import new_id, now
from wayfare_engine.facts import record
from wayfare_engine.journal.checkpoint import take as take_checkpoint
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.journal.status import lag
from wayfare_engine.lease import Quiesced, TakeEpoch, Terms
from wayfare_engine.lease.beats import Beat, BeatWriter, Figures
from wayfare_engine.ledger import LedgerRow
from wayfare_engine.ledger.append import COPY_SPOOLED, TYPES
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.objectstore import ObjectStore, open_store
from wayfare_engine.resources import RunKind, RunState, Verdict
from wayfare_engine.runs import LostPart, Run, StepResult

TTL, HAND_OVER = 0.6, 0.3
TERMS = Terms(TTL, 0.001, HAND_OVER)
WORD = "the power is off in east, I stand in the room"


class Sites:
    """Their databases, the store past all faults, and the commands."""

    def __init__(
        self,
        servers: dict[str, PostgresqlServer],
        objects: ObjectServer,
        faults: FaultStore,
        folder: Path,
    ) -> None:
        self.servers, self.faults, self.folder = servers, faults, folder
        self.url = objects.url()
        self.store: ObjectStore = open_store(self.url, options=objects.options)
        self._attempts: dict[tuple[int, str], int] = {}

    def lose(self, site: str) -> None:
        """The site's PostgreSQL dies."""
        self.servers[site].kill()

    def restore(self, site: str) -> None:
        """It is back, with what is on its disk; nothing when it was not lost."""
        self.servers[site].start_again()

    def dsn(self, site: str) -> str:
        return self.servers[site].dsn

    def connect(self, site: str) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn(site), autocommit=True)

    def environment(self, site: str, **more: str) -> dict[str, str]:
        """What a pod of the site is told."""
        # No operator runs here, no plan is published, and rows are drawn: what can be told, gates.
        gates = ["ChainUnbroken", "TablesEqual", "OutwardSends"]
        terms = {"sites": ["east", "west"], "takeover": "Lease", "gates": gates}
        return {
            **self.faults.options(site),
            "WAYFARE_OBJECT_STORE_URL": self.url,
            "WAYFARE_OBJECT_STORE_TIMEOUT_SECONDS": "2",
            "WAYFARE_RECOVERY_PLAN": PLAN,
            "WAYFARE_POSTGRESQL_DSN": self.dsn(site),
            "WAYFARE_SITE": site,
            "WAYFARE_LEASE_TTL_SECONDS": str(TTL),
            "WAYFARE_HAND_OVER_SECONDS": str(HAND_OVER),
            "WAYFARE_BEAT_SECONDS": "0.2",
            "WAYFARE_POD_UID": f"pod-{uuid.uuid4().hex[:8]}",
            "WAYFARE_RECOVERY_TERMS": json.dumps(terms),
        } | more

    def east_acts(self) -> None:
        """East takes the first epoch."""
        with self.connect("east") as connection:
            TakeEpoch(
                connection,
                self.store,
                plan=PLAN,
                site="east",
                epoch=1,
                reason="first",
                terms=TERMS,
                now=now,
                new_nonce=lambda: uuid.uuid4().hex,
                sleep=lambda seconds: None,
                grounds=Quiesced(),
            ).run()

    def write(
        self, site: str, count: int, seed: int, *, without: Collection[str] = ()
    ) -> list[LedgerRow]:
        """Rows of all kinds, under the epoch that the site's database holds; those of the kinds
        `without` are left out."""
        with self.connect(site) as connection:
            epoch = site_epoch(connection).epoch
            made = [
                row._replace(site=site)
                for row in random_rows(count, seed, epoch=epoch)
                if row.kind not in without
            ]
            for start in range(0, count, 17):
                record(connection, made[start : start + 17])
        return made

    def seal(self, site: str) -> None:
        """Until nothing of the site waits to be sealed."""

        def sealed() -> bool:
            seal_all(self.dsn(site), self.store, site=site)
            with self.connect(site) as connection:
                return lag(connection, site, site_epoch(connection).epoch).rows == 0

        until(sealed, what=f"all rows of {site} are sealed")

    @contextmanager
    def sealing(self, site: str) -> Iterator[Sealer]:
        """A sealer that runs, as a worker's."""
        stop = threading.Event()
        made = Sealer(
            self.dsn(site), self.store, plan=PLAN, site=site, clock=now, seconds=0.02, max_rows=40
        )
        thread = threading.Thread(target=made.run, args=(stop,))
        thread.start()
        try:
            yield made
        finally:
            stop.set()
            thread.join()

    def checkpoint(self, site: str) -> None:
        """What the site's tables are now goes on record."""
        with self.sealing(site):
            take_checkpoint(self.dsn(site), self.store, site=site, ids=new_id, clock=now)
        self.seal(site)

    def beat(self, site: str, *, writer: str = "w") -> Beat:
        """What the site says of itself."""
        with self.connect(site) as connection:
            epoch = site_epoch(connection).epoch
            waiting = lag(connection, site, epoch)
            found = connection.execute(
                "SELECT coalesce(max(last), 0) FROM wayfare.seal_intents "
                "WHERE site = %s AND epoch = %s AND sealed_at IS NOT NULL",
                (site, epoch),
            ).fetchone()
        assert found is not None
        figures = Figures(
            sealed_seq=found[0], unsealed=waiting.rows, oldest_unsealed_at=waiting.oldest_at
        )
        return BeatWriter(
            self.store,
            plan=PLAN,
            site=site,
            epoch=epoch,
            figures=lambda: figures,
            now=now,
            writer=writer,
        ).beat()

    def begin(
        self,
        kind: RunKind,
        target: str,
        *,
        statement: str | None = None,
        fault_at: datetime | None = None,
        scenario: LostPart | None = None,
    ) -> Run:
        """A run of that kind takes its number."""
        return runs.take(
            self.store,
            plan=PLAN,
            kind=kind,
            target=target,
            name=f"{kind.lower()}-{uuid.uuid4().hex[:6]}",
            uid=uuid.uuid4().hex,
            requested_by="ana",
            reason="a test",
            at=now(),
            statement=statement,
            fault_at=fault_at,
            scenario=scenario,
        )

    def end(self, run: Run) -> None:
        """The run is over."""
        ended = runs.RunEnd(
            run=run.number,
            state=RunState.SUCCEEDED,
            verdict=Verdict.PASSED,
            at=now(),
            summary="done",
        )
        runs.put_end(self.store, PLAN, ended)

    def attempt(
        self,
        run: Run,
        site: str,
        step: str,
        *,
        number: int = 0,
        then: Sequence[str] = (),
        **more: str,
    ) -> subprocess.CompletedProcess[str]:
        """The next attempt of a step (or that one), by a pod of its own, which goes on with
        `then`."""
        if not number:
            number = self._attempts.get((run.number, step), 0) + 1
            self._attempts[run.number, step] = number
        words = [step, "--run", str(run.number), "--attempt", str(number), "--patience", "3"]
        words += [word for each in then for word in ("--then", each)]
        return wayfare("recovery", "task", *words, **self.environment(site, **more))

    def turn(self, run: Run, step: str) -> None:
        """Whoever drives the run begins the first attempt of a step."""
        begun = runs.Attempt(run=run.number, step=step, attempt=1, at=now(), by="driver")
        runs.begin(self.store, PLAN, begun)

    def do(self, run: Run, site: str, step: str, **more: str) -> StepResult:
        """A step that succeeds; its result."""
        done = self.attempt(run, site, step, number=0, **more)
        assert done.returncode == 0, f"{done.returncode} {done.stderr}{done.stdout}"
        return self.result(run, step)

    def together(self, run: Run, site: str, steps: Sequence[str]) -> list[StepResult]:
        """Steps that run beside each other."""
        done: dict[str, subprocess.CompletedProcess[str]] = {}

        def make(step: str) -> None:
            done[step] = self.attempt(run, site, step)

        threads = [threading.Thread(target=make, args=(step,)) for step in steps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for step in steps:
            assert done[step].returncode == 0, done[step].stderr
        return [self.result(run, step) for step in steps]

    def result(self, run: Run, step: str) -> StepResult:
        """What the store says of a step."""
        found = runs.read_result(self.store, PLAN, run.number, step)
        assert found is not None, f"{step} has no result"
        return found

    def failure(self, run: Run, step: str) -> StepResult:
        """What the store says of the last attempt of a step, which failed."""
        last = self._attempts[run.number, step]
        found = runs.read_failure(self.store, PLAN, run.number, step, last)
        assert found is not None, f"attempt {last} of {step} has no failure"
        return found


def put_aside(sites: Sites, count: int) -> list[LedgerRow]:
    """What the engine of east answers after the fence: it has nowhere to write but here."""
    answered = rows(count, epoch=1)
    with sites.connect("east") as east, east.cursor().copy(COPY_SPOOLED.encode()) as copy:
        copy.set_types(TYPES)
        for row in answered:
            copy.write_row(row)
    return answered
