"""A worker and a serving pod over real stores, started once; an empty schema for the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.engine.plans import CUSTOMERS, bank_plan, write_customers
from tests.servers import web
from tests.servers.channel_host import HostProcess, channel_host
from tests.servers.engine import EngineProcess, EngineProcesses, engine_processes
from tests.servers.postgresql import PostgresqlServer, running_postgresql
from tests.servers.valkey import PASSWORD, running_valkey
from tests.servers.wait import until
from wayfare_engine.plan import Plan
from wayfare_engine.store.embedded import EmbeddedValkey


@pytest.fixture(scope="package")
def postgresql() -> Iterator[PostgresqlServer]:
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="package")
def valkey() -> Iterator[EmbeddedValkey]:
    with running_valkey() as server:
        yield server


@pytest.fixture(scope="package")
def other_postgresql() -> Iterator[PostgresqlServer]:
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def dsn(other_postgresql: PostgresqlServer) -> str:
    """An empty schema in a server that no process of the engine uses."""
    return other_postgresql.database()


@pytest.fixture(scope="package")
def processes(postgresql: PostgresqlServer, valkey: EmbeddedValkey) -> Iterator[EngineProcesses]:
    dsn = postgresql.database()
    with engine_processes(dsn, valkey=valkey.url, valkey_password=PASSWORD) as started:
        yield started


class Pods:
    """A worker and a serving pod over three customers, and a client with a key."""

    def __init__(self, processes: EngineProcesses, folder: Path) -> None:
        self.processes = processes
        self.dsn = processes.dsn
        file = write_customers(folder / "customers.csv", CUSTOMERS)
        done = processes.run(
            "import", "customers", str(file), "--id", "id", "--type", "balance=double"
        )
        assert done.returncode == 0, done.stderr.decode()
        self.worker = processes.start("worker")
        self.serve = processes.start("serve")
        self.worker.wait_ready()
        self.plan = self.publish(bank_plan(), wait=False)
        self.serve.wait_ready()
        self.client = httpx.Client(
            base_url=self.serve.url,
            headers={"Authorization": f"Bearer {processes.key()}"},
            timeout=10,
        )
        until(
            lambda: self.client.get("/v1/decisions/x").status_code == 404, what="the key is known"
        )

    def publish(self, plan: Plan, *, wait: bool = True) -> Plan:
        """Put a plan, and wait until the serving pod answers by it."""
        answer = self.processes.publish(self.worker, plan)
        assert answer.status_code == 204, answer.text
        if wait:
            until(
                lambda: web.get(self.serve.url + "/readyz").json()["plan"] == plan.digest,
                what="the plan is served",
            )
        return plan

    def decide(self, customer: str, slot: str = "home-banner", **context: object) -> httpx.Response:
        """Ask for a decision."""
        return self.client.post(
            "/v1/decisions", json={"customer": customer, "slot": slot, "context": context}
        )


@pytest.fixture(scope="package")
def pods(processes: EngineProcesses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    made = Pods(processes, tmp_path_factory.mktemp("customers"))
    yield made
    made.client.close()


@pytest.fixture(scope="module")
def the_plan_of_others(pods: Pods) -> Iterator[None]:
    """Puts back the plan that other modules expect."""
    yield
    pods.publish(pods.plan)


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[HostProcess]:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"file": str(tmp_path / "effects")}))
    with channel_host(tmp_path / "host", "--plugin", "sink", "--config", str(config)) as host:
        yield host


__all__ = ["EngineProcess", "Pods"]
