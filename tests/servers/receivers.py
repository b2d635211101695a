"""Channel hosts that tests send to: real HTTP servers, one for each way of telling repeats apart.

They speak of the contract (`wayfare_engine.channels.contract`) what a worker needs. What the
outside world would have seen is a line in `effects`: it is written under the lock that also
decides, so "took effect twice" can be counted.
"""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

Dedupe = Literal["Key", "Query", "None"]
FaultKind = Literal["slow", "lost", "error", "not_accepted", "rejected", "hang", "cut"]
CLOCK_HEADER = "Wayfare-Clock"


def boottime() -> float:
    """Seconds since this machine started, suspended time included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the next `times` hand-overs.

    `slow`: `seconds` pass before the effect. `lost`: it takes effect and the line is cut. `error`:
    a plain 500 before the effect. `not_accepted`, `rejected`: a definite no. `hang`: nothing
    happens for `seconds`, and then nothing takes effect. Of a batch each send draws its own:
    `error` is then an answer that nobody can give, and `lost`, `hang` and `cut` (the line is cut
    before this one takes effect) end the whole call there.
    """

    kind: FaultKind
    times: int = 1
    seconds: float = 0.0


@dataclass(frozen=True)
class Record:
    """One line: what a hand-over came to. `at` is the machine's boot time in seconds."""

    at: float
    what: Literal["start", "effect", "repeat", "late"]
    send_key: str
    site: str
    epoch: int
    attempt: int
    customer: str


def records(folder: Path, dedupe: str) -> list[Record]:
    """Everything that the receiver of this class, whose files are in `folder`, recorded."""
    lines = (folder / f"{dedupe}.jsonl").read_text().splitlines()
    return [Record(**json.loads(line)) for line in lines]


