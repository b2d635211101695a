"""Service: real serving pods, a worker and channel hosts; and requests of a user's own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.checks.making import (
    assert_failed,
    assert_passed,
    assert_unknown,
    look,
    looking,
)
from tests.engine.plans import CUSTOMERS, write_customers
from tests.engine.test_sending import plan_channel, plan_of
from tests.servers import web
from tests.servers.channel_host import HostProcess, channel_host
from tests.servers.emptying import empty
from tests.servers.engine import EngineProcess, EngineProcesses, engine_processes
from tests.servers.receivers import running_receivers
from tests.servers.wait import until
from wayfare_engine.recovery.checks import EngineAt, Objectives, custom_http
from wayfare_engine.resources.recovery_checks import CustomCheck


@dataclass
class Serving:
    """A worker and a serving pod over `west`, and two sinks."""

    dsn: str
    processes: EngineProcesses
    worker: EngineProcess
    serve: EngineProcess
    sinks: list[HostProcess]
    effects: Path
    key: str

    @property
    def engine(self) -> EngineAt:
        return EngineAt((self.serve.url,), self.key)

    def publish(self, **hosts: str) -> None:
        """Serve a plan with these channels."""
        plan = plan_of(*(plan_channel(name, url) for name, url in hosts.items()))
        assert self.processes.publish(self.worker, plan).status_code == 204
        until(
            lambda: web.get(self.serve.url + "/readyz").json().get("plan") == plan.digest,
            what="the plan is served",
        )


@pytest.fixture(scope="module")
def serving(
    databases: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    dsn, folder = databases[1], tmp_path_factory.mktemp("serving")
    empty(dsn)
    effects = folder / "effects"
    config = folder / "config.json"
    config.write_text(json.dumps({"file": str(effects)}))
    environment = {
        "WAYFARE_OBJECT_STORE_URL": f"file://{folder}/store",
        "WAYFARE_LEASE_TAKE_FIRST": "true",
        "WAYFARE_SEAL_SECONDS": "0.1",
    }
    with ExitStack() as stack:
        sinks = [
            stack.enter_context(
                channel_host(folder / name, "--plugin", "sink", "--config", str(config))
            )
            for name in ("one",)
        ]
        processes = stack.enter_context(engine_processes(dsn))
        processes._environment |= environment
        worker, serve = processes.start("worker"), processes.start("serve")
        worker.wait_ready()
        file = write_customers(folder / "customers.csv", CUSTOMERS)
        done = processes.run(
            "import", "customers", str(file), "--id", "id", "--type", "balance=double"
        )
        assert done.returncode == 0, done.stderr.decode()
        made = Serving(dsn, processes, worker, serve, sinks, effects, processes.key())
        made.publish(sms=sinks[0].url)
        yield made


# --- Readiness


def test_a_ready_pod_passes_and_one_that_is_not_there_fails(serving: Serving) -> None:
    serving.publish(sms=serving.sinks[0].url)
    until(
        lambda: web.get(serving.serve.url + "/readyz?stores=required").status_code == 200,
        what="the stores are seen",
    )
    assert_passed(look("Readiness", engine=serving.engine))
    other = serving.processes.start("serve")
    other.wait_ready()
    both = EngineAt((serving.serve.url, other.url), serving.key)
    until(
        lambda: web.get(other.url + "/readyz?stores=required").status_code == 200,
        what="the stores are seen",
    )
    assert look("Readiness", engine=both).figures == {"pods": 2, "ready": 2, "plans": 1}
    other.kill()
    result = look("Readiness", engine=both)
    assert_failed(result, f"127.0.0.1:{other.port}")
    assert result.figures["ready"] == 1
    assert_unknown(look("Readiness"), "the address of a serving pod was not given")


# --- Latency


def test_latency_is_held_against_the_objective(serving: Serving) -> None:
    result = look("Latency", engine=serving.engine, objectives=Objectives(latency_ms=60_000))
    assert_passed(result)
    assert result.figures["requests"] == 100

    def slow(handler: BaseHTTPRequestHandler) -> None:
        """What a pod answers, no sooner than 20 ms later."""
        handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        time.sleep(0.02)
        _said(handler, 404, b"{}")

    with answering(slow) as url:
        late = look("Latency", engine=EngineAt((url,)), objectives=Objectives(latency_ms=19))
    assert_failed(late, "19 ms are the objective")
    assert_unknown(look("Latency", engine=EngineAt((serving.serve.url,), "wrong")), "401")


# --- ChannelsTested


def test_tests_go_the_whole_way_into_a_sink(serving: Serving) -> None:
    serving.publish(sms=serving.sinks[0].url, mail=serving.sinks[0].url)
    before = _lines(serving.effects)
    result = look("ChannelsTested", dsn=serving.dsn, engine=serving.engine)
    assert_passed(result)
    assert (result.figures["tested"], result.figures["accepted"]) == (2, 2)
    new = [json.loads(line)["what"] for line in _lines(serving.effects)[len(before) :]]
    assert sorted(what["channel"] for what in new) == ["default/mail", "default/sms"]
    assert all(what["test"] for what in new)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_nothing_is_sent_where_one_channel_leads_outside(serving: Serving, tmp_path: Path) -> None:
    with running_receivers(tmp_path, limit=2.0) as outside:
        serving.publish(sms=serving.sinks[0].url, mail=outside["Key"].url)
        before = _lines(serving.effects)
        result = look("ChannelsTested", dsn=serving.dsn, engine=serving.engine)
        assert_unknown(result, "nothing was sent", "default/mail")
        assert not outside["Key"].effects()
        assert _lines(serving.effects) == before


def test_a_sink_that_does_not_take_its_test_fails(serving: Serving, tmp_path: Path) -> None:
    """It says that it is a sink, and refuses every send for good."""
    with answering(_refusing_sink) as url:
        # A name of its own: where only a host changes, the worker may still use the one before.
        serving.publish(sms=serving.sinks[0].url, letters=url)
        result = look("ChannelsTested", dsn=serving.dsn, engine=serving.engine)
    assert_failed(result, "default/letters: rejected")
    assert (result.figures["tested"], result.figures["accepted"]) == (2, 1)


# --- a user's own


@contextmanager
def answering(answer: Any) -> Iterator[str]:
    """A server at which `answer(handler)` answers everything; its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _said(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.send_header("Wayfare-Clock", str(time.clock_gettime(time.CLOCK_BOOTTIME)))
    handler.end_headers()
    handler.wfile.write(body)


def _refusing_sink(handler: BaseHTTPRequestHandler) -> None:
    handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    if handler.path == "/v1/describe":
        says = {"contract": "v1", "plugin": "sink", "version": "1", "dedupe": {"by": "None"}}
        _said(handler, 200, json.dumps(says).encode())
    elif handler.path == "/v1/send":
        _said(handler, 422, b'{"result":"Rejected","detail":"never"}')
    else:
        _said(handler, 200, b"{}")


def own(url: str, **http: Any) -> Any:
    """What a custom HTTP check answers."""
    given = {"name": "core-banking", "level": "Business", "http": {"url": url, **http}}
    return custom_http(CustomCheck.model_validate(given)).look(looking())


def test_a_request_of_a_users_own_passes_as_expected() -> None:
    with answering(lambda h: _said(h, 200, b'{"state": "open"}')) as url:
        result = own(f"{url}/health?token=secret")
        assert_passed(result)
        assert "secret" not in result.message
        assert_passed(own(url, contains='"open"'))
        assert_failed(own(url, contains='"closed"'), "does not contain")
        assert_failed(own(url, status=204), "answered 200, not 204")
    with answering(lambda h: _said(h, 503, b"")) as url:
        assert_passed(own(url, status=503))


def test_a_field_of_a_json_answer_has_to_be_what_is_expected() -> None:
    body = {"state": {"core": "open"}, "nodes": [{"lag": 3}, {"up": True}]}
    with answering(lambda h: _said(h, 200, json.dumps(body).encode())) as url:
        for path, equals in (("state.core", "open"), ("nodes.0.lag", "3"), ("nodes.1.up", "true")):
            assert_passed(own(url, field={"path": path, "equals": equals}))
        assert_failed(own(url, field={"path": "state.core", "equals": "closed"}), "is not 'closed'")
        for path in ("state.other", "nodes.2", "state.core.x"):
            assert_failed(own(url, field={"path": path, "equals": "x"}), "has no field")
    with answering(lambda h: _said(h, 200, b"<html>")) as url:
        assert_failed(own(url, field={"path": "a", "equals": "b"}), "is no JSON")


def test_what_does_not_answer_or_answers_too_much_has_failed() -> None:
    done = threading.Event()

    def dripping(handler: BaseHTTPRequestHandler) -> None:
        """A byte now and then: no single read takes long."""
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        while not done.wait(0.05):
            try:
                handler.wfile.write(b"x")
            except OSError:
                return

    with answering(dripping) as url:
        result = own(url, timeout="300ms")
        done.set()
    assert_failed(result, "0.3 s")
    assert_failed(own(url, timeout="1s"))  # nobody listens any more
    with answering(lambda h: _said(h, 200, b"x" * 65_537)) as url:
        assert_failed(own(url), "more than 65,536 bytes")
