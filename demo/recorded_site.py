"""The parts of the recorded rebuild: a site whose everything is journaled, sends with receivers
outside, and what is compared afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from demo.process import Dev
from demo.steps import WAYFARE, StepFailed, Steps, looks
from tests.harness.processes import SiteProcess
from tests.harness.site import PLAN, Settings
from tests.servers.objects import ObjectServer
from tests.servers.receivers import Dedupe, Receiver
from wayfare_engine.clock import new_id, now
from wayfare_engine.facts import Draft, Fact, write
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.journal.status import status
from wayfare_engine.ledger.bodies import (
    Assignment,
    AttributeChange,
    Body,
    Identity,
    ListMember,
    OptOut,
    Raw,
    Transition,
)
from wayfare_engine.objectstore import ObjectStore, open_store
from wayfare_engine.outbox import Origin, PlannedSend, instance_key, plan_send
from wayfare_engine.projections import PROJECTIONS

SITE = "east"
SENDERS = 2
_BATCH = 500
ENDED = "SELECT count(*) FROM wayfare.outbox WHERE outcome IN ('Accepted', 'Unknown')"
_CLASSES: tuple[Dedupe, ...] = ("Key", "Query", "None")


@dataclass(frozen=True)
class Copy:
    """What a database holds: the projections' rows as text, and the ledger's rows by a digest."""

    projections: dict[str, list[str]]
    ledger_rows: int
    ledger_digest: str
    customers: int


def copy_of(dsn: str) -> Copy:
    """Read everything that is compared."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        projections = {}
        for projection in PROJECTIONS:
            query = f"SELECT t::text FROM {projection.table} t"  # noqa: S608 - a declared name
            found = connection.execute(query.encode())
            projections[projection.name] = sorted(text for (text,) in found)
        digest, rows = hashlib.sha256(), 0
        with connection.cursor(name="ledger") as cursor:
            cursor.execute(
                "SELECT id, site, epoch, kind, key, version, customer_id, at, body::text "
                "FROM wayfare.ledger ORDER BY id"
            )
            for row in cursor:
                digest.update(repr(row).encode())
                rows += 1
        [customers] = _one(connection, "SELECT customers FROM wayfare.customer_version")
    return Copy(projections, rows, digest.hexdigest(), int(customers))


def compare_projections(before: Copy, after: Copy) -> dict[str, int]:
    """Rows of each projection, when all of them are equal. Raises StepFailed with the first that
    are not."""
    for name, rows in before.projections.items():
        if rows != after.projections[name]:
            lost = sorted(set(rows) - set(after.projections[name]))
            new = sorted(set(after.projections[name]) - set(rows))
            raise StepFailed(
                f"{name} differs: {len(lost)} rows are not as before, for example "
                f"{(lost or new)[0][:200]}"
            )
    return {name: len(rows) for name, rows in before.projections.items()}


def change(dsn: str, customers: list[str]) -> int:
    """Change one state of each kind for each of the customers; how many changes."""
    changed, at = 0, now()
    with psycopg.connect(dsn, autocommit=True) as connection:
        for start in range(0, len(customers), _BATCH):
            facts = [
                Fact(body, at, customer=one)
                for one in customers[start : start + _BATCH]
                for body in _changes(one)
            ]
            changed += len(write(connection, [Draft(new_id(), f) for f in facts], site=SITE))
    return changed


def _changes(customer: str) -> list[Body]:
    instance = instance_key("bank/welcome", customer, "")
    node, arm = ("hello", "wait")[int(customer) % 2], "ab"[int(customer) % 2]
    return [
        AttributeChange(customer=customer, name="tier", value=Raw(b'"gold"')),
        Identity(kind="card", value=f"card-{customer}", customer=customer),
        ListMember(list="pilot", customer=customer, member=True),
        OptOut(customer=customer, channel="letters", out=True),
        Assignment(experiment="title", customer=customer, arm=arm),
        Transition(instance=instance, journey="bank/welcome", node=node, visit=1, state="Active"),
    ]


def outcomes(dsn: str) -> dict[str, str]:
    """The outcome of each send, by its key."""
    with psycopg.connect(dsn) as connection:
        return dict(connection.execute("SELECT send_key, outcome FROM wayfare.outbox").fetchall())


