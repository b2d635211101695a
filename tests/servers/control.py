"""A stand-in for engine workers: the control API alone, in memory, over real HTTP.

For what no worker has to do for real: bars on the operator's memory and requests, and
acknowledgements that a test wants to hold back. Tests of what is served use a real worker.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers.ports import free_port

PROBE_KEY = f"wf_{'0' * 16}_{'a' * 43}"


@dataclass
class EngineState:
    """What one pretended worker knows."""

    plans: dict[str, bytes] = field(default_factory=dict)
    wanted: str | None = None
    acknowledgements: list[dict[str, Any]] | None = None
    """None: every pod in `pods` acknowledges whatever is wanted."""
    pods: list[str] = field(default_factory=list)
    attributes: list[dict[str, str]] = field(default_factory=list)
    computed: bool = True
    channels: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By `namespace/name`: what replaces the fields of a channel with which all is well."""
    published: list[str] = field(default_factory=list)
    asked: int = 0
    """How often status was asked for."""


class ControlApi:
    """Many engines' control APIs at one port: `http://host:port/NAMESPACE/NAME/control/v1/…`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.engines: dict[tuple[str, str], EngineState] = {}
        self.available = True
        self.lock = threading.Lock()

    @property
    def template(self) -> str:
        """For the operator's WAYFARE_CONTROL_URL_TEMPLATE."""
        return f"http://127.0.0.1:{self.port}/{{namespace}}/{{name}}"

    def engine(self, namespace: str, name: str) -> EngineState:
        """One engine's state, made when asked for first."""
        with self.lock:
            return self.engines.setdefault((namespace, name), EngineState())

    def status(self, state: EngineState) -> dict[str, Any]:
        """The body of GET status."""
        empty: dict[str, Any] = {"segments": [], "channels": {}}
        plan = json.loads(state.plans[state.wanted]) if state.wanted else empty
        acknowledgements = state.acknowledgements
        if acknowledgements is None:
            acknowledgements = [
                {"pod": uid, "podUid": uid, "plan": state.wanted, "ageSeconds": 1.0}
                for uid in state.pods
                if state.wanted
            ]
        segments = [
            {
                "name": each["name"],
                "key": each["key"],
                "size": 7,
                "asOf": "2026-01-01T00:00:00Z",
                "digest": "sha256:" + hashlib.sha256(each["key"].encode()).hexdigest(),
                "durationSeconds": 0.01,
                "error": None,
            }
            for each in plan["segments"]
            if state.computed
        ]
        return {
            "wantedPlan": state.wanted,
            "schema": {"attributes": state.attributes},
            "customers": 10,
            "acknowledgements": acknowledgements,
            "segments": segments,
            "channels": [
                {
                    "name": name,
                    "specs": [each["digest"]],
                    "problem": None,
                    "breaker": {"state": "Closed", "since": "2026-01-01T00:00:00Z", "why": ""},
                    "plugin": {"name": "sink", "version": "1", "deduplication": "Key"},
                    "waiting": 0,
                    "inFlight": 0,
                    "unknown": 0,
                    "acceptedPerMinute": 0.0,
                    "failedPerMinute": 0.0,
                    **state.channels.get(name, {}),
                }
                for name, each in plan["channels"].items()
            ],
            "stores": {
                "postgresql": {"ok": True, "version": "18", "error": None},
                "valkey": {"ok": True, "error": None},
            },
            "schemaRevision": "1",
        }


def _handler(api: ControlApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

        def _answer(self, code: int, body: bytes = b"") -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _state(self) -> tuple[EngineState, str]:
            _, namespace, name, rest = self.path.split("/", 3)
            return api.engine(namespace, name), rest

        def do_GET(self) -> None:
            state, rest = self._state()
            if not api.available:
                self._answer(503)
            elif rest == "control/v1/status":
                self._answer(200, json.dumps(api.status(state)).encode())
                state.asked += 1
            elif state.wanted is None:
                self._answer(404)
            else:
                self._answer(200, state.plans[state.wanted])

        def do_POST(self) -> None:
            """A key to probe with; who checks keys is not here."""
            if api.available and self.path.endswith("/control/v1/probe-keys"):
                self._answer(201, json.dumps({"key": PROBE_KEY}).encode())
            else:
                self._answer(503 if not api.available else 404)

        def do_PUT(self) -> None:
            state, rest = self._state()
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            digest = rest.rsplit("/", 1)[1]
            if not api.available:
                self._answer(503)
            elif "sha256:" + hashlib.sha256(body).hexdigest() != digest:
                self._answer(422, b'{"detail": "the digest does not match"}')
            else:
                state.plans = {digest: body}
                state.wanted = digest
                state.published.append(digest)
                self._answer(204)

    return Handler


@contextlib.contextmanager
def control_api() -> Iterator[ControlApi]:
    """A running stand-in."""
    api = ControlApi(free_port())
    server = ThreadingHTTPServer(("127.0.0.1", api.port), _handler(api))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
