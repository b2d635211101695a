"""`POST /v1/callbacks/{channel}`: a provider's own call, read by a real host of the plugin, at a
serving pod that decides all the while."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import psycopg
import pytest

from tests.engine.conftest import Pods
from tests.engine.test_receipts import Receipts
from tests.servers import web
from tests.servers.channel_host import channel_host
from tests.servers.ports import free_port
from tests.servers.postgresql import rows
from tests.servers.wait import until
from wayfare_engine.channels.plugins.signing import signatures

KEY = os.urandom(32)
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


@dataclass
class OwnHost:
    """A host that is no Python plugin: it answers what the test says, and keeps what it was asked.
    While `open` is not set it does not answer at all."""

    url: str = ""
    status: int = 200
    answer: bytes = b"[]"
    asked: list[dict[str, Any]] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)


@contextmanager
def own_host() -> Iterator[OwnHost]:
    host = OwnHost()
    host.open.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            host.asked.append(json.loads(body))
            host.open.wait(60)
            self.send_response(host.status)
            self.send_header("content-length", str(len(host.answer)))
            self.end_headers()
            self.wfile.write(host.answer)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Whoever hung up."""

    server = Server(("127.0.0.1", 0), Handler)
    host.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield host
    finally:
        host.open.set()
        server.shutdown()
        server.server_close()


@contextmanager
def closing_gate(host: OwnHost) -> Iterator[None]:
    """Whatever happens, the host answers at the end: threads wait for it."""
    try:
        yield
    finally:
        host.open.set()