class Sends:
    """What is sent: one send for each of the customers, over channels of each class."""

    def __init__(
        self, receivers: dict[Dedupe, Receiver], objects: ObjectServer, url: str, folder: Path
    ) -> None:
        self.receivers = receivers
        self._settings = Settings(
            site=SITE,
            dsn="",
            store_url=url,
            store_options=objects.options,
            hosts={kind: receiver.url for kind, receiver in receivers.items()},
            folder=folder,
            seed=1,
            ttl=3.0,
            hand_over=2.0,
        )
        self._folder = folder
        self._processes: list[SiteProcess] = []

    def settings(self, dsn: str, epoch: int) -> Settings:
        """What a process is told."""
        given = self._settings
        return Settings(**{**vars(given), "dsn": dsn, "epoch": epoch})

    def plan(self, dsn: str, customers: list[str], told: Callable[[int], None]) -> int:
        """Write the intents, the turn of each come now; how many."""
        origin = Origin(SITE, 1, new_id, now)
        due = datetime.now(UTC)
        planned = 0
        with psycopg.connect(dsn, autocommit=True) as connection:
            for start in range(0, len(customers), _BATCH):
                sends = [
                    PlannedSend(
                        journey="bank/welcome",
                        customer=customer,
                        entry_key="",
                        node="hello",
                        visit=1,
                        channel=_CLASSES[int(customer) % 3],
                        due=due,
                        payload='{"text":"hello"}',
                    )
                    for customer in customers[start : start + _BATCH]
                ]
                planned += plan_send(connection, sends, origin)
                told(planned)
        return planned

    def start(self, dsn: str, epoch: int) -> None:
        """Start the processes that hand over."""
        for number in range(SENDERS):
            log = self._folder / f"sender-{epoch}-{number}.log"
            settings = self.settings(dsn, epoch)
            self._processes.append(SiteProcess("sender", settings, crash=None, log=log))

    def kill(self) -> None:
        """SIGKILL, all at once."""
        for process in self._processes:
            process.suspend()
        for process in self._processes:
            process.kill()
        self._processes.clear()

    def effects(self) -> Counter[str]:
        """How often each key took effect outside, by the receivers' own record."""
        counted: Counter[str] = Counter()
        for receiver in self.receivers.values():
            counted.update(receiver.effects())
        return counted


def wait_sealed(dsn: str, *, seconds: float = 60) -> int:
    """Wait until every row is in the store; the chain's last position. Raises StepFailed."""
    rows = 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        for _ in looks(seconds, every=0.1):
            found = status(connection, SITE)
            rows = found.lag.rows
            if rows == 0 and found.pending is None:
                return found.sealed.seq
    raise StepFailed(f"{rows} rows are not sealed after {seconds:.0f} s")


def wait_until(fact: Callable[[], bool], what: str, *, seconds: float) -> None:
    """Raises StepFailed."""
    if not any(fact() for _ in looks(seconds, every=0.1)):
        raise StepFailed(f"{what}: not within {seconds:.0f} s")


@contextlib.contextmanager
def sealing(dsn: str, store: ObjectStore) -> Iterator[None]:
    """A sealer at work, in a thread: a dispatch leaves once it is in the store."""
    sealer, stop = Sealer(dsn, store, plan=PLAN, site=SITE, clock=now), threading.Event()
    thread = threading.Thread(target=sealer.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def destroy(dev: Dev, data: Path) -> int:
    """SIGKILL PostgreSQL and the engine's process, and remove PostgreSQL's folder while they die;
    how many bytes it had."""
    folder = data / "postgresql"
    postmaster = int((folder / "pgdata" / "postmaster.pid").read_text().splitlines()[0])
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size += path.stat().st_size
    for pid in (postmaster, dev.process.pid):
        os.kill(pid, signal.SIGKILL)
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
    dev.process.wait()
    if folder.exists():
        raise StepFailed(f"{folder} is still there")
    return size


def stored(objects: ObjectServer, url: str) -> dict[str, int]:
    """Bytes in the store, by the first part of the objects' paths."""
    store = open_store(url, options=objects.options)
    found: dict[str, int] = {}
    for listed in store.list(""):
        kind = listed.path.partition("/")[0]
        found[kind] = found.get(kind, 0) + listed.size
    return found


def command(steps: Steps, *arguments: str) -> list[dict[str, Any]]:
    """Run `wayfare ARGUMENTS --json`; the objects that it printed, a line each."""
    done = steps.run(WAYFARE, *arguments, "--json")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(("{", "["))]


def _one(connection: psycopg.Connection[Any], query: str) -> tuple[Any, ...]:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return tuple(row)


def count(dsn: str, query: str) -> int:
    """One number of a database."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return int(_one(connection, query)[0])
