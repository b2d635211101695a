"""`POST /v1/sends` and what comes of it, over real processes: a serving pod, a worker of sends, a
sealer, a channel host and PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.outbox.conftest import in_thread
from tests.servers import web
from tests.servers.channel_host import channel_host
from tests.servers.command import wayfare
from tests.servers.engine import EngineProcesses, engine_processes
from tests.servers.ports import free_port
from tests.servers.postgresql import PostgresqlServer, rows
from tests.servers.receivers import boottime
from tests.servers.wait import until
from wayfare_engine.clock import new_id, now
from wayfare_engine.content import MessageTemplate, Renderer, Variables, compile_template
from wayfare_engine.customers.lookup import CustomerLookup
from wayfare_engine.identity import Scope
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.lease.guard import Guard
from wayfare_engine.objectstore import open_store
from wayfare_engine.outbox import Channel, HttpHost, Key, Origin, SendWorker
from wayfare_engine.outbox.checks import Later
from wayfare_engine.store.blob_cache import BlobCache

NAMES = ("name", "phone")
TEXT = "Hello {{ customer.name }}: {{ content.title|default('news') }}"
SPEC = {
    "bank/sms": {"parts": {"text": TEXT, "html": "<b>{{ customer.name }}</b>"}, "address": "phone"},
    "bank/hook": {},
}
CSV = b"id,name,phone\nanna,Anna <3,+100\nbob,,+200\n"


@dataclass
class Site:
    """A serving pod with two channels, and a place for a worker of sends."""

    processes: EngineProcesses
    url: str
    folder: Path
    effects: Path
    host_url: str
    quiet: list[datetime] = field(default_factory=list)

    @property
    def client(self) -> httpx.Client:
        key = f"Bearer {self.key_file.read_text()}"
        return httpx.Client(base_url=self.url, headers={"Authorization": key}, timeout=20)

    @property
    def key_file(self) -> Path:
        return self.folder / "key"

    def post(self, *sends: dict[str, Any], single: bool = False) -> httpx.Response:
        with self.client as client:
            return client.post("/v1/sends", json=sends[0] if single else list(sends))

    def get(self, key: str) -> dict[str, Any]:
        with self.client as client:
            answer = client.get(f"/v1/sends/{key}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def planned(self, **changes: Any) -> str:
        answer = self.post(asked(**changes))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["sends"][0]["send_key"])

    def took(self) -> list[dict[str, Any]]:
        lines = self.effects.read_text().splitlines() if self.effects.exists() else []
        return [json.loads(line)["what"] for line in lines]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return wayfare("channel", *words)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run(*words, "--url", self.url, "--api-key-file", str(self.key_file))


def asked(**changes: Any) -> dict[str, Any]:
    """A send of a key of its own."""
    given = {"channel": "bank/sms", "customer_id": "anna", "key": uuid.uuid4().hex}
    return given | {"content": {"title": "hi"}} | changes


@pytest.fixture(scope="module")
def site(
    other_postgresql: PostgresqlServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("sends")
    dsn, port = other_postgresql.database(), free_port()
    config = folder / "sink.json"
    config.write_text(json.dumps({"file": str(folder / "effects")}))
    words = ("--plugin", "sink", "--config", str(config))
    with engine_processes(dsn) as processes, channel_host(folder / "host", *words) as host:
        (folder / "customers.csv").write_bytes(CSV)
        done = processes.run(
            "import",
            "customers",
            str(folder / "customers.csv"),
            "--id",
            "id",
            "--type",
            "phone=string",
        )
        assert done.returncode == 0, done.stderr.decode()
        (folder / "key").write_text(processes.key())
        serving = {
            **processes._environment,
            "SERVE_PORT": str(port),
            "SERVE_CHANNELS": json.dumps(SPEC),
            "SERVE_ATTRIBUTES": json.dumps(NAMES),
        }
        log = (folder / "serve.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.serve_with_channels"],
            env=serving,
            stdout=log,
            stderr=log,
        )
        made = Site(processes, f"http://127.0.0.1:{port}", folder, folder / "effects", host.url)
        try:

            def ready() -> bool:
                assert process.poll() is None, (folder / "serve.log").read_text()[-2000:]
                return made.client.get("/v1/sends/x").status_code == 404

            until(
                ready,
                what="the pod",
                ignoring=(httpx.TransportError,),
                seconds=60,
            )
            yield made
        finally:
            process.terminate()
            process.wait(20)
            log.close()


@pytest.fixture
def sending(site: Site) -> Iterator[Site]:
    """With a worker that takes turns, and the journal behind it."""
    dsn = site.processes.dsn
    guard = Guard()
    guard.extend(boottime() + 3600)
    host = HttpHost(site.host_url, boottime=boottime, connect_seconds=0.5)
    variables = Variables(NAMES)
    parts = {"text": compile_template(TEXT, variables)}
    template = MessageTemplate(parts | {"html": compile_template("x", variables, html=True)})
    connection = psycopg.connect(dsn, autocommit=True)
    lock = threading.Lock()

    class Held:
        def __enter__(self) -> psycopg.Connection[Any]:
            lock.acquire()
            return connection

        def __exit__(self, *_: object) -> None:
            lock.release()

    lookup = CustomerLookup(Held, None, NAMES, keys=lambda _: None, cache=BlobCache())
    renderer = Renderer(template, "phone", lookup)

    def quiet(_: Any, sends: Any, at: datetime) -> dict[str, Later]:
        return {s.send_key: Later(end, "quiet hours") for s in sends for end in site.quiet}

    worker = SendWorker(
        dsn,
        Origin("east", 1, new_id, now),
        channels={
            "bank/sms": Channel("bank/sms", host, Key(3600.0), prepare=renderer.prepare),
            "bank/hook": Channel("bank/hook", host, Key(3600.0)),
        },
        guard=guard,
        window=2.0,
        boottime=boottime,
        checks=(quiet,),
    )
    store = open_store(f"file://{site.folder}/store")
    sealer = Sealer(dsn, store, plan="test", site="east", clock=now, seconds=0.02)
    with in_thread(sealer.run), in_thread(worker.run):
        yield site
    site.quiet.clear()
    connection.close()


def test_a_send_is_planned_once_by_the_callers_key(site: Site) -> None:
    send = asked(channel="bank/hook", due=(now() + timedelta(days=1)).isoformat())
    first = site.post(send, send | {"content": {"title": "other"}}).json()["sends"]
    again = site.post(send, single=True).json()["sends"]
    assert [one["new"] for one in (*first, *again)] == [True, False, False]
    assert len({one["send_key"] for one in (*first, *again)}) == 1
    payload = "SELECT payload::text FROM wayfare.outbox WHERE send_key = %s"
    with psycopg.connect(site.processes.dsn) as connection:
        found = connection.execute(payload, (first[0]["send_key"],)).fetchall()
    assert [json.loads(text) for (text,) in found] == [{"title": "hi"}], "what was said first"


def test_calls_at_once_plan_a_key_once(site: Site) -> None:
    later = (now() + timedelta(days=1)).isoformat()
    sends = [asked(due=later) for _ in range(20)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: site.post(*sends[:: 1 if n % 2 else -1]), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    told = [one for answer in answers for one in answer.json()["sends"]]
    assert sum(one["new"] for one in told) == len(sends)
    keys = {one["send_key"] for one in told}
    count = "SELECT count(*) FROM wayfare.ledger WHERE kind = 'intent' AND body->>'send_key' = '{}'"
    for key in sorted(keys)[:3]:
        assert rows(site.processes.dsn, count.format(key)) == [(1,)]


@pytest.mark.parametrize(
    ("changes", "path", "said"),
    [
        ({"channel": "bank/smss"}, "$[0].channel", "there are: bank/hook, bank/sms"),
        ({"customer_id": "a\u0000b"}, "$[0].customer_id", "control character"),
        ({"key": ""}, "$[0].key", "length >= 1"),
        ({"content": [1]}, "$[0].content", "Expected `object`"),
        ({"content": {"a": "x" * 20_000}}, "$[0].content", "16384 bytes"),
        ({"due": "1969-01-01T00:00:00Z"}, "$[0].due", "1970"),
        ({"due": "2026-01-01T00:00:00"}, "$[0].due", "timezone"),
        ({"expires_after": "soon"}, "$[0].expires_after", "not a duration"),
        ({"expires_after": "1h", "expires": "2099-01-01T00:00:00Z"}, "$[0].expires_after", "both"),
        ({"expires": "2020-01-01T00:00:00Z"}, "$[0].expires", "is over"),
        ({"address": "+1"}, "$[0].address", "only a test"),
        ({"node": "x"}, "$[0]", "unknown field"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    site: Site, changes: dict[str, Any], path: str, said: str
) -> None:
    answer = site.post(asked(**changes))
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert error["path"] == path
    assert said in error["message"]


def test_no_more_than_a_thousand_and_not_without_the_right(site: Site) -> None:
    later = (now() + timedelta(days=1)).isoformat()
    many = [asked(due=later) for _ in range(1001)]
    assert site.post(*many).status_code == 422
    answer = site.post(*many[:1000])
    assert sum(one["new"] for one in answer.json()["sends"]) == 1000
    other = {"Authorization": f"Bearer {site.processes.key(Scope.DECIDE)}"}
    for method, path in (("POST", "/v1/sends"), ("GET", "/v1/sends/x"), ("POST", "/v1/preview")):

        def told(method: str = method, path: str = path) -> bool:
            return web.request(method, site.url + path, headers=other).status_code == 403

        until(told, what=f"403 at {path}")
        assert web.request(method, site.url + path).status_code == 401


def test_a_send_goes_the_whole_way_and_says_where_it_stands(sending: Site) -> None:
    key = sending.planned()
    until(lambda: sending.get(key)["state"] == "accepted", what="the outcome")
    told = sending.get(key)
    assert (told["customer"], told["channel"], told["outcome"]) == ("anna", "bank/sms", "Accepted")
    assert told["provider_id"].startswith("sink-")
    [what] = [one for one in sending.took() if one["send_key"] == key]
    assert what["payload"]["text"] == "Hello Anna <3: hi"
    assert what["address"] == "+100"


def test_why_it_was_not_sent_has_an_answer(sending: Site) -> None:
    due = now() + timedelta(days=1)
    later = sending.get(sending.planned(due=due.isoformat()))
    assert (later["state"], later["why"]) == ("planned", f"it is due at {due:%Y-%m-%dT%H:%M:%SZ}")
    nameless = sending.planned(customer_id="bob")
    until(lambda: sending.get(nameless)["state"] == "rejected", what="the outcome")
    assert "customer.name has no value" in sending.get(nameless)["why"]
    sending.quiet.append(datetime(2099, 1, 1, tzinfo=UTC))
    held = sending.planned(customer_id="carla")
    until(lambda: sending.get(held)["state"] == "held", what="the hold")
    told = sending.get(held)
    assert told["why"] == "it is held back until 2099-01-01T00:00:00Z: quiet hours"
    assert told["until"].startswith("2099-01-01")
    missing = web.get(
        f"{sending.url}/v1/sends/none", headers=dict(sending.client.headers), timeout=5
    )
    assert missing.status_code == 404
    assert "there is no send 'none'" in missing.json()["detail"]


def test_the_command_sends_a_test_the_whole_way(sending: Site) -> None:
    words = ("test", "bank/sms", "--to", "+999", "--customer", "anna", "--json")
    done = sending.command(*words, "--content", '{"title": "a test"}')
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ok"]
    assert told["send"]["test"]
    assert told["steps"][-1]["state"] == "accepted"
    [what] = [one for one in sending.took() if one["send_key"] == told["send"]["send_key"]]
    assert (what["address"], what["test"]) == ("+999", True)
    assert what["payload"]["text"] == "Hello Anna <3: a test"


def test_the_command_says_why_a_test_did_not_leave(sending: Site) -> None:
    done = sending.command("test", "bank/sms", "--to", "+999")
    assert done.returncode == 1
    assert "rejected" in done.stdout
    assert "customer.name has no value" in done.stdout
    sending.quiet.append(datetime(2099, 1, 1, tzinfo=UTC))
    held = sending.command("test", "bank/hook", "--to", "+999", "--timeout", "2")
    assert held.returncode == 1
    assert "held" in held.stdout
    assert "quiet hours" in held.stdout


def test_the_command_needs_a_channel_a_key_and_an_engine(site: Site) -> None:
    unknown = site.command("test", "bank/smss", "--to", "+1")
    assert unknown.returncode == 1
    assert "there is no channel 'bank/smss'; there are: bank/hook, bank/sms" in unknown.stderr
    no_key = site.run("test", "bank/sms", "--to", "+1", "--url", site.url, "--api-key-file", "/no")
    assert (no_key.returncode, "No such file" in no_key.stderr) == (3, True)
    nobody = site.run("test", "bank/sms", "--to", "+1", "--url", "http://127.0.0.1:1")
    assert (nobody.returncode, "cannot be reached" in nobody.stderr) == (1, True)
    content = site.command("test", "bank/sms", "--to", "+1", "--content", "hello")
    assert (content.returncode, "JSON object" in content.stderr) == (2, True)
    for done in (unknown, no_key, nobody, content):
        assert "Traceback" not in done.stderr


def test_the_command_previews_and_nothing_leaves(site: Site) -> None:
    before = site.took()
    words = ("preview", "bank/sms", "--customer", "anna", "--content", '{"title": "<x>"}')
    shown = site.command(*words)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == "--- text\nHello Anna <3: <x>\n--- html\n<b>Anna &lt;3</b>\n"
    by_host = site.command(*words, "--json", "--host", site.host_url)
    assert json.loads(by_host.stdout)["parts"]["text"] == "Hello Anna <3: <x>"
    bob = site.command("preview", "bank/sms", "--customer", "bob", "--json")
    assert bob.returncode == 1
    assert json.loads(bob.stdout)["problem"] == "text: customer.name has no value"
    nobody = site.command("preview", "bank/sms", "--customer", "nobody")
    assert "the customer is not known, or was erased" in nobody.stderr
    plain = site.command("preview", "bank/hook", "--customer", "nobody", "--content", '{"n": [1]}')
    assert plain.stdout == "--- n\n[1]\n"
    assert site.took() == before
