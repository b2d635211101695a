"""Two sites over one S3 store, each with its own PostgreSQL database and real pods."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.engine.plans import CUSTOMERS, bank_plan, write_customers
from tests.servers import web
from tests.servers.engine import EngineProcess, EngineProcesses, engine_processes
from tests.servers.faultstore import FaultStore, running_faults
from tests.servers.objects import ObjectServer, running_objects
from tests.servers.postgresql import PostgresqlServer, running_postgresql
from tests.servers.wait import until as until_within
from wayfare_engine.lease import Terms
from wayfare_engine.objectstore import ObjectStore, open_store

PLAN = "bank.retail"
TERMS = Terms(ttl=6.0, clock_error=0.001, hand_over=1.0)
#: Many processes start at once in these tests.
until = partial(until_within, seconds=90.0)


@pytest.fixture(scope="package")
def servers() -> Iterator[dict[str, PostgresqlServer]]:
    with running_postgresql() as east, running_postgresql() as west:
        yield {"east": east, "west": west}


@pytest.fixture(scope="package")
def objects() -> Iterator[ObjectServer]:
    with running_objects() as started:
        yield started


class Site:
    """One site's database and pods, which reach the store through a line of their own."""

    def __init__(self, name: str, dsn: str, processes: EngineProcesses) -> None:
        self.name, self.dsn, self.processes = name, dsn, processes
        self.worker: EngineProcess | None = None
        self.serve: EngineProcess | None = None

    def start(self, **worker: str) -> Site:
        """A worker and a serving pod, without waiting for anything but that they answer."""
        self.worker = self.processes.start("worker", **worker)
        self.serve = self.processes.start("serve", WAYFARE_AUTHENTICATION="None")
        self.worker.wait_ready()
        until(lambda: self.get("/livez"), what="it answers", ignoring=(httpx.HTTPError,))
        return self

    def load(self, folder: Path) -> None:
        """Load the three customers; a worker seals."""
        file = write_customers(folder / "customers.csv", CUSTOMERS)
        done = self.processes.run(
            "import", "customers", str(file), "--id", "id", "--type", "balance=double"
        )
        assert done.returncode == 0, done.stderr.decode()

    def publish(self, plan: Any = None) -> None:
        """Put the plan, as the operator does."""
        assert self.worker is not None
        answer = self.processes.publish(self.worker, plan or bank_plan())
        assert answer.status_code == 204, answer.text

    def get(self, path: str) -> httpx.Response:
        """Ask the serving pod."""
        assert self.serve is not None
        return web.get(self.serve.url + path, timeout=10)

    def activez(self) -> tuple[int, dict[str, Any]]:
        """What it says of itself."""
        found = self.get("/activez")
        return found.status_code, found.json()

    def is_active(self, active: bool = True, **wanted: str) -> dict[str, Any]:
        """Wait until it says so."""

        def fact() -> dict[str, Any] | None:
            status, body = self.activez()
            right = {name: body.get(name) for name in wanted} == wanted
            return body if right and (status == 200) == body["active"] == active else None

        return until(fact, what=f"{self.name}: active {active} {wanted}")

    def decide(self, customer: str = "anna") -> httpx.Response:
        """Ask for a decision."""
        assert self.serve is not None
        body = {"customer": customer, "slot": "home-banner", "context": {"page": "accounts"}}
        return web.post(self.serve.url + "/v1/decisions", json=body, timeout=10)

    def event(self, number: int) -> httpx.Response:
        """Write an event."""
        assert self.serve is not None
        body = {"customer": "anna", "name": "login", "client_id": f"{self.name}-{number}"}
        return web.post(self.serve.url + "/v1/events", json=body, timeout=10)

    def ask(self, query: str, *given: object) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(query.encode(), given or None).fetchall()

    def metric(self, name: str, **labels: str) -> float:
        """A figure of the worker; 0.0 when it is not there."""
        assert self.worker is not None
        text = web.get(self.worker.url + "/metrics", timeout=5).text
        inside = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        wanted = name + (f"{{{inside}}}" if inside else "")
        for line in text.splitlines():
            if line.startswith(wanted + " "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def standing(self) -> dict[str, Any]:
        """What the worker tells the operator."""
        assert self.worker is not None
        token = {"Authorization": f"Bearer {self.processes.signer.token()}"}
        answer = web.get(self.worker.url + "/control/v1/status", headers=token, timeout=10)
        found: dict[str, Any] = answer.json()["standing"]
        return found


class Sites:
    """Both, and the store as a test sees it."""

    def __init__(self, east: Site, west: Site, store: ObjectStore, faults: FaultStore) -> None:
        self.east, self.west, self.store, self.faults = east, west, store, faults
        self.folder = Path()

    def act_in_east(self, **worker: str) -> Site:
        """East is the primary, has its customers, and answers."""
        east = self.east.start(WAYFARE_LEASE_TAKE_FIRST="true", **worker)
        east.is_active(sends="open")
        east.load(self.folder)
        east.publish()
        until(lambda: east.decide().status_code == 200, what="it decides")
        return east


@pytest.fixture
def sites(
    servers: dict[str, PostgresqlServer], objects: ObjectServer, tmp_path: Path
) -> Iterator[Sites]:
    url = objects.url()
    with ExitStack() as stack:
        faults = stack.enter_context(running_faults(objects))
        made = {}
        for name, server in servers.items():
            dsn = server.database()
            environment = {
                **faults.options(name),
                "WAYFARE_OBJECT_STORE_URL": url,
                "WAYFARE_RECOVERY_PLAN": PLAN,
                "WAYFARE_SITE": name,
                "WAYFARE_LEASE_TTL_SECONDS": str(TERMS.ttl),
                "WAYFARE_HAND_OVER_SECONDS": str(TERMS.hand_over),
                "WAYFARE_BEAT_SECONDS": "0.5",
                "WAYFARE_POLL_SECONDS": "0.3",
                "WAYFARE_STANDBY_FOLLOW_SECONDS": "0.2",
            }
            processes = stack.enter_context(engine_processes(dsn, **environment))
            made[name] = Site(name, dsn, processes)
        store = open_store(url, options=objects.options)
        both = Sites(made["east"], made["west"], store, faults)
        both.folder = tmp_path
        yield both


@contextmanager
def traffic(site: Site) -> Iterator[list[tuple[int, str]]]:
    """Decisions asked one after the other until the end; (status, decision's id) of each."""
    told: list[tuple[int, str]] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            answer = site.decide()
            told.append((answer.status_code, answer.json().get("decision_id", "")))
            stop.wait(0.01)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
