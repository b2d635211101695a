"""Decisions about a customer who was erased since."""

from __future__ import annotations

from pathlib import Path

from tests.engine.conftest import Pods
from tests.engine.plans import write_customers
from tests.servers.wait import until


def test_the_explanation_of_an_erased_customers_decision_says_so(
    pods: Pods, tmp_path: Path
) -> None:
    customer = "eve"
    file = write_customers(tmp_path / "eve.csv", [(customer, 80, 9000.0, "no")])
    assert pods.processes.run("import", "customers", str(file), "--id", "id").returncode == 0
    until(lambda: pods.decide(customer).status_code == 200, what="eve is known")
    decided = pods.decide(customer, page="accounts").json()
    path = f"/v1/decisions/{decided['decision_id']}"
    assert pods.client.get(path).json()["considered"] is not None

    done = pods.processes.run("customers", "erase", customer, "--reason", "a test")

    assert done.returncode == 0, done.stderr.decode()
    until(lambda: pods.client.get(path).json()["considered"] is None, what="the erasure is known")
    told = pods.client.get(path).json()
    assert told["considered_missing"].startswith("Skipped/Erased")
    assert told["content"] is None
    assert told["reason"] == decided["reason"], "the record itself stays as it was"