@dataclass
class Calls(Receipts):
    """The same as for signed receipts, and a host whose answers the test says."""

    own: OwnHost = field(default_factory=OwnHost)

    def call(self, body: Any, *, channel: str = "bank/hook", key: bytes = KEY) -> httpx.Response:
        """A call of the webhook's receiver."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        name, stamp = uuid.uuid4().hex, int(time.time())
        headers = {
            "Webhook-Id": name,
            "Webhook-Timestamp": str(stamp),
            "Webhook-Signature": signatures([key], name, stamp, raw),
        }
        url = f"{self.url}/v1/callbacks/{channel}"
        return web.post(url, content=raw, headers=headers, timeout=20)


@pytest.fixture(scope="module")
def calls(pods: Pods, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calls]:
    folder = tmp_path_factory.mktemp("callbacks")
    config, secrets = folder / "hook.json", folder / "secrets"
    secrets.mkdir()
    config.write_text('{"url": "http://127.0.0.1:1/in", "unsigned": true}')
    (secrets / "receipts-1").write_text(SECRET)
    words = ("--plugin", "webhook", "--config", str(config), "--secrets-dir", str(secrets))
    with (
        channel_host(folder / "hook", *words) as hook,
        channel_host(folder / "sink", "--plugin", "sink") as sink,
        own_host() as own,
        psycopg.connect(pods.dsn, autocommit=True) as connection,
    ):
        hosts = {
            "bank/hook": hook.url,
            "bank/sink": sink.url,
            "bank/own": own.url,
            "bank/away": f"http://127.0.0.1:{free_port()}",
        }
        serve = pods.processes.start(
            "serve", WAYFARE_CHANNEL_HOSTS=json.dumps(hosts), WAYFARE_CALLBACK_SECONDS="60"
        )
        try:
            serve.wait_ready()
            yield Calls(pods, serve.url, connection, own)
        finally:
            serve.stop()


@pytest.fixture
def own(calls: Calls) -> OwnHost:
    calls.own.status, calls.own.answer = 200, b"[]"
    calls.own.asked.clear()
    calls.own.open.set()
    return calls.own


def test_a_call_that_the_plugin_proves_is_as_signed_receipts(calls: Calls) -> None:
    key, _ = calls.handed_over(channel="bank/hook")
    other, _ = calls.handed_over(channel="bank/hook", provider_id=f"m-{key}")
    said = [
        {"state": "delivered", "send_key": key, "at": "2026-11-20T08:00:00Z"},
        {"state": "read", "provider_id": f"m-{key}"},
        {"state": "sent", "provider_id": uuid.uuid4().hex},
    ]
    answer = calls.call(said)
    assert answer.status_code == 200, answer.text
    assert [one["matched"] for one in answer.json()["receipts"]] == [True, True, False]
    assert (calls.state(key), calls.state(other)) == ("delivered", "read")
    assert calls.call(said[0]).json()["receipts"] == [{"matched": True, "repeat": True}]
    assert calls.count(key) == 1
    kept = "SELECT count(*)::int FROM wayfare.unmatched_receipts WHERE provider_id = %s"
    assert rows(calls.pods.dsn, kept, said[2]["provider_id"]) == [(1,)]


@pytest.mark.parametrize("said", [{"state": "complained"}, {"state": "read", "opt_out": True}])
def test_a_call_opts_out(calls: Calls, said: dict[str, Any]) -> None:
    key, customer = calls.handed_over(channel="bank/hook")
    calls.call({"send_key": key, **said})
    query = "SELECT channel, out FROM wayfare.opt_outs WHERE customer_id = %s"
    assert rows(calls.pods.dsn, query, customer) == [("bank/hook", True)]


def test_strangers_and_channels_without_receipts_are_refused_in_the_same_words(
    calls: Calls,
) -> None:
    key, _ = calls.handed_over(channel="bank/hook")
    body = {"send_key": key, "state": "delivered"}
    refused = [
        calls.call(body, key=os.urandom(32)),
        calls.call(b"{"),
        calls.call({"state": "eaten", "send_key": key}),
        calls.call(body, channel="bank/sink"),
        calls.call(body, channel="bank/nobody"),
        calls.call(body, channel="nobody"),
        calls.call(body, channel="../bank/hook/x"),
        web.get(f"{calls.url}/v1/callbacks/bank/hook"),
    ]
    assert {one.status_code for one in refused if one.status_code != 404} == {401}
    assert sum(one.status_code == 404 for one in refused) <= 1, "a path that leaves ours"
    assert len({one.text for one in refused if one.status_code == 401}) == 1
    assert calls.state(key) is None


def test_a_plugin_gets_the_whole_call_and_nobodys_credentials(calls: Calls, own: OwnHost) -> None:
    url = f"{calls.url}/v1/callbacks/bank/own"
    headers = [
        ("X-Signature", "s1"),
        ("X-Signature", "s2"),
        ("Authorization", "Bearer wf_x"),
        ("Cookie", "session=1"),
        ("X-API-Key", "wf_x"),
    ]
    web.post(url, params={"id": "m-1", "to": "é"}, content="état=ok".encode(), headers=headers)
    web.get(url, params={"id": "m-2"})
    first, second = own.asked
    assert (first["query"], first["body"]) == ({"id": "m-1", "to": "é"}, "état=ok")
    assert first["headers"]["x-signature"] == "s1, s2"
    assert not {"authorization", "cookie", "x-api-key"} & first["headers"].keys()
    assert (second["query"], second.get("body", "")) == ({"id": "m-2"}, "")


def test_receipts_that_a_plugin_gets_wrong_do_not_keep_the_others_out(
    calls: Calls, own: OwnHost
) -> None:
    key, _ = calls.handed_over(channel="bank/own")
    good = {"state": "sent", "at": "2026-11-20T08:00:00Z", "send_key": key}
    wrong = [good | {"at": "2099-01-01T00:00:00Z"}, {"state": "sent", "at": good["at"]}]
    own.answer = json.dumps([*wrong, good]).encode()
    answer = web.post(f"{calls.url}/v1/callbacks/bank/own")
    assert answer.json()["receipts"] == [{"matched": True, "repeat": False}]


@pytest.mark.parametrize(
    ("status", "answer"),
    [(500, b""), (503, b""), (200, b"no list"), (302, b""), (200, b"[" + b" " * (1 << 20) + b"]")],
)
def test_a_host_that_cannot_say_is_asked_again(
    calls: Calls, own: OwnHost, status: int, answer: bytes
) -> None:
    own.status, own.answer = status, answer
    told = web.post(f"{calls.url}/v1/callbacks/bank/own")
    assert (told.status_code, told.headers["retry-after"]) == (503, "5")
    assert calls.call({}, channel="bank/away").status_code == 503


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b" " * (128 * 1024 + 1), {}, 413),
        (b"\xff\xfe", {}, 400),
        (b"", {"x-long": "x" * (33 * 1024)}, 400),
        (b"\x01" * (128 * 1024), {}, 200),
    ],
)
def test_a_call_has_limits(
    calls: Calls, own: OwnHost, body: bytes, headers: dict[str, str], status: int
) -> None:
    url = f"{calls.url}/v1/callbacks/bank/own"
    assert web.post(url, content=body, headers=headers).status_code == status
    assert len(own.asked) == (status == 200)


def test_a_host_that_hangs_holds_up_neither_decisions_nor_other_channels(
    calls: Calls, own: OwnHost
) -> None:
    key, _ = calls.handed_over(channel="bank/hook")
    url = f"{calls.url}/v1/callbacks/bank/own"
    token = calls.pods.client.headers["Authorization"]
    asked = {"customer": "anna", "slot": "home-banner", "context": {}}
    own.open.clear()
    with ThreadPoolExecutor(40) as pool, closing_gate(own):
        waiting = [pool.submit(httpx.post, url, timeout=90) for _ in range(40)]
        until(
            lambda: sum(one.done() for one in waiting) == 36,
            what="all but the few that wait for the host are sent away while it still hangs",
        )
        assert {one.result().status_code for one in waiting if one.done()} == {503}
        assert calls.call({"send_key": key, "state": "sent"}).status_code == 200
        decided = [
            web.post(
                f"{calls.url}/v1/decisions", json=asked, headers={"Authorization": token}
            ).status_code
            for _ in range(20)
        ]
        assert sum(one.done() for one in waiting) == 36, "the host still hangs"
        own.open.set()
        answers = [one.result() for one in waiting]
    assert set(decided) == {200}
    assert sorted(one.status_code for one in answers) == [200] * 4 + [503] * 36
    assert len(own.asked) == 4
