"""A channel host of its own making, with the standard library alone; and what can be wrong in one.

Without a flaw it keeps the contract: any program may be a host.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

STATUS = {"Accepted": 200, "Rejected": 422, "NotAccepted": 503, "Late": 408}
FIELDS = {"send_key": str, "customer": str, "channel": str, "site": str, "epoch": int}
FIELDS |= {"attempt": int, "clock": str, "payload": dict}
KNOWN = {*FIELDS, "remaining", "test", "address"}

#: A flaw to the check that catches it, and the class of host that has it.
FLAWS: dict[str, tuple[str, str]] = {
    "another version": ("describe", "Key"),
    "its own word for a result": ("send", "Key"),
    "looks at no age": ("late-stale", "Key"),
    "looks at no boot": ("late-foreign", "Key"),
    "makes time": ("late-remaining", "Key"),
    "says late and sends": ("late-remaining", "Query"),
    "refuses new fields": ("unknown-fields", "Key"),
    "fails on what it cannot read": ("malformed", "Key"),
    "reads any length": ("oversize", "Key"),
    "answers to any path": ("no-such-path", "Key"),
    "forgets keys": ("same-key", "Key"),
    "remembers what it never had": ("query", "Query"),
    "sorts a batch": ("batch", "Key"),
    "starts all of a batch": ("batch", "Query"),
    "takes any batch": ("batch-too-long", "Key"),
    "one at a time": ("at-once", "Key"),
    "mixes up answers": ("at-once", "Key"),
    "sends a preview": ("preview", "Query"),
    "names no problem": ("check", "Key"),
    "believes strangers": ("receipt", "Query"),
    "no clock on errors": ("clock", "Key"),
}


class Wrong(Exception):
    """What was asked is not of the contract."""


class PlainHost:
    """What the host knows."""

    def __init__(self, dedupe: str, flaw: str | None) -> None:
        self.dedupe, self.flaw = dedupe, flaw
        self.boot = uuid.uuid4().hex
        self.known: dict[str, str] = {}
        self.sends: list[dict[str, Any]] = []
        self.under_way = 0
        self.last = ""
        self.lock = threading.Lock()

    def clock(self) -> str:
        return f"{self.boot}/{time.monotonic():.6f}"

    def late(self, what: dict[str, Any]) -> bool:
        boot, _, read = what["clock"].partition("/")
        remaining = what["remaining"]
        if self.flaw == "makes time" and remaining <= 0:
            remaining = 1
        if boot != self.boot and self.flaw != "looks at no boot":
            return True
        age = time.monotonic() - float(read or 0) if boot == self.boot else 0.0
        if self.flaw == "looks at no age":
            age = 0.0
        return bool(remaining <= 0 or age >= remaining)

    def send(self, what: dict[str, Any]) -> dict[str, Any]:
        if self.late(what):
            if self.flaw == "says late and sends":
                self.take(what)
            return {"result": "Late"}
        return {"result": "Accepted", "provider_id": self.take(what)}

    def take(self, what: dict[str, Any]) -> str:
        with self.lock:
            self.sends.append(what)
            if self.flaw == "forgets keys":
                return uuid.uuid4().hex
            return self.known.setdefault(what["send_key"], uuid.uuid4().hex)

    def at_once(self, what: dict[str, Any]) -> dict[str, Any]:
        """One of possibly many; two of the flaws show only then."""
        if self.flaw not in ("one at a time", "mixes up answers"):
            return self.send(what)
        with self.lock:
            self.under_way += 1
            if self.under_way > 1 and self.flaw == "one at a time":
                self.under_way -= 1
                raise RuntimeError
        answer = self.send(what)
        time.sleep(0.02)
        with self.lock:
            self.under_way -= 1
            if "provider_id" in answer and self.under_way:
                self.last, answer["provider_id"] = answer["provider_id"], self.last
        return answer

    def batch(self, sends: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len(sends) > 3 and self.flaw != "takes any batch":
            raise Wrong
        answers = [self.send(what) for what in sends]
        if self.flaw == "starts all of a batch":
            for what in sends:
                self.take(what)
        if self.flaw == "sorts a batch":
            answers.sort(key=lambda one: one["result"])
        return answers

    def describe(self) -> dict[str, Any]:
        dedupe = {"by": "Key", "window": 60} if self.dedupe == "Key" else {"by": self.dedupe}
        return {
            "contract": "v2" if self.flaw == "another version" else "v1",
            "plugin": "plain",
            "version": "0",
            "dedupe": dedupe,
            "batch_size": 3,
            "receipt_states": ["delivered"],
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    host: PlainHost


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        host = self.server.host
        if self.path == "/v1/describe":
            self.answer(200, host.describe())
        elif self.path.startswith("/v1/query/") and host.dedupe == "Query":
            key = unquote(self.path.removeprefix("/v1/query/"))
            sure = host.flaw == "remembers what it never had" and "never" in key
            self.answer(200, {"accepted": sure or key in host.known})
        elif self.path == "/v1/clock" or host.flaw == "answers to any path":
            self.answer(200, {})
        else:
            self.answer(404, {})

    def do_POST(self) -> None:
        host = self.server.host
        length = int(self.headers["Content-Length"])
        raw = self.rfile.read(length)
        if length > 1024 * 1024 and host.flaw != "reads any length":
            self.answer(413, {})
            return
        try:
            status, body = self.routed(host, raw)
        except (Wrong, ValueError, RecursionError):
            status, body = (500 if host.flaw == "fails on what it cannot read" else 400), {}
        except RuntimeError:
            status, body = 500, {}
        self.answer(status, body)

    def routed(self, host: PlainHost, raw: bytes) -> tuple[int, Any]:
        match self.path:
            case "/v1/send":
                said = host.at_once(self.hand_over(json.loads(raw)))
                status = STATUS[said["result"]]
                if host.flaw == "its own word for a result":
                    said["result"] = "OK"
                return status, said
            case "/v1/send-batch":
                return 200, host.batch([self.hand_over(one) for one in json.loads(raw)])
            case "/v1/preview":
                what = self.hand_over(json.loads(raw))
                if host.flaw == "sends a preview":
                    host.take(what)
                return 200, {"parts": {"text": str(what["payload"])}}
            case "/v1/check":
                return 200, {"ok": host.flaw != "names no problem"}
            case "/v1/receipt" if host.flaw == "believes strangers":
                return 200, [{"state": "delivered", "at": "2026-01-01T00:00:00Z"}]
            case "/v1/receipt":
                raise Wrong
        return 404, {}

    def hand_over(self, what: Any) -> dict[str, Any]:
        if not isinstance(what, dict) or not what.get("send_key"):
            raise Wrong
        for name, kind in FIELDS.items():
            if not isinstance(what.get(name), kind):
                raise Wrong
        if not isinstance(what.get("remaining"), int | float):
            raise Wrong
        if self.server.host.flaw == "refuses new fields" and set(what) - KNOWN:
            raise Wrong
        return what

    def answer(self, status: int, body: Any) -> None:
        host, data = self.server.host, json.dumps(body).encode()
        self.send_response_only(status)
        if status < 400 or host.flaw != "no clock on errors":
            self.send_header("Wayfare-Clock", host.clock())
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def plain_host(dedupe: str, flaw: str | None = None) -> Iterator[tuple[str, PlainHost]]:
    """Its URL, and what it knows."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.host = PlainHost(dedupe, flaw)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server.host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
