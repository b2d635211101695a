"""`POST /v1/events` over real processes and stores: acknowledged is committed."""

from __future__ import annotations

import json
import threading
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.conftest import Pods
from tests.servers import epochs, web
from tests.servers.postgresql import PostgresqlServer, rows
from tests.servers.wait import until
from wayfare_engine.identity import Scope
from wayfare_engine.objectstore import open_store

ROW = "SELECT kind, customer_id, at, body::text FROM wayfare.ledger WHERE id = %s"


def post(pods: Pods, events: Any, **query: str) -> httpx.Response:
    return pods.client.post("/v1/events", json=events, params=query)


def own() -> str:
    return uuid.uuid4().hex


def count(pods: Pods, ids: list[str]) -> int:
    found = rows(
        pods.dsn, "SELECT count(*)::int FROM wayfare.ledger WHERE id = ANY(%s::uuid[])", ids
    )
    return int(found[0][0])


def test_an_event_that_was_acknowledged_is_a_row_and_counted(pods: Pods) -> None:
    customer = own()
    answer = post(
        pods,
        {
            "customer": customer,
            "name": "card_used",
            "properties": {"amount": 12},
            "at": "2026-11-20T09:59:00+01:00",
            "client_id": own(),
        },
    )

    assert answer.status_code == 200, answer.text
    assert answer.json()["ack"] == "committed"
    [event] = answer.json()["events"]
    assert event["repeat"] is False
    [(kind, whose, at, body)] = rows(pods.dsn, ROW, event["id"])
    assert (kind, whose) == ("event", customer)
    assert at == datetime(2026, 11, 20, 8, 59, tzinfo=UTC)
    assert '"properties":{"amount": 12}' in body or '"properties":{"amount":12}' in body
    windows = "SELECT events::int FROM wayfare.event_windows WHERE customer_id = %s"
    assert rows(pods.dsn, windows, customer) == [(1,)]


def test_a_batch_is_answered_in_its_order_and_repeats_name_the_first_row(pods: Pods) -> None:
    first, second = own(), own()
    one = post(pods, {"customer": "anna", "name": "a", "client_id": first}).json()["events"][0]

    answer = post(
        pods,
        [
            {"customer": "anna", "name": "b", "client_id": second},
            {"customer": "anna", "name": "a", "client_id": first},
            {"customer": "anna", "name": "b", "client_id": second},
            {"customer": "anna", "name": "c"},
        ],
    ).json()["events"]

    assert [event["repeat"] for event in answer] == [False, True, True, False]
    assert answer[1]["id"] == one["id"]
    assert answer[2]["id"] == answer[0]["id"]
    assert count(pods, [event["id"] for event in answer]) == 3


