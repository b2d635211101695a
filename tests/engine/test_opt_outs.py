"""`POST /v1/opt-outs` at a real serving pod."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from tests.engine.conftest import Pods
from tests.servers import web
from tests.servers.postgresql import rows
from wayfare_engine.identity import Scope

OUT = "SELECT channel, out, version::int FROM wayfare.opt_outs WHERE customer_id = %s ORDER BY 1"


def post(pods: Pods, body: Any, **more: Any) -> httpx.Response:
    return pods.client.post("/v1/opt-outs", json=body, **more)


def test_out_and_in_again_each_by_itself(pods: Pods) -> None:
    told = post(
        pods,
        [
            {"customer": "o-1", "channel": "bank/sms", "out": True, "by": "shop", "reason": "call"},
            {"customer": "o-1", "channel": "*", "out": True},
        ],
    )
    assert told.status_code == 200, told.text
    assert [one["version"] for one in told.json()["opt_outs"]] == [1, 1]
    assert rows(pods.dsn, OUT, "o-1") == [("*", True, 1), ("bank/sms", True, 1)]

    again = post(pods, {"customer": "o-1", "channel": "*", "out": False})
    assert again.json()["opt_outs"][0]["version"] == 2
    assert rows(pods.dsn, OUT, "o-1") == [("*", False, 2), ("bank/sms", True, 1)]
    query = "SELECT body->>'by', body->>'reason' FROM wayfare.ledger WHERE id = %s::uuid"
    first = told.json()["opt_outs"][0]["id"]
    assert rows(pods.dsn, query, first) == [("shop", "call")]


def test_two_at_once_have_an_order(pods: Pods) -> None:
    def say(out: bool) -> None:
        for _ in range(20):
            post(pods, {"customer": "o-2", "channel": "*", "out": out}).raise_for_status()

    threads = [threading.Thread(target=say, args=(out,)) for out in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(pods.dsn, OUT, "o-2")[0][2] == 40


@pytest.mark.parametrize(
    ("body", "status", "place"),
    [
        ({"customer": "o-3", "channel": "sms", "out": True}, 422, "$.channel"),
        ({"customer": "o-3", "channel": "bank/**", "out": True}, 422, "$.channel"),
        ({"customer": "o-3", "channel": "*"}, 422, "$"),
        ({"customer": "", "channel": "*", "out": True}, 422, "$.customer"),
        ({"customer": "o-3", "channel": "*", "out": True, "extra": 1}, 422, "$"),
        ([{"customer": "o\n3", "channel": "*", "out": True}], 422, "$[0].customer"),
        (
            {"customer": "o-3", "channel": "*", "out": True, "at": "2099-01-01T00:00:00Z"},
            422,
            "$.at",
        ),
        ([], 422, "$"),
    ],
)
def test_a_wrong_one_says_where(pods: Pods, body: Any, status: int, place: str) -> None:
    answer = post(pods, body)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (status, place)
    assert rows(pods.dsn, OUT, "o-3") == []


def test_it_needs_its_scope(pods: Pods) -> None:
    body = {"customer": "o-4", "channel": "*", "out": True}
    url = pods.serve.url + "/v1/opt-outs"
    assert web.post(url, json=body).status_code == 401
    key = pods.processes.key(Scope.DECIDE)
    answer = web.post(url, json=body, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code in (401, 403), answer.text
    assert rows(pods.dsn, OUT, "o-4") == []