@dataclass
class Receiver:
    """One host. `window` is how long a `Key` receiver remembers a key, in seconds."""

    folder: Path
    dedupe: Dedupe
    window: float = 3600.0
    limit: float = 5.0
    """The longest time after reading its clock that a hand-over may start, in seconds."""
    port: int = 0
    batch_size: int = 1
    """How many sends it takes in one call."""
    batches: list[int] = field(default_factory=list)
    """How many sends each batch had that came so far."""
    _faults: list[Fault] = field(default_factory=list)
    _known: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: _Server | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = (self.folder / f"{self.dedupe}.jsonl").open("a", buffering=1)
        self._boot = uuid.uuid4().hex

    @property
    def url(self) -> str:
        """Its address; stays the same over `refuse` and `listen`."""
        return f"http://127.0.0.1:{self.port}"

    def listen(self) -> None:
        """Take connections."""
        if self._server is None:
            self._server = _Server(("127.0.0.1", self.port), _Handler, self)
            self.port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def refuse(self) -> None:
        """Refuse connections from now on, and cut the open ones."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.cut()

    def close(self) -> None:
        """End it for good."""
        self.refuse()
        self._file.close()

    def restart(self) -> None:
        """As after a crash of the host: a new clock; what the provider knows, it still knows."""
        self.refuse()
        self._boot = uuid.uuid4().hex
        self.listen()

    def fail(self, fault: Fault) -> None:
        """Add a fault; faults are used up in the order in which they came."""
        with self._lock:
            self._faults.append(fault)

    def calm(self) -> None:
        """Forget the faults that are left, and listen."""
        with self._lock:
            self._faults.clear()
        self.listen()

    def forget(self) -> None:
        """Forget every key, as a provider does when its window has passed."""
        with self._lock:
            self._known.clear()

    def clock(self) -> str:
        """The host's clock as it goes into every answer: `<boot>:<seconds>`."""
        return f"{self._boot}:{boottime():.6f}"

    def records(self) -> list[Record]:
        """Everything that was recorded, from the file."""
        return records(self.folder, self.dedupe)

    def effects(self) -> dict[str, int]:
        """How often each key took effect outside."""
        counted: dict[str, int] = {}
        for record in self.records():
            if record.what == "effect":
                counted[record.send_key] = counted.get(record.send_key, 0) + 1
        return counted

    # What the handler calls.

    def next_fault(self) -> Fault | None:
        with self._lock:
            if not self._faults:
                return None
            fault = self._faults[0]
            if fault.times <= 1:
                self._faults.pop(0)
            else:
                self._faults[0] = Fault(fault.kind, fault.times - 1, fault.seconds)
            return fault

    def begin(self, body: dict[str, Any]) -> bool:
        """Whether the hand-over may still start; it is recorded as started, or as late."""
        with self._lock:
            in_time = self._in_time(body)
            self._record("start" if in_time else "late", body)
            return in_time

    def take_effect(self, body: dict[str, Any]) -> Literal["effect", "repeat", "late"]:
        """The effect itself, unless its time is over or the key is known."""
        with self._lock:
            if not self._in_time(body):
                self._record("late", body)
                return "late"
            known = self._known.get(body["send_key"])
            if self.dedupe == "Key" and known is not None and boottime() - known < self.window:
                self._record("repeat", body)
                return "repeat"
            self._known.setdefault(body["send_key"], boottime())
            self._record("effect", body)
            return "effect"

    def took_effect(self, send_key: str) -> bool:
        with self._lock:
            return send_key in self._known

    def _in_time(self, body: dict[str, Any]) -> bool:
        boot, _, read = str(body["clock"]).partition(":")
        remaining = min(float(body["remaining"]), self.limit)
        return boot == self._boot and boottime() - float(read) <= remaining

    def _record(self, what: Any, body: dict[str, Any]) -> None:
        line = {
            "at": boottime(),
            "what": what,
            **{k: body[k] for k in ("send_key", "site", "epoch", "attempt", "customer")},
        }
        self._file.write(json.dumps(line) + "\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: Any, receiver: Receiver) -> None:
        self.receiver = receiver
        self._open: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A cut line is what some tests ask for."""

    def cut(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        receiver = self.server.receiver
        kind, _, key = self.path.removeprefix("/v1/").partition("/")
        if kind == "clock":
            self._answer(200, {})
        elif kind == "describe" and receiver.batch_size > 1:
            dedupe = {"by": receiver.dedupe}
            if receiver.dedupe == "Key":
                dedupe["window"] = receiver.window  # type: ignore[assignment]
            described = {"contract": "v1", "plugin": "receiver", "version": "1", "dedupe": dedupe}
            self._answer(200, described | {"batch_size": receiver.batch_size})
        elif kind == "query" and receiver.dedupe == "Query":
            self._answer(200, {"accepted": receiver.took_effect(unquote(key))})
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if isinstance(body, list):
            self._batch(body)
            return
        if not receiver.begin(body):
            self._answer(408, {"result": "Late"})
            return
        fault = receiver.next_fault()
        if fault and fault.kind == "rejected" and receiver.took_effect(body["send_key"]):
            fault = None  # no provider refuses what it has accepted under the same key
        match fault.kind if fault else None:
            case "error":
                self._answer(500, {})
                return
            case "not_accepted":
                self._answer(503, {"result": "NotAccepted", "detail": "busy"})
                return
            case "rejected":
                self._answer(422, {"result": "Rejected", "detail": "no such number"})
                return
            case "hang":
                time.sleep(fault.seconds if fault else 0)
                self.close_connection = True
                return
            case "slow":
                time.sleep(fault.seconds if fault else 0)
        came = receiver.take_effect(body)
        if came == "late":
            self._answer(408, {"result": "Late"})
        elif fault and fault.kind == "lost":
            self.close_connection = True
        else:
            self._answer(200, {"result": "Accepted", "provider_id": f"p-{body['send_key'][:12]}"})

    def _batch(self, bodies: list[dict[str, Any]]) -> None:
        receiver = self.server.receiver
        if len(bodies) > receiver.batch_size:
            self._answer(400, {})
            return
        receiver.batches.append(len(bodies))
        answers: list[dict[str, Any] | None] = []
        lost = False
        for body in bodies:
            fault = receiver.next_fault() if receiver.begin(body) else None
            if fault and fault.kind in ("hang", "cut"):
                time.sleep(fault.seconds)
                self.close_connection = True
                return
            lost = lost or bool(fault and fault.kind == "lost")
            answers.append(self._one_of_batch(body, fault))
        if lost:
            self.close_connection = True
        else:
            self._answer(200, answers)

    def _one_of_batch(self, body: dict[str, Any], fault: Fault | None) -> dict[str, Any] | None:
        receiver = self.server.receiver
        match fault.kind if fault else None:
            case "error":
                return None
            case "not_accepted":
                return {"result": "NotAccepted", "detail": "busy"}
            case "rejected":
                return {"result": "Rejected", "detail": "no such number"}
            case "slow":
                time.sleep(fault.seconds if fault else 0)
        if receiver.take_effect(body) == "late":
            return {"result": "Late"}
        return {"result": "Accepted", "provider_id": f"p-{body['send_key'][:12]}"}

    def _answer(self, status: int, body: dict[str, Any] | list[Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response_only(status)
        self.send_header(CLOCK_HEADER, self.server.receiver.clock())
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def running_receivers(folder: Path, *, limit: float = 5.0) -> Iterator[dict[Dedupe, Receiver]]:
    """One of each class, by its name; files in `folder`."""
    kinds: tuple[Dedupe, ...] = ("Key", "Query", "None")
    receivers = {kind: Receiver(folder, kind, limit=limit) for kind in kinds}
    for receiver in receivers.values():
        receiver.listen()
    try:
        yield receivers
    finally:
        for receiver in receivers.values():
            receiver.close()
