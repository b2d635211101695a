"""A host of its own making, with the standard library's HTTP: for misbehaviour that is about bytes.

The switch of its folder: `wrong-json`, `error-body`, `cut`, `late N` take the message and answer
with half a JSON, another 200, half a body, or after N seconds. `flood` and `drip` answer every
request with a body that does not end: as quickly as it goes, or a byte from time to time. `nul`,
`surrogate` and `long` accept with texts that no database takes; `deep` with JSON that is nested a
hundred thousand times. `random REFUSED FAILED LOST` draws for each hand-over, in percent: a
definite no, a plain 500 before the effect, and no answer at all after it.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.misbehaving.records import Folder, Record

_STATUS = {"Accepted": 200, "NotAccepted": 503, "Late": 408}
_TEXTS = {
    "nul": {"detail": "a\0b", "provider_id": "p\0q"},
    "surrogate": {"detail": "a\ud800b", "provider_id": "p\udfffq"},
    "long": {"detail": "d" * 3_000_000, "provider_id": "p" * 3_000_000},
}


class RawHost:
    """What all connections share. `seed` is of the switch `random`."""

    def __init__(self, folder: Folder, dedupe: str, seed: int) -> None:
        self.folder = folder
        self.dedupe = dedupe
        self.record = Record(folder, dedupe=dedupe == "Key")
        self.boot = uuid.uuid4().hex
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._read_at = 0.0
        self._switched: list[str] = []

    def clock(self) -> str:
        """`<boot>:<seconds>`."""
        return f"{self.boot}:{time.clock_gettime(time.CLOCK_BOOTTIME):.6f}"

    def late(self, what: dict[str, Any]) -> bool:
        """Whether the time to start is over."""
        boot, _, read = str(what["clock"]).partition(":")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - float(read)
        return boot != self.boot or age > float(what["remaining"])

    def switched(self) -> list[str]:
        """What to do; looked at every 20 ms at most."""
        if time.monotonic() - self._read_at > 0.02:
            self._switched, self._read_at = self.folder.switched(), time.monotonic()
        return self._switched

    def draw(self, refused: str, failed: str, lost: str) -> str:
        """One of `refused`, `failed`, `lost`, or nothing."""
        with self._lock:
            drawn = self._random.random() * 100
        for name, percent in (("refused", refused), ("failed", failed), ("lost", lost)):
            drawn -= float(percent)
            if drawn < 0:
                return name
        return ""

    def describe(self) -> dict[str, Any]:
        """Of the contract."""
        dedupe = {"by": "Key", "window": 3600} if self.dedupe == "Key" else {"by": self.dedupe}
        return {"contract": "v1", "plugin": "raw", "version": "1", "dedupe": dedupe}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256
    host: RawHost

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller who hangs up is not told of."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        if not self._endless():
            known = {"/v1/describe": self.server.host.describe(), "/v1/clock": {}}
            body = known.get(self.path)
            self._answer(404 if body is None else 200, json.dumps(body or {}).encode())

    def do_POST(self) -> None:
        host = self.server.host
        what = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if host.late(what):
            self._result("Late")
            return
        given = (what["send_key"], what["customer"], what["attempt"])
        host.record.begun(*given)
        switched = host.switched()
        if switched[:1] == ["random"]:
            switched = [host.draw(*switched[1:])]
        if switched == ["refused"]:
            host.record.refused(*given)
            self._result("NotAccepted", detail="busy")
            return
        if switched == ["failed"]:
            self._answer(500, b"{}")
            return
        if switched != ["error-body"]:
            host.record.effect(*given)
        if not self._endless():
            self._after_effect(switched)

    def _after_effect(self, switched: list[str]) -> None:
        match switched:
            case ["wrong-json"]:
                self._answer(200, b'{"result": "Accep')
            case ["error-body"]:
                self._answer(200, b'{"error": {"code": 500, "message": "try again"}}')
            case ["deep"]:
                self._answer(200, b'{"more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
            case ["cut"]:
                self._head(200, 1000)
                self.wfile.write(b'{"result"')
                self.close_connection = True
            case ["lost"]:
                # Until the caller hangs up, which it does when its time is over.
                self.connection.settimeout(60)
                self.rfile.read(1)
                self.close_connection = True
            case ["late", seconds]:
                time.sleep(float(seconds))
                self._result("Accepted")
            case [name] if name in _TEXTS:
                self._result("Accepted", **_TEXTS[name])
            case _:
                self._result("Accepted", provider_id="p-1")

    def _endless(self) -> bool:
        """Answer without an end, if so switched; returns when the caller has hung up."""
        switched = self.server.host.switched()
        if switched not in (["flood"], ["drip"]):
            return False
        self._head(200, 10**12)
        part, pause = (b" " * 65536, 0.0) if switched == ["flood"] else (b" ", 0.2)
        while self.server.host.switched() == switched:
            self.wfile.write(part)
            time.sleep(pause)
        self.close_connection = True
        return True

    def _result(self, result: str, **more: str) -> None:
        # json escapes what is not ASCII, lone surrogates too.
        self._answer(_STATUS[result], json.dumps({"result": result, **more}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self._head(status, len(body))
        self.wfile.write(body)

    def _head(self, status: int, length: int) -> None:
        self.send_response_only(status)
        self.send_header("Wayfare-Clock", self.server.host.clock())
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def serve(port: int, folder: Path, dedupe: str, seed: int = 1) -> None:
    """Until the process is ended."""
    server = _Server(("127.0.0.1", port), _Handler)
    server.host = RawHost(Folder(folder), dedupe, seed)
    server.serve_forever(0.05)
