"""The worker's control API, as the operator uses it."""

from __future__ import annotations

import gzip
import time
from typing import Any

import httpx
import pytest

from tests.engine.conftest import Pods
from tests.engine.plans import bank_plan
from tests.servers import web
from tests.servers.customers import ask_customers
from tests.servers.engine import SUBJECT
from tests.servers.wait import until
from wayfare_engine.store.migrate import newest_revision


def ask(pods: Pods, path: str = "/control/v1/status", **claims: Any) -> httpx.Response:
    """A request with a token whose claims differ from the right ones."""
    token = pods.processes.signer.token(**claims)
    return web.get(pods.worker.url + path, headers={"Authorization": f"Bearer {token}"})


def test_the_status_says_how_things_stand(pods: Pods) -> None:
    until(lambda: ask(pods).json()["acknowledgements"], what="an acknowledgement")

    status = ask(pods).json()

    assert status["wantedPlan"] == pods.plan.digest
    savers = "SELECT count(*) FROM customers WHERE (attributes->>'age')::int >= 55"
    assert [(status["customers"],)] == ask_customers(pods.dsn, "SELECT count(*) FROM customers")
    assert {"name": "balance", "type": "double"} in status["schema"]["attributes"]
    sizes = {s["name"]: s["size"] for s in status["segments"]}
    assert [(sizes["default/savers"],)] == ask_customers(pods.dsn, savers)
    assert all(s["asOf"] and s["digest"].startswith("sha256:") for s in status["segments"])
    uid = pods.serve.environment["WAYFARE_POD_UID"]
    [said] = [a for a in status["acknowledgements"] if a["podUid"] == uid]
    assert said["plan"] == pods.plan.digest
    assert said["ageSeconds"] < 15
    assert status["stores"]["postgresql"]["ok"]
    assert status["stores"]["postgresql"]["version"].startswith("18")
    assert status["stores"]["valkey"]["ok"]
    assert status["schemaRevision"] == newest_revision()


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"iss": "https://elsewhere"}, 401),
        ({"aud": ["api"]}, 401),
        ({"exp": -60}, 401),
        ({"nbf": 600}, 401),
        ({"sub": "system:serviceaccount:default:default"}, 403),
        ({"sub": SUBJECT}, 200),
    ],
)
def test_only_the_operators_token_is_let_in(
    pods: Pods, claims: dict[str, Any], status: int
) -> None:
    # a number is in seconds from now; parameters are made long before their test runs
    now = int(time.time())
    given: dict[str, Any] = {k: now + v if isinstance(v, int) else v for k, v in claims.items()}
    assert ask(pods, **given).status_code == status


def test_no_token_and_a_forged_one_are_refused(pods: Pods) -> None:
    url = pods.worker.url + "/control/v1/status"
    token = pods.processes.signer.token()
    head, payload, _ = token.split(".")
    none = "eyJhbGciOiJub25lIn0." + payload + "."

    for forged in (f"{head}.{payload}.{'A' * 342}", none, "x", "a.b.c"):
        assert web.get(url, headers={"Authorization": f"Bearer {forged}"}).status_code == 401
    assert web.get(url).status_code == 401


def test_new_signing_keys_are_taken_without_a_restart(pods: Pods) -> None:
    before = pods.processes.signer.token()
    pods.processes.signer.rotate()

    assert ask(pods).status_code == 200
    url = pods.worker.url + "/control/v1/status"
    assert web.get(url, headers={"Authorization": f"Bearer {before}"}).status_code == 401


def test_a_plan_is_given_back_byte_for_byte(pods: Pods) -> None:
    assert ask(pods, "/control/v1/plan").content == pods.plan.to_bytes()


def test_a_plan_may_come_compressed(pods: Pods) -> None:
    plan = bank_plan(title="Compressed")
    headers = {
        "Authorization": f"Bearer {pods.processes.signer.token()}",
        "Content-Encoding": "gzip",
    }
    url = f"{pods.worker.url}/control/v1/plans/{plan.digest}"

    assert web.put(url, content=gzip.compress(plan.to_bytes()), headers=headers).status_code == 204
    assert web.put(url, content=b"no gzip", headers=headers).status_code == 400
    pods.publish(pods.plan)


def test_a_digest_that_does_not_match_is_refused(pods: Pods) -> None:
    plan = bank_plan(title="Other")
    answer = web.put(
        f"{pods.worker.url}/control/v1/plans/sha256:{'0' * 64}",
        content=plan.to_bytes(),
        headers={"Authorization": f"Bearer {pods.processes.signer.token()}"},
    )

    assert answer.status_code == 422
    assert plan.digest in answer.json()["detail"]


def test_two_workers_share_the_work(pods: Pods) -> None:
    other = pods.processes.start("worker").wait_ready()
    for age in range(40, 46):
        pods.publish(bank_plan(savers=f"customer.age >= {age}"))
    pods.publish(pods.plan)

    assert other.stop() == 0
    assert pods.worker.ready()


def test_a_probe_key_allows_decisions_for_some_minutes_and_nothing_else(pods: Pods) -> None:
    token = pods.processes.signer.token()
    url = pods.worker.url + "/control/v1/probe-keys"
    assert web.post(url).status_code == 401
    made = web.post(url, headers={"Authorization": f"Bearer {token}"})
    assert made.status_code == 201
    headers = {"Authorization": f"Bearer {made.json()['key']}"}
    body = {"customer": "1", "slot": "home-banner", "context": {}}

    def asked() -> int:
        return web.post(f"{pods.serve.url}/v1/decisions", json=body, headers=headers).status_code

    until(lambda: asked() in (200, 404), what="the serving pod knows the key")
    refused = web.post(f"{pods.serve.url}/v1/events", json=[], headers=headers)
    assert refused.status_code == 403
    found = ask_customers(
        pods.dsn,
        "SELECT scopes, expires_at - created_at < interval '11 minutes' FROM wayfare.api_keys "
        "WHERE name = 'recovery-probe'",
    )
    assert found == [(["decide"], True)]
