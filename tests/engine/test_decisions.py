"""`POST /v1/decisions` and `GET /v1/decisions/{id}` over real processes and stores."""

from __future__ import annotations

import json
import uuid

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.conftest import Pods
from tests.servers import web
from tests.servers.postgresql import rows
from tests.servers.wait import until
from wayfare_engine.identity import Scope

NESTED = "[" * 30_000 + "1" + "]" * 30_000
DEEP = f'{{"customer": "anna", "slot": "home-banner", "context": {{"a": {NESTED}}}}}'


def test_the_winner_is_offered_with_its_content(pods: Pods) -> None:
    answer = pods.decide("anna", page="accounts").json()

    assert answer["journey"] == "default/term-deposit"
    assert answer["node"] == "offer"
    assert answer["content"] == {"title": "A term deposit"}
    assert answer["reason"] == "Won"
    assert answer["degraded"] == []
    assert answer["plan"] == pods.plan.digest
    assert answer["slot"] == "home-banner"


def test_a_condition_that_fails_leaves_the_next_journey(pods: Pods) -> None:
    assert pods.decide("anna", page="cards").json()["journey"] == "default/welcome"


def test_nothing_that_qualifies_is_an_answer_too(pods: Pods) -> None:
    answer = pods.decide("carl", page="accounts")

    assert answer.status_code == 200
    assert answer.json()["journey"] is None
    assert answer.json()["reason"] == "NoneEligible"


def test_a_decision_is_read_back_with_each_loser_and_its_reason(pods: Pods) -> None:
    made = pods.decide("ben", page="accounts").json()

    record = pods.client.get(f"/v1/decisions/{made['decision_id']}").json()

    assert record["journey"] == "default/welcome"
    assert record["customer"] == "ben"
    assert record["context"] == {"page": "accounts"}
    assert record["plan"] == pods.plan.digest
    assert record["content"] == {"title": "Welcome"}
    reasons = {c["journey"]: c["reason"] for c in record["considered"]}
    assert reasons == {"default/term-deposit": "NotInAudience", "default/welcome": "Won"}


def test_a_decision_of_an_earlier_plan_is_explained_by_that_plan(pods: Pods) -> None:
    from tests.engine.plans import bank_plan

    earlier = pods.plan
    made = pods.decide("anna", page="accounts").json()
    pods.publish(bank_plan(title="Another"))
    try:
        record = pods.client.get(f"/v1/decisions/{made['decision_id']}").json()
    finally:
        pods.publish(earlier)

    assert record["plan"] == earlier.digest
    assert record["content"] == {"title": "A term deposit"}
    assert {c["reason"] for c in record["considered"]} == {"Won", "LowerPriority"}


def test_each_decision_is_one_row_of_the_ledger(pods: Pods) -> None:
    made = pods.decide("anna", page="accounts").json()

    row = until(
        lambda: rows(
            pods.dsn,
            "SELECT kind, site, epoch, customer_id, body FROM wayfare.ledger WHERE id = %s",
            uuid.UUID(made["decision_id"]),
        ),
        what="the row",
    )
    [(kind, site, epoch, customer, body)] = row
    assert (kind, site, epoch, customer) == ("decision", "east", 1, "anna")
    assert body["winner"] == {"journey": "default/term-deposit", "node": "offer"}
    assert body["row"] == "3"


def test_a_context_is_recorded_as_it_came(pods: Pods) -> None:
    odd = '{"page":"accounts","big":123456789012345678901234567890,"float":1e2,"nul":"\\u0000"}'
    made = pods.client.post(
        "/v1/decisions", content=f'{{"customer":"anna","slot":"home-banner","context":{odd}}}'
    ).json()

    until(
        lambda: rows(
            pods.dsn,
            "SELECT 1 FROM wayfare.ledger WHERE id = %s AND body::text LIKE %s",
            uuid.UUID(made["decision_id"]),
            "%" + odd.replace("\\", "\\\\") + "%",
        ),
        what="the row",
    )


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ("{", 400, None),
        ("", 400, None),
        (b"\xff\xfe", 400, None),
        ("[" * 60000, 422, "$"),
        (DEEP, 400, None),
        ("[]", 422, "$"),
        ("{}", 422, "$"),
        ('{"customer": 1, "slot": "home-banner"}', 422, "$.customer"),
        ('{"customer": "", "slot": "home-banner"}', 422, "$.customer"),
        ('{"customer": "anna", "slot": null}', 422, "$.slot"),
        ('{"customer": "anna", "slot": "home-banner", "context": []}', 422, "$.context"),
        ('{"customer": "anna", "slot": "home-banner", "contexts": {}}', 422, "$"),
        ('{"customer": "nobody", "slot": "home-banner"}', 404, "$.customer"),
        ('{"customer": "anna", "slot": "nowhere"}', 404, "$.slot"),
    ],
)
def test_bad_input_is_a_problem_with_its_place(
    pods: Pods, body: str | bytes, status: int, path: str | None
) -> None:
    answer = pods.client.post("/v1/decisions", content=body)

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:wayfare:problem:")
    assert {"title", "detail"} <= problem.keys()
    assert "Traceback" not in answer.text
    if path is not None:
        assert [e["path"] for e in problem["errors"]] == [path]


