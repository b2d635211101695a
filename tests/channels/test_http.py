"""The contract's other requests, and bodies that cannot be read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.channels.conftest import Running
from tests.channels.scripted import SECRET
from tests.servers.channel_host import CLOCK


def test_describe_is_what_the_class_says(asked: Running) -> None:
    assert asked.host.client.get("/v1/describe").json() == {
        "contract": "v1",
        "plugin": "asked",
        "version": "1",
        "dedupe": {"by": "Query"},
        "batch_size": 5,
        "receipt_states": ["delivered"],
    }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/clock", 200),
        ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
        ("GET", "/nothing", 404),
        ("DELETE", "/v1/send", 405),
        ("POST", "/v1/send", 400),
        ("GET", "/v1/query/x", 404),
        ("GET", "/v1/query/" + "x" * 300, 400),
        ("GET", "/v1/openapi.json", 200),
    ],
)
def test_every_answer_carries_the_clock(
    scripted: Running, method: str, path: str, status: int
) -> None:
    answer = scripted.host.client.request(method, path)
    assert answer.status_code == status
    assert CLOCK in answer.headers
    assert "result" not in answer.json()


GOOD: dict[str, Any] = {
    "send_key": "malformed",
    "customer": "c",
    "channel": "c",
    "site": "s",
    "epoch": 1,
    "attempt": 1,
    "remaining": 1.0,
    "clock": "c",
    "payload": {},
}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", None),
        (b"{", None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
        (b"[]", "$"),
        (json.dumps(GOOD | {"epoch": "one"}), "$.epoch"),
        (json.dumps(GOOD | {"remaining": None}), "$.remaining"),
        (json.dumps(GOOD | {"payload": [1]}), "$.payload"),
        (json.dumps(GOOD | {"send_key": ""}), "$.send_key"),
        (json.dumps(GOOD | {"customer": "c" * 1025}), "$.customer"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "clock"}), "$"),
    ],
)
def test_what_cannot_be_read_is_400_with_the_place(
    scripted: Running, body: bytes | str, place: str | None
) -> None:
    answer = scripted.host.client.post("/v1/send", content=body)
    assert answer.status_code == 400
    assert "result" not in answer.json()
    if place is not None:
        assert [error["path"] for error in answer.json()["errors"]] == [place]
    assert scripted.effects.of("malformed") == []


def test_a_body_that_is_too_long_is_413(scripted: Running) -> None:
    what = scripted.host.hand_over("long", payload={"text": "x" * 1024 * 1024})
    assert scripted.host.client.post("/v1/send", json=what).status_code == 413
    chunks = (b"x" * 65536 for _ in range(17))
    assert scripted.host.client.post("/v1/send", content=chunks).status_code == 413
    assert scripted.host.send("not-long", payload={"text": "x" * 1000_000}).status_code == 200


def test_fields_of_newer_workers_are_ignored(scripted: Running) -> None:
    assert scripted.host.send("newer", priority={"of": "tomorrow"}).status_code == 200


def test_a_batch_has_an_answer_a_send_in_order(asked: Running) -> None:
    host = asked.host
    sends = [
        host.hand_over("b-1"),
        host.hand_over("b-2", payload={"do": "reject"}),
        host.hand_over("b-3", remaining=0),
        host.hand_over("b-4", payload={"do": "fail"}),
        host.hand_over("b-5", payload={"do": "refuse"}),
    ]
    answer = host.client.post("/v1/send-batch", json=sends)
    results = [one and one["result"] for one in answer.json()]
    assert results == ["Accepted", "Rejected", "Late", None, "NotAccepted"]
    assert answer.json()[0]["provider_id"] == "p-b-1"
    assert asked.effects.of("b-3") == []


def test_a_batch_that_hangs_is_in_doubt_apart_from_what_was_late(asked: Running) -> None:
    host = asked.host
    sends = [
        host.hand_over("h-1", remaining=0),
        host.hand_over("h-2", remaining=0.2),
        host.hand_over("h-3", payload={"do": "hang"}),
    ]
    said = host.client.post("/v1/send-batch", json=sends).json()
    assert (said[0]["result"], said[1:]) == ("Late", [None, None])


def test_a_batch_with_too_few_answers_is_in_doubt(asked: Running) -> None:
    sends = [asked.host.hand_over("s-1"), asked.host.hand_over("s-2", payload={"do": "short"})]
    assert asked.host.client.post("/v1/send-batch", json=sends).json() == [None, None]


def test_a_batch_beyond_its_size_is_refused(asked: Running, scripted: Running) -> None:
    sends = [asked.host.hand_over(f"many-{number}") for number in range(6)]
    assert asked.host.client.post("/v1/send-batch", json=sends).status_code == 400
    assert asked.effects.of("many-0") == []
    assert asked.host.client.post("/v1/send-batch", json=[]).json() == []
    one = [scripted.host.hand_over("single")]
    assert scripted.host.client.post("/v1/send-batch", json=one).status_code == 404


def test_a_key_can_be_asked_about(asked: Running) -> None:
    key = "a/key with?odd#signs"
    asked.host.send(key)
    quoted = "a%2Fkey%20with%3Fodd%23signs"
    assert asked.host.client.get(f"/v1/query/{quoted}").json() == {"accepted": True}
    assert asked.host.client.get("/v1/query/never").json() == {"accepted": False}


def test_receipts_are_read_and_strangers_refused(asked: Running, scripted: Running) -> None:
    call = {"headers": {"token": "right"}, "body": "…"}
    (said,) = asked.host.client.post("/v1/receipt", json=call).json()
    assert said == {"state": "delivered", "at": "2026-01-01T00:00:00Z", "send_key": "k-1"}
    refused = asked.host.client.post("/v1/receipt", json={"headers": {}})
    assert (refused.status_code, SECRET in refused.text) == (400, False)
    assert scripted.host.client.post("/v1/receipt", json=call).status_code == 404


def test_a_preview_sends_nothing(scripted: Running) -> None:
    what = scripted.host.hand_over("seen", clock="")
    answer = scripted.host.client.post("/v1/preview", json=what)
    assert answer.json() == {"parts": {"text": "hello"}}
    assert scripted.effects.of("seen") == []
    for do in ("fail", "nonsense"):
        failing = scripted.host.client.post("/v1/preview", json=what | {"payload": {"do": do}})
        assert (failing.status_code, SECRET in failing.text) == (500, False)


def test_a_check_says_what_to_do(scripted: Running) -> None:
    answer = scripted.host.client.post("/v1/check", json={})
    assert answer.json() == {"ok": False, "problem": "wrong password: set the secret `token`"}
