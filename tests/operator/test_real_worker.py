"""The operator with a real worker and a real serve pod: tokens, plans, memberships, outages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.operator.conftest import Cluster, engine_spec, journey_spec, segment_spec
from tests.servers.apiserver import ISSUER, ApiServer
from tests.servers.engine import EngineProcess, EngineProcesses, engine_processes
from tests.servers.operator import ACCOUNT, NAMESPACE, USER, running_operator, wait_leading
from tests.servers.postgresql import PostgresqlServer, running_postgresql
from tests.servers.valkey import PASSWORD, running_valkey
from tests.servers.wait import until

pytestmark = pytest.mark.contract

CUSTOMERS = "id,age,balance\nada,70,2500.5\nbob,30,10.0\ncyd,61,\n"


@dataclass
class Bank:
    """An engine in a namespace, with processes in place of pods."""

    cluster: Cluster
    processes: EngineProcesses
    postgresql: PostgresqlServer
    worker: EngineProcess
    serve: EngineProcess


def operator_token(server: ApiServer) -> str:
    """A token for the operator's account, as the kubelet would project it."""
    accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}
    server.send("POST", accounts, body)
    answer = server.send(
        "POST",
        f"{accounts}/{ACCOUNT}/token",
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": ["wayfare-engine"]},
        },
    )
    assert answer.status == 201, answer.message
    return str(answer.body["status"]["token"])


@pytest.fixture
def bank(server: ApiServer, cluster: Cluster, tmp_path: Path) -> Iterator[Bank]:
    """Stores, a worker and a serve process for the engine `bank`, and an operator."""
    with (
        running_postgresql() as postgresql,
        running_valkey() as valkey,
        engine_processes(
            postgresql.database(), valkey=valkey.url, valkey_password=PASSWORD
        ) as processes,
    ):
        name = f"{cluster.namespace}/bank"
        customers = tmp_path / "customers.csv"
        customers.write_text(CUSTOMERS)
        done = processes.run("import", "customers", str(customers), "--id", "id")
        assert done.returncode == 0, done.stderr.decode()
        jwks = tmp_path / "jwks.json"
        jwks.write_text('{"keys": []}')
        control = {
            "WAYFARE_ENGINE": name,
            "WAYFARE_CONTROL_JWKS_FILE": str(jwks),
            "WAYFARE_CONTROL_ISSUER": ISSUER,
            "WAYFARE_CONTROL_SUBJECT": USER,
        }
        worker = processes.start("worker", **control)
        serve = processes.start("serve", WAYFARE_ENGINE=name)
        with running_operator(
            server, tmp_path, control_url=worker.url, token=operator_token(server)
        ) as replica:
            wait_leading(replica)
            cluster.apply("Engine", "bank", engine_spec())
            config = until(
                lambda: cluster.get("configmaps", "bank-control", "/api/v1"), what="the keys"
            )
            assert config["data"]["issuer"] == ISSUER
            # What the kubelet does with a ConfigMap that changed.
            jwks.write_text(config["data"]["jwks.json"])
            cluster.serve_endpoints("bank", serve.environment["WAYFARE_POD_UID"])
            yield Bank(cluster, processes, postgresql, worker, serve)


def test_from_resources_to_acknowledged_memberships(bank: Bank) -> None:
    cluster = bank.cluster
    cluster.apply("Segment", "seniors", segment_spec("customer.age >= 55"))
    cluster.apply("Segment", "known-balance", segment_spec("customer.balance > 0.0"))
    cluster.apply("Journey", "offer", journey_spec('segment("seniors")'))
    cluster.ready("segments", "seniors", seconds=60)
    cluster.ready("segments", "known-balance", seconds=60)
    assert cluster.status("segments", "seniors")["size"] == 2
    assert cluster.status("segments", "known-balance")["size"] == 2
    assert cluster.ready("journeys", "offer", seconds=60)["reason"] == "Published"
    cluster.ready("engines", "bank", seconds=60)
    status = cluster.status("engines", "bank")
    assert status["customers"] == 3
    assert status["plan"]["journeys"] == 1
    assert status["stores"]["postgresql"]["ok"] is True


def test_a_database_outage_is_told_and_takes_nothing_back(bank: Bank) -> None:
    cluster = bank.cluster
    cluster.apply("Journey", "offer", journey_spec())
    cluster.ready("journeys", "offer", seconds=60)
    bank.postgresql.kill()
    cluster.not_ready("engines", "bank", "StoresUnavailable", seconds=90)
    assert cluster.condition("journeys", "offer", "Ready")["status"] == "True"
    bank.postgresql.start()
    cluster.ready("engines", "bank", seconds=90)
