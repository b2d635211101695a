"""One PostgreSQL for the folder, a serving pod over it, and for each test a site of its own: an
emptied schema, a store, and what runs over them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.outbox.conftest import WINDOW, Outbox
from tests.servers import web
from tests.servers.emptying import empty, remember
from tests.servers.engine import EngineProcess, EngineProcesses, engine_processes
from tests.servers.postgresql import PostgresqlServer, running_postgresql
from tests.servers.receivers import boottime
from tests.servers.wait import until
from wayfare_engine.objectstore import open_store
from wayfare_engine.outbox import Channel, Key, NoDedupe, PlannedSend
from wayfare_engine.outbox.channel import Dedupe
from wayfare_engine.outbox.offers import PullHost

#: The channels of every test: a puller that drops repeats, and one that does not.
CLASSES: dict[str, Dedupe] = {"bank/core": Key(3600.0), "bank/fax": NoDedupe()}


@pytest.fixture(scope="package")
def server() -> Iterator[PostgresqlServer]:
    with running_postgresql() as started:
        with psycopg.connect(started.database(), autocommit=True) as connection:
            remember(connection)
        yield started


@pytest.fixture(scope="package")
def other() -> Iterator[PostgresqlServer]:
    with running_postgresql() as started:
        yield started


@pytest.fixture(scope="package")
def processes(server: PostgresqlServer) -> Iterator[EngineProcesses]:
    with engine_processes(server.dsn) as started:
        yield started


def serving(processes: EngineProcesses, **environment: str) -> EngineProcess:
    """A serving pod that answers. It has no plan, which nothing here needs."""
    given = {
        "WAYFARE_AUTHENTICATION": "None",
        "WAYFARE_POLL_SECONDS": "0.05",
        "WAYFARE_HAND_OVER_SECONDS": "2",
    } | environment
    pod = processes.start("serve", **given)

    def answers() -> bool:
        assert pod.process.poll() is None, pod.tail()
        return web.get(f"{pod.url}/livez", timeout=2).status_code == 200

    until(answers, what="the pod", ignoring=(httpx.HTTPError,))
    return pod


@pytest.fixture(scope="package")
def pod(processes: EngineProcesses, server: PostgresqlServer) -> EngineProcess:
    return serving(processes)


@dataclass
class Site(Outbox):
    """A site whose channels are pulled, and the pod that pullers ask."""

    url: str = ""
    offered: float = 30.0
    changes: dict[str, Any] = field(default_factory=dict)

    def channels(self, **changes: Any) -> dict[str, Channel]:
        host = PullHost(self.dsn, boottime=boottime, seconds=self.offered)
        given: dict[str, Any] = {"fetched": True, "retry": self.retry} | self.changes | changes
        return {name: Channel(name, host, dedupe, **given) for name, dedupe in CLASSES.items()}

    def send_through(self, channel: str, **changes: Any) -> PlannedSend:
        """A send of a customer of its own, due now."""
        return self.send("Key", **({"channel": channel} | changes))

    def get(self, channel: str, **query: Any) -> httpx.Response:
        """Ask for sends."""
        return web.get(f"{self.url}/v1/outbox/{channel}", params=query, timeout=20)

    def wait_known(self, channel: str) -> None:
        """Until a worker has made the channel known."""
        until(lambda: self.get(channel).status_code == 200, what=f"{channel} is known")

    def fetch(self, channel: str, **query: Any) -> list[dict[str, Any]]:
        """The sends that are given now."""
        answer = self.get(channel, **query)
        assert answer.status_code == 200, answer.text
        sends: list[dict[str, Any]] = answer.json()["sends"]
        return sends

    def fetch_until(self, channel: str, number: int = 1, **query: Any) -> list[dict[str, Any]]:
        """Ask until so many were given."""
        found: list[dict[str, Any]] = []

        def enough() -> bool:
            answer = self.get(channel, **query)
            if answer.status_code == 200:
                found.extend(answer.json()["sends"])
            return len(found) >= number

        until(enough, what=f"{number} sends")
        return found

    def acknowledge(self, channel: str, *some: dict[str, Any]) -> list[str]:
        """What became of each acknowledgement."""
        answer = web.post(f"{self.url}/v1/outbox/{channel}", json=list(some), timeout=20)
        assert answer.status_code == 200, answer.text
        return [one["taken"] for one in answer.json()["acknowledgements"]]

    def rows_of(self, send: PlannedSend, kind: str) -> int:
        """How many rows of a kind a send has."""
        found = self.ask(
            "SELECT count(*) FROM wayfare.ledger WHERE kind = %s AND body->>'send_key' = %s",
            kind,
            send.key,
        )
        return int(found[0][0])

    @contextmanager
    def known(self) -> Iterator[None]:
        """A sealer and a worker at work, whose channels somebody has asked for."""
        with self.sealing(), self.sending():
            for name in CLASSES:
                self.wait_known(name)
            yield

    def killed_worker(self, point: str) -> None:
        """A worker of its own process, that dies at a crash point."""
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fetching.worker"),
                *(self.dsn, self.store.url, str(WINDOW), str(self.offered)),
            ],
            env={"PATH": "/usr/bin:/bin", "WAYFARE_CRASH": point},
            cwd=Path(__file__).parents[2],
            timeout=60,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL


def said(given: dict[str, Any], result: str, **more: Any) -> dict[str, Any]:
    """An acknowledgement of a send that was given."""
    return {"send_key": given["send_key"], "lease": given["lease"], "result": result} | more


@pytest.fixture
def site(server: PostgresqlServer, pod: EngineProcess, tmp_path: Path) -> Site:
    empty(server.dsn)
    store = open_store(f"file://{tmp_path}/store")
    return Site(server.dsn, store, {}, url=pod.url)
