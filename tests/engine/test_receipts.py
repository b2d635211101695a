"""`POST /v1/receipts/{channel}` over real processes and stores: signed, matched, a state once."""

from __future__ import annotations

import base64
import json
import os
import random
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.conftest import Pods
from tests.servers import web
from tests.servers.postgresql import rows
from tests.servers.wait import until
from wayfare_engine.clock import new_id, now
from wayfare_engine.facts import Draft, Fact, record, write
from wayfare_engine.ledger import Kind, LedgerRow, bodies, fence
from wayfare_engine.receipts.matching import match_again
from wayfare_engine.receipts.signatures import BadSecret, secrets, signature

KEYS = {name: os.urandom(32) for name in ("sms", "sms-old", "mail")}


def spelled(key: bytes) -> str:
    return f"whsec_{base64.b64encode(key).decode()}"


@dataclass
class Receipts:
    """A serving pod that takes receipts of two channels."""

    pods: Pods
    url: str
    connection: psycopg.Connection[Any]

    def post(
        self,
        body: Any,
        *,
        channel: str = "bank/sms",
        key: bytes = KEYS["sms"],
        at: float | None = None,
        signed: bytes | None = None,
        more: str = "",
    ) -> httpx.Response:
        """A call, signed with `key` over what is sent (or over `signed`)."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        call, stamp = uuid.uuid4().hex, str(int(at if at is not None else time.time()))
        mark = f"v1,{signature(key, call, stamp, raw if signed is None else signed)}"
        headers = {
            "webhook-id": call,
            "webhook-timestamp": stamp,
            "webhook-signature": f"{more}{mark}",
        }
        url = f"{self.url}/v1/receipts/{channel}"
        return web.post(url, content=raw, headers=headers, timeout=20)

    def handed_over(
        self, *, channel: str = "bank/sms", provider_id: str | None = None, outcome: bool = True
    ) -> tuple[str, str]:
        """A send that went out; its key and its customer."""
        key, customer = uuid.uuid4().hex, f"c-{uuid.uuid4().hex[:8]}"
        self.write(customer, key, Kind.DISPATCH, channel=channel)
        if outcome:
            self.write(customer, key, Kind.OUTCOME, provider_id=provider_id)
        return key, customer

    def write(
        self,
        customer: str,
        key: str,
        kind: Kind,
        *,
        channel: str = "bank/sms",
        provider_id: str | None = None,
    ) -> None:
        """One row of a send, with what follows from it."""
        body: bodies.Body = bodies.Dispatch(send_key=key, attempt=1, channel=channel)
        if kind is Kind.OUTCOME:
            body = bodies.Outcome(
                send_key=key, attempt=1, result="Accepted", provider_id=provider_id
            )
        with self.connection.transaction():
            epoch = fence.enter_present(self.connection)
            row = LedgerRow(
                new_id(), "local", epoch, kind, key, None, customer, now(), bodies.encode(body)
            )
            record(self.connection, [row])

    def state(self, key: str) -> str | None:
        found = rows(self.pods.dsn, "SELECT receipt FROM wayfare.outbox WHERE send_key = %s", key)
        return found[0][0] if found else None

    def count(self, key: str) -> int:
        query = (
            "SELECT count(*)::int FROM wayfare.ledger "
            "WHERE kind = 'receipt' AND body->>'send_key' = %s"
        )
        return int(rows(self.pods.dsn, query, key)[0][0])


@pytest.fixture(scope="module")
def receipts(pods: Pods, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receipts]:
    folder = tmp_path_factory.mktemp("receipt-secrets")
    (folder / "bank.sms").write_text(f"{spelled(KEYS['sms'])}\n{spelled(KEYS['sms-old'])}\n")
    (folder / "bank.mail").write_text(spelled(KEYS["mail"]))
    (folder / "bank.bad").write_text("whsec_c2hvcnQ=")
    serve = pods.processes.start("serve", WAYFARE_RECEIPT_SECRETS_DIR=str(folder))
    try:
        serve.wait_ready()
        with psycopg.connect(pods.dsn, autocommit=True) as connection:
            yield Receipts(pods, serve.url, connection)
    finally:
        serve.stop()


def test_a_receipt_by_our_key_and_by_the_providers(receipts: Receipts) -> None:
    first, _ = receipts.handed_over()
    second, _ = receipts.handed_over(provider_id="p-" + first)

    answer = receipts.post(
        [
            {"send_key": first, "state": "delivered", "at": "2026-11-20T08:00:00Z"},
            {"provider_id": "p-" + first, "state": "sent", "something": "new"},
        ]
    )

    assert answer.status_code == 200, answer.text
    assert answer.json()["receipts"] == [{"matched": True, "repeat": False}] * 2
    assert (receipts.state(first), receipts.state(second)) == ("delivered", "sent")


def test_late_and_repeated_ones_change_nothing(receipts: Receipts) -> None:
    key, _ = receipts.handed_over()
    for state in ("read", "sent", "delivered"):
        receipts.post({"send_key": key, "state": state})
    again = receipts.post([{"send_key": key, "state": "sent"}, {"send_key": key, "state": "read"}])

    assert again.json()["receipts"] == [{"matched": True, "repeat": True}] * 2
    assert receipts.state(key) == "read"
    assert receipts.count(key) == 3


def test_either_secret_is_taken_while_both_are_there(receipts: Receipts) -> None:
    key, _ = receipts.handed_over()
    assert receipts.post({"send_key": key, "state": "sent"}, key=KEYS["sms-old"]).is_success
    other = f"v1,{base64.b64encode(bytes(32)).decode()} v2,x "
    assert receipts.post({"send_key": key, "state": "read"}, more=other).is_success


def test_what_no_secret_signed_is_refused_in_the_same_words(receipts: Receipts) -> None:
    key, _ = receipts.handed_over()
    body = {"send_key": key, "state": "delivered"}
    forged = [
        receipts.post(body, key=os.urandom(32)),
        receipts.post(body, key=KEYS["mail"]),
        receipts.post(body, signed=b"{}"),
        receipts.post(body, channel="bank/nobody"),
        receipts.post(body, channel="../bank.sms"),
        receipts.post(body, channel="bank.sms"),
    ]
    assert {a.status_code for a in forged} <= {401, 404}
    assert len({a.json()["detail"] for a in forged if a.status_code == 401}) == 1
    unsigned = web.post(f"{receipts.url}/v1/receipts/bank/sms", json=body)
    assert unsigned.status_code == 401
    assert receipts.state(key) is None


@pytest.mark.parametrize("seconds", [-600, 600])
def test_a_call_of_another_time_is_refused(receipts: Receipts, seconds: int) -> None:
    key, _ = receipts.handed_over()
    answer = receipts.post({"send_key": key, "state": "sent"}, at=time.time() + seconds)
    assert (answer.status_code, receipts.count(key)) == (401, 0)


def test_a_provider_speaks_of_its_own_sends_only(receipts: Receipts) -> None:
    key, _ = receipts.handed_over(channel="bank/mail")
    answer = receipts.post({"send_key": key, "state": "bounced"})
    assert answer.json()["receipts"] == [{"matched": False, "repeat": False}]
    assert (receipts.state(key), receipts.count(key)) == (None, 0)


def test_one_that_comes_too_early_is_kept_and_matched_later(receipts: Receipts) -> None:
    name = uuid.uuid4().hex
    key, customer = receipts.handed_over(outcome=False)
    said = {"provider_id": name, "state": "delivered"}
    for _ in range(2):
        answer = receipts.post(said)
        assert answer.json()["receipts"] == [{"matched": False, "repeat": False}]
    kept = "SELECT count(*)::int FROM wayfare.unmatched_receipts WHERE provider_id = %s"
    assert rows(receipts.pods.dsn, kept, name) == [(1,)]

    receipts.write(customer, key, Kind.OUTCOME, provider_id=name)

    until(lambda: receipts.state(key) == "delivered", what="the receipt is matched")
    assert rows(receipts.pods.dsn, kept, name) == [(0,)]
    assert receipts.post(said).json()["receipts"] == [{"matched": True, "repeat": True}]
    assert receipts.count(key) == 1


async def test_older_ones_are_tried_again_when_all_are(receipts: Receipts) -> None:
    key, _ = receipts.handed_over()
    add = (
        "INSERT INTO wayfare.unmatched_receipts "
        "(channel, send_key, state, at, detail, opt_out, came_at) "
        "VALUES ('bank/sms', %s, 'sent', now(), '', false, now() - interval '2 hours')"
    )
    dsn = receipts.pods.dsn
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:

        async def again(since: datetime | None = None) -> int:
            return await match_again(connection, site="local", ids=new_id, now=now(), since=since)

        await again()
        await connection.execute(add, (key,))
        assert await again(since=now() - timedelta(hours=1)) == 0
        assert receipts.state(key) is None
        assert await again() == 1
    assert receipts.state(key) == "sent"


@pytest.mark.parametrize(
    "said", [{"state": "complained"}, {"state": "read", "opt_out": True}, {"state": "failed"}]
)
def test_who_complains_or_opts_out_is_sent_nothing_more(
    receipts: Receipts, said: dict[str, Any]
) -> None:
    key, customer = receipts.handed_over()
    receipts.post({"send_key": key, **said})
    out = rows(
        receipts.pods.dsn,
        "SELECT channel FROM wayfare.opt_outs WHERE out AND customer_id = %s",
        customer,
    )
    assert out == ([] if said["state"] == "failed" else [("bank/sms",)])


def test_a_repeated_complaint_does_not_opt_out_again(receipts: Receipts) -> None:
    key, customer = receipts.handed_over()
    said = {"send_key": key, "state": "complained"}
    receipts.post(said)
    again = Fact(bodies.OptOut(customer=customer, channel="bank/sms", out=False), now())
    write(receipts.connection, [Draft(new_id(), again)], site="local")

    assert receipts.post(said).json()["receipts"] == [{"matched": True, "repeat": True}]
    query = "SELECT out FROM wayfare.opt_outs WHERE customer_id = %s"
    assert rows(receipts.pods.dsn, query, customer) == [(False,)]
    receipts.post(said | {"opt_out": True})
    assert rows(receipts.pods.dsn, query, customer) == [(True,)], "a wish that is said stands"


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "not JSON"),
        ({"state": "sent"}, 422, "name the send"),
        ({"send_key": "k", "state": "eaten"}, 422, "wrong"),
        ({"send_key": "k\x01", "state": "sent"}, 422, "control character"),
        ({"send_key": "k", "state": "sent", "at": "2036-01-01T00:00:00Z"}, 422, "in the future"),
        ([], 422, "wrong"),
        ([{"send_key": "k", "state": "sent"}] * 501, 422, "wrong"),
        (b" " * (1 << 20) + b"{}", 413, "at most"),
    ],
)
def test_a_wrong_body_says_what_and_where(
    receipts: Receipts, body: Any, status: int, says: str
) -> None:
    answer = receipts.post(body)
    assert answer.status_code == status
    assert says in answer.text


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(raw=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_are_an_error_of_ours(receipts: Receipts, raw: bytes) -> None:
    assert receipts.post(raw).status_code in (400, 422)


def test_a_secret_that_cannot_be_used_is_no_open_door(receipts: Receipts, tmp_path: Path) -> None:
    answer = receipts.post({"send_key": "k", "state": "sent"}, channel="bank/bad")
    assert answer.status_code == 503
    assert "c2hvcnQ" not in answer.text
    (tmp_path / "bank.bad").write_text("\nwhsec_c2hvcnQ=")
    with pytest.raises(BadSecret, match=r"line 2.*5 bytes") as told:
        secrets(tmp_path, "bank/bad")
    assert "c2hvcnQ" not in str(told.value)


def test_counts_are_exact_among_repeats_disorder_and_forgeries(receipts: Receipts) -> None:
    """200 sends with 3 states each; of all calls' receipts 10 % come twice, 10 % out of order,
    and 10 % of the calls have a forged one before them."""
    dice = random.Random(7)
    sends = [receipts.handed_over()[0] for _ in range(200)]
    said = [(key, state) for state in ("sent", "delivered", "read") for key in sends]
    said += dice.sample(said, len(said) // 10)
    for _ in range(len(said) // 10):
        one, other = dice.sample(range(len(said)), 2)
        said[one], said[other] = said[other], said[one]
    repeats = 0
    for start in range(0, len(said), 20):
        some = [{"send_key": key, "state": state} for key, state in said[start : start + 20]]
        if dice.random() < 0.1:
            forged = [one | {"state": "complained"} for one in some]
            assert receipts.post(forged, key=os.urandom(32)).status_code == 401
        answer = receipts.post(some)
        repeats += sum(one["repeat"] for one in answer.json()["receipts"])

    assert repeats == len(said) - 3 * len(sends)
    query = (
        "SELECT body->>'state', count(*)::int, count(DISTINCT body->>'send_key')::int "
        "FROM wayfare.ledger WHERE kind = 'receipt' AND body->>'send_key' = ANY(%s) GROUP BY 1"
    )
    found = {state: (n, keys) for state, n, keys in rows(receipts.pods.dsn, query, sends)}
    assert found == dict.fromkeys(("sent", "delivered", "read"), (len(sends), len(sends)))
    assert {receipts.state(key) for key in sends} == {"read"}