def test_senders_of_the_same_events_at_once_make_one_row_each(pods: Pods) -> None:
    ids = [own() for _ in range(40)]
    answers: list[list[dict[str, Any]]] = []

    def send(order: list[str]) -> None:
        batch = [{"customer": "ben", "name": "a", "client_id": one} for one in order]
        found = post(pods, batch).json()["events"]
        answers.append([found[order.index(one)] for one in ids])

    threads = [threading.Thread(target=send, args=(ids[::step],)) for step in (1, -1) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for same in zip(*answers, strict=True):
        assert len({event["id"] for event in same}) == 1
        assert [event["repeat"] for event in same].count(False) == 1


def test_journaled_waits_for_the_store_and_says_when_it_was_in_vain(
    pods: Pods, tmp_path: Path
) -> None:
    event = {"customer": "anna", "name": "a", "client_id": own()}

    early = post(pods, event, ack="journaled", wait="0.2")
    store = {"WAYFARE_OBJECT_STORE_URL": f"file://{tmp_path}/store"}
    opened = open_store(store["WAYFARE_OBJECT_STORE_URL"])
    epochs.take(pods.dsn, opened, plan="default", site="east")
    worker = pods.processes.start("worker", **store).wait_ready()
    late = post(pods, event, ack="journaled", wait="30")
    new = post(pods, {"customer": "anna", "name": "a"}, ack="journaled", wait="30")
    worker.stop()

    assert (early.status_code, early.json()["ack"]) == (202, "committed")
    assert (late.status_code, late.json()["ack"]) == (200, "journaled")
    assert late.json()["events"] == [early.json()["events"][0] | {"repeat": True}]
    assert (new.status_code, new.json()["ack"]) == (200, "journaled")
    assert list((tmp_path / "store" / "journal" / "east").rglob("*"))


def test_nothing_is_acknowledged_while_postgresql_is_away(
    pods: Pods, postgresql: PostgresqlServer
) -> None:
    event = {"customer": "anna", "name": "a", "client_id": own()}
    postgresql.kill()
    try:
        away = post(pods, event)
    finally:
        postgresql.start()

    assert away.status_code == 503, away.text
    assert int(away.headers["retry-after"]) > 0
    assert away.json()["type"] == "urn:wayfare:problem:store-away"

    def taken() -> httpx.Response | None:
        answer = post(pods, event)
        return answer if answer.status_code == 200 else None

    answer = until(taken, what="it is taken again")
    assert count(pods, [answer.json()["events"][0]["id"]]) == 1


def test_postgresql_that_is_killed_again_and_again_loses_nothing_that_was_acknowledged(
    pods: Pods, postgresql: PostgresqlServer
) -> None:
    acknowledged: dict[str, str] = {}
    ending = threading.Event()

    def send(number: int) -> None:
        with httpx.Client(base_url=pods.serve.url, headers=pods.client.headers) as client:
            sent = 0
            while not ending.is_set():
                name = f"{number}-{sent}"
                event = {"customer": customer, "name": "a", "client_id": f"{customer}-{name}"}
                answer = client.post("/v1/events", json=event, timeout=30)
                if answer.status_code == 200:  # else the same again
                    acknowledged[name] = answer.json()["events"][0]["id"]
                    sent += 1

    def more_than(number: int) -> bool:
        return len(acknowledged) > number

    customer = own()
    threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            seen = len(acknowledged)
            until(partial(more_than, seen + 20), what="events are taken")
            postgresql.kill()
            postgresql.start()
    finally:
        ending.set()
        for thread in threads:
            thread.join()

    found = rows(pods.dsn, "SELECT id::text FROM wayfare.ledger WHERE customer_id = %s", customer)
    assert {one for (one,) in found} >= set(acknowledged.values())
    # At most the last of each sender was written and not answered for.
    assert len(acknowledged) <= len(found) <= len(acknowledged) + 4
    counted = "SELECT sum(events)::int FROM wayfare.event_windows WHERE customer_id = %s"
    assert rows(pods.dsn, counted, customer) == [(len(found),)]


def test_the_worker_forgets_ids_whose_time_is_over(pods: Pods) -> None:
    old, young = own(), own()
    with psycopg.connect(pods.dsn, autocommit=True) as connection:
        for name, age in ((old, "2 hours"), (young, "30 minutes")):
            connection.execute(
                "INSERT INTO wayfare.event_repeats VALUES (%s, %s, now() - %s::interval)",
                (name, uuid.uuid4(), age),
            )
    worker = pods.processes.start("worker", WAYFARE_EVENT_REPEAT_SECONDS="3600")
    known = "SELECT client_id FROM wayfare.event_repeats WHERE client_id = ANY(%s)"

    until(
        lambda: rows(pods.dsn, known, [old, young]) == [(young,)],
        seconds=90,
        what="it is forgotten",
    )
    worker.stop()


def test_a_key_needs_the_scope(pods: Pods) -> None:
    keys = {scope: pods.processes.key(scope) for scope in (Scope.DECIDE, Scope.EVENTS_WRITE)}
    event = {"customer": "anna", "name": "a"}
    url = pods.serve.url + "/v1/events"

    def status(scope: Scope) -> int:
        return web.post(url, json=event, headers={"X-API-Key": keys[scope]}).status_code

    until(lambda: status(Scope.EVENTS_WRITE) == 200, seconds=5, what="the key is known")
    assert status(Scope.DECIDE) == 403
    assert web.post(url, json=event).status_code == 401


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ("{", 400, None),
        (b"\xff", 400, None),
        ("[]", 422, "$"),
        ("3", 422, "$"),
        ("{}", 422, "$"),
        ('{"customer": "", "name": "a"}', 422, "$.customer"),
        ('{"customer": "a\\u0000", "name": "a"}', 422, "$.customer"),
        ('{"customer": "anna", "name": "a", "what": 1}', 422, "$"),
        ('{"customer": "anna", "name": "a", "properties": 3}', 422, "$.properties"),
        ('{"customer": "anna", "name": "a", "at": "2026-11-20T09:00:00"}', 422, "$.at"),
        ('{"customer": "anna", "name": "a", "at": "1812-11-20T09:00:00Z"}', 422, "$.at"),
        ('[{"customer": "anna", "name": "a"}, {"customer": 1, "name": "a"}]', 422, "$[1].customer"),
    ],
)
def test_bad_input_is_a_problem_with_its_place(
    pods: Pods, body: str | bytes, status: int, path: str | None
) -> None:
    answer = pods.client.post("/v1/events", content=body)

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if path is not None:
        assert [e["path"] for e in answer.json()["errors"]] == [path]


def test_limits_of_number_size_and_time(pods: Pods) -> None:
    event = {"customer": "anna", "name": "a"}
    late = (datetime.now(UTC) + timedelta(days=2)).isoformat()

    assert post(pods, [event] * 500).status_code == 200
    assert post(pods, [event] * 501).status_code == 422
    assert post(pods, event | {"at": late}).status_code == 422
    assert post(pods, event | {"properties": {"a": "x" * 1_100_000}}).status_code == 413
    assert post(pods, event, ack="perhaps").status_code == 422


def test_the_openapi_page_has_the_route(pods: Pods) -> None:
    document = pods.client.get("/openapi.json").json()

    route = document["paths"]["/v1/events"]["post"]
    assert set(route["responses"]) >= {"200", "202", "422", "503"}
    assert {"EventRequest", "EventsResponse", "EventAnswer"} <= document["components"][
        "schemas"
    ].keys()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_event = st.fixed_dictionaries(
    {"customer": st.text(min_size=1) | _json, "name": st.text(min_size=1) | _json},
    optional={
        "properties": st.dictionaries(st.text(), _json, max_size=4) | _json,
        "at": st.datetimes().map(lambda at: at.isoformat() + "Z") | _json,
        "client_id": st.text(min_size=1) | _json,
    },
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    body=st.binary(max_size=200)
    | _json.map(lambda v: json.dumps(v).encode())
    | _event.map(lambda v: json.dumps(v).encode())
    | st.lists(_event, max_size=4).map(lambda v: json.dumps(v).encode())
)
def test_whatever_is_sent_is_taken_or_a_problem_and_what_is_taken_is_there(
    pods: Pods, body: bytes
) -> None:
    answer = pods.client.post("/v1/events", content=body)

    assert answer.status_code in (200, 400, 422), answer.text
    assert "refused" not in answer.text, answer.text
    if answer.status_code == 200:
        ids = {event["id"] for event in answer.json()["events"]}
        assert count(pods, list(ids)) == len(ids)
