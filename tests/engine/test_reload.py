"""Plans and customers that change under load: no answer is dropped, none mixes two plans."""

from __future__ import annotations

import hashlib
import json
import threading
from functools import partial
from pathlib import Path

import httpx

from tests.engine.conftest import Pods
from tests.engine.plans import CUSTOMERS, bank_plan, write_customers
from tests.servers import web
from tests.servers.postgresql import rows
from tests.servers.wait import until


def test_answers_change_under_load_and_each_is_of_one_plan(pods: Pods) -> None:
    titles = ["One", "Two", "Three", "Four"]
    # Plan by plan the audience changes with the title, so a mix would show.
    plans = [
        bank_plan(title=t, savers=f"customer.age >= {age}")
        for t, age in zip(titles, (55, 65, 25, 59), strict=True)
    ]
    expected = {
        plan.digest: {
            "anna": title if age <= 60 else "Welcome",
            "ben": title if age <= 30 else "Welcome",
        }
        for plan, title, age in zip(plans, titles, (55, 65, 25, 59), strict=True)
    }
    pods.publish(plans[0])
    ending = threading.Event()
    answers: list[tuple[str, httpx.Response]] = []

    def ask() -> None:
        with httpx.Client(base_url=pods.serve.url, headers=pods.client.headers) as client:
            while not ending.is_set():
                for customer in ("anna", "ben"):
                    body = {
                        "customer": customer,
                        "slot": "home-banner",
                        "context": {"page": "accounts"},
                    }
                    answers.append((customer, client.post("/v1/decisions", json=body, timeout=20)))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        until(partial(_more_than, answers, 30), what="answers of the first plan")
        for plan in plans[1:]:
            pods.publish(plan)
            seen = len(answers)
            until(partial(_more_than, answers, seen + 30), what="answers of the new plan")
    finally:
        ending.set()
        for thread in threads:
            thread.join(30)
    pods.publish(pods.plan)

    assert {a.status_code for _, a in answers} == {200}
    wrong = [
        (customer, a.text)
        for customer, a in answers
        if a.json()["content"]["title"] != expected[a.json()["plan"]][customer]
    ]
    assert wrong == []
    assert {a.json()["plan"] for _, a in answers} == set(expected)


def test_a_plan_is_acknowledged_only_when_its_segments_are_there(pods: Pods) -> None:
    plan = pods.publish(bank_plan(savers="customer.age >= 69"))

    stored = rows(pods.dsn, "SELECT key FROM wayfare.segment_memberships")
    assert {s.key for s in plan.segments} <= {key for (key,) in stored}
    until(
        lambda: rows(
            pods.dsn,
            "SELECT 1 FROM wayfare.plan_acknowledgements WHERE plan = %s AND pod_uid = %s",
            plan.digest,
            pods.serve.environment["WAYFARE_POD_UID"],
        ),
        what="the acknowledgement",
    )
    pods.publish(pods.plan)


def test_customers_who_are_loaded_later_are_served_without_a_restart(
    pods: Pods, tmp_path: Path
) -> None:
    assert pods.decide("dora", page="accounts").status_code == 404
    file = write_customers(tmp_path / "more.csv", [*CUSTOMERS, ("dora", 80, 9000.0, "no")])

    done = pods.processes.run("import", "customers", str(file), "--id", "id", "--json")

    assert done.returncode == 0, done.stderr.decode()
    result = json.loads(done.stdout)
    assert (result["added"], result["changed"], result["unchanged"]) == (1, 0, 3)
    until(lambda: pods.decide("dora", page="accounts").status_code == 200, what="dora is known")
    assert pods.decide("dora", page="accounts").json()["journey"] == "default/term-deposit"


def test_a_plan_that_cannot_be_read_leaves_the_present_one_serving(pods: Pods) -> None:
    before = web.get(pods.serve.url + "/readyz").json()["plan"]
    body = b'{"format": 999}'
    digest = "sha256:" + hashlib.sha256(body).hexdigest()
    answer = web.put(
        f"{pods.worker.url}/control/v1/plans/{digest}",
        content=body,
        headers={"Authorization": f"Bearer {pods.processes.signer.token()}"},
    )

    assert answer.status_code == 422
    assert "format 999" in answer.json()["detail"]
    assert web.get(pods.serve.url + "/readyz").json()["plan"] == before


def _more_than(answers: list[tuple[str, httpx.Response]], count: int) -> bool:
    return len(answers) > count
