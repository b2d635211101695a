"""One PostgreSQL and the receivers for the folder; each test has a schema and a store of its own,
with a sealer, and starts workers as it likes."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.servers.emptying import empty, remember
from tests.servers.postgresql import PostgresqlServer, running_postgresql
from tests.servers.receivers import Dedupe, Receiver, boottime, running_receivers
from wayfare_engine.clock import new_id
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.lease.guard import Guard
from wayfare_engine.objectstore import ObjectStore, open_store
from wayfare_engine.outbox import (
    Channel,
    HttpHost,
    Key,
    NoDedupe,
    Origin,
    PlannedSend,
    Query,
    Retry,
    SendWorker,
    plan_send,
)
from wayfare_engine.outbox.channel import Dedupe as Declared

WINDOW = 0.4
DEDUPE: dict[Dedupe, Declared] = {"Key": Key(3600.0), "Query": Query(), "None": NoDedupe()}


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="package")
def server() -> Iterator[PostgresqlServer]:
    with running_postgresql() as started:
        with psycopg.connect(started.database(), autocommit=True) as connection:
            remember(connection)
        yield started


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[dict[Dedupe, Receiver]]:
    with running_receivers(tmp_path / "receivers", limit=WINDOW) as running:
        yield running


@dataclass
class Outbox:
    """A site: its database, its store, a guard that the test holds, and what runs over them."""

    dsn: str
    store: ObjectStore
    receivers: dict[Dedupe, Receiver]
    site: str = "east"
    epoch: int = 1
    guard: Guard = field(default_factory=Guard)
    retry: Retry = field(default_factory=lambda: Retry(pause=0.05, longest_pause=0.2))

    def __post_init__(self) -> None:
        self.hold()
        self._numbers = itertools.count()

    @property
    def origin(self) -> Origin:
        return Origin(self.site, self.epoch, new_id, now)

    def hold(self, seconds: float = 3600.0) -> None:
        """Have the right to act."""
        self.guard.extend(boottime() + seconds)

    def lapse(self) -> None:
        """Have it no more."""
        self.guard = Guard()

    def may_send(self) -> float:
        return self.guard.may_send()

    def channels(self, **changes: Any) -> dict[str, Channel]:
        made: dict[str, Channel] = {}
        for kind, receiver in self.receivers.items():
            given: dict[str, Any] = {"dedupe": DEDUPE[kind], "retry": self.retry} | changes
            host = HttpHost(receiver.url, boottime=boottime, connect_seconds=0.5)
            made[kind] = Channel(kind, host, **given)
        return made

    def send(self, kind: Dedupe, **changes: Any) -> PlannedSend:
        """A send of a customer and node of its own, due now."""
        given: dict[str, Any] = {
            "journey": "welcome",
            "customer": f"customer-{next(self._numbers)}",
            "entry_key": "",
            "node": "hello",
            "visit": 1,
            "channel": kind,
            "due": now() - timedelta(seconds=1),
            "payload": '{"text": "hello"}',
        } | changes
        return PlannedSend(**given)

    def plan(self, *sends: PlannedSend) -> int:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return plan_send(connection, sends, self.origin)

    def worker(self, **changes: Any) -> SendWorker:
        given: dict[str, Any] = {
            "channels": self.channels(),
            "guard": self,
            "window": WINDOW,
            "boottime": boottime,
            "poll_seconds": 0.02,
            "balance_seconds": 0.1,
        } | changes
        return SendWorker(self.dsn, self.origin, **given)

    @contextmanager
    def sealing(self) -> Iterator[Sealer]:
        """A sealer at work."""
        sealer = Sealer(self.dsn, self.store, plan="test", site=self.site, clock=now, seconds=0.02)
        with in_thread(sealer.run):
            yield sealer

    @contextmanager
    def sending(self, **changes: Any) -> Iterator[SendWorker]:
        """A worker at work."""
        worker = self.worker(**changes)
        with in_thread(worker.run):
            yield worker

    def state(self, send: PlannedSend) -> tuple[str | None, int, str | None]:
        """(outcome, attempt, detail) of a send."""
        found = self.ask(
            "SELECT outcome, attempt, detail FROM wayfare.outbox WHERE send_key = %s", send.key
        )
        return found[0] if found else (None, 0, None)

    def outcome(self, send: PlannedSend) -> str | None:
        return self.state(send)[0]

    def count(self, outcome: str) -> int:
        """How many sends have this outcome."""
        found = self.ask("SELECT count(*) FROM wayfare.outbox WHERE outcome = %s", outcome)
        return int(found[0][0])

    def ask(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(query.encode(), arguments).fetchall()


@contextmanager
def in_thread(run: Callable[[threading.Event], object]) -> Iterator[None]:
    """Run until the end of the block; what it raised is raised there."""
    stop = threading.Event()
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            run(stop)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
    if raised:
        raise raised[0]


@pytest.fixture
def outbox(server: PostgresqlServer, receivers: dict[Dedupe, Receiver], tmp_path: Path) -> Outbox:
    empty(server.dsn)
    return Outbox(server.dsn, open_store(f"file://{tmp_path}/store"), receivers)