def test_a_body_that_is_too_large_is_refused(pods: Pods) -> None:
    declared = pods.client.post("/v1/decisions", content=b"x" * 70_000)
    chunked = pods.client.post("/v1/decisions", content=iter([b"x" * 30_000] * 3))

    assert (declared.status_code, chunked.status_code) == (413, 413)
    assert pods.decide("anna").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("PUT", "/v1/decisions", 405),
        ("GET", "/v1/decisions/not-an-id", 404),
        ("GET", f"/v1/decisions/{uuid.UUID(int=7 << 76)}", 404),
    ],
)
def test_every_other_error_is_a_problem_too(
    pods: Pods, method: str, path: str, status: int
) -> None:
    answer = pods.client.request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


def test_a_key_is_required_and_its_scope_counts(pods: Pods) -> None:
    reader = pods.processes.key(Scope.DECISIONS_READ)
    body = {"customer": "anna", "slot": "home-banner"}
    url = pods.serve.url + "/v1/decisions"

    def status(**headers: str) -> int:
        return web.post(url, json=body, headers=headers).status_code

    until(lambda: status(**{"X-API-Key": reader}) == 403, seconds=5, what="the key is known")
    assert status() == 401
    assert status(Authorization="Bearer wf_0000000000000000_" + "A" * 43) == 401
    assert status(Authorization="Basic abc") == 401
    wrong_secret = reader[:-2] + ("aa" if not reader.endswith("aa") else "bb")
    assert status(**{"X-API-Key": wrong_secret}) == 401


def test_a_revoked_key_is_refused_within_five_seconds(pods: Pods) -> None:
    done = pods.processes.run("keys", "create", "--name", "shop", "--expires", "1d", "--json")
    made = json.loads(done.stdout)
    client = httpx.Client(base_url=pods.serve.url, headers={"X-API-Key": made["key"]})
    body = {"customer": "anna", "slot": "home-banner"}
    until(lambda: client.post("/v1/decisions", json=body).status_code == 200, seconds=5)

    assert pods.processes.run("keys", "revoke", made["id"]).returncode == 0

    until(lambda: client.post("/v1/decisions", json=body).status_code == 401, seconds=5)
    listed = json.loads(pods.processes.run("keys", "list", "--json").stdout)
    assert {k["state"] for k in listed if k["id"] == made["id"]} == {"revoked"}
    hashes = rows(pods.dsn, "SELECT hash FROM wayfare.api_keys")
    assert all(made["key"].encode() not in bytes(h) for (h,) in hashes)


def test_metrics_count_decisions_and_name_the_plan(pods: Pods) -> None:
    pods.decide("anna", page="accounts")
    pods.decide("carl")

    text = web.get(pods.serve.url + "/metrics").text

    assert 'wayfare_decisions_total{outcome="offered",slot="home-banner"}' in text
    assert 'wayfare_decisions_total{outcome="nothing",slot="home-banner"}' in text
    assert f'wayfare_plan_info{{digest="{pods.plan.digest}"}} 1.0' in text
    assert 'wayfare_store_up{store="valkey"} 1.0' in text


def test_the_openapi_page_is_whole_in_itself(pods: Pods) -> None:
    document = pods.client.get("/openapi.json").json()
    page = pods.client.get("/docs").text

    assert set(document["paths"]["/v1/decisions"]["post"]["responses"]) >= {"200", "404", "413"}
    assert {"DecisionRequest", "DecisionResponse", "Problem"} <= document["components"][
        "schemas"
    ].keys()
    assert "http://" not in page
    assert "https://" not in page


def test_alive_and_active(pods: Pods) -> None:
    assert web.get(pods.serve.url + "/livez").status_code == 200
    active = web.get(pods.serve.url + "/activez")
    assert active.status_code == 200
    assert active.json()["site"] == "east"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    body=st.binary(max_size=200)
    | _json.map(lambda v: json.dumps(v).encode())
    | st.fixed_dictionaries(
        {"customer": st.just("anna") | _json, "slot": st.just("home-banner") | _json},
        optional={"context": st.dictionaries(st.text(), _json, max_size=4) | _json},
    ).map(lambda v: json.dumps(v).encode())
)
def test_no_body_whatever_makes_a_server_error(pods: Pods, body: bytes) -> None:
    answer = pods.client.post("/v1/decisions", content=body)

    assert answer.status_code in (200, 400, 404, 413, 422), answer.text


def test_what_was_fuzzed_is_all_in_the_ledger(pods: Pods) -> None:
    def counted() -> dict[str, float]:
        text = web.get(pods.serve.url + "/metrics").text
        return {
            line.split()[0]: float(line.split()[1])
            for line in text.splitlines()
            if line.startswith("wayfare_ledger")
        }

    until(lambda: counted()["wayfare_ledger_queue_rows"] == 0, what="an empty queue")
    assert not [k for k, v in counted().items() if k.startswith("wayfare_ledger_dropped") and v]
