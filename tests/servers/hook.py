"""A receiver of webhooks: a real HTTP server that checks signatures as the standard says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Received:
    """A request whose signature was checked against each secret that the receiver knows."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    signed_by: list[str]
    connection: int


@dataclass
class Hook:
    """What it answers next, and what it got. `status` 0: it reads, and never answers."""

    secrets: Sequence[str] = ()
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    received: list[Received] = field(default_factory=list)
    port: int = 0
    scheme: str = "http"
    let_go: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def signed_by(self, headers: dict[str, str], body: bytes) -> list[str]:
        """The secrets with which one of the request's signatures was made, lately."""
        message, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "0")
        if abs(time.time() - int(at)) > 300:
            return []
        given = headers.get("webhook-signature", "").split(" ")
        found = []
        for secret in self.secrets:
            key = base64.b64decode(secret.partition("_")[2])
            made = hmac.new(key, f"{message}.{at}.".encode() + body, hashlib.sha256).digest()
            wanted = "v1," + base64.b64encode(made).decode()
            if any(hmac.compare_digest(wanted, one) for one in given):
                found.append(secret)
        return found


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    hook: Hook

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Hanging up is what some tests ask for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        hook = self.server.hook
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        hook.received.append(
            Received(
                self.path,
                headers,
                json.loads(raw),
                hook.signed_by(headers, raw),
                self.client_address[1],
            )
        )
        if hook.status == 0:
            hook.let_go.wait(20)
            self.close_connection = True
            return
        self.send_response_only(hook.status)
        for name, value in hook.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(hook.body)))
        self.end_headers()
        self.wfile.write(hook.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def running_hook(*secrets: str, certificate: tuple[Path, Path] | None = None) -> Iterator[Hook]:
    """A receiver that knows these secrets, with TLS when it has a certificate and its key."""
    hook = Hook(secrets)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.hook = hook
    hook.port = server.server_address[1]
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        hook.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        hook.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()
