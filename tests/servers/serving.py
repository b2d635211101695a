"""A stand-in for serving pods behind their Service: who acts, and a decision, over real HTTP."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Serving:
    """`site`: which one answers; `active`: what /activez says; `posted`: what a webhook got."""

    site: str = "west"
    active: bool = True
    decides: bool = True
    posted: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    """Who asked for decisions."""
    asked: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serving(state: Serving) -> Iterator[Serving]:
    """It, listening."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

        def _answer(self, code: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            state.asked += 1
            body = {"active": state.active, "site": state.site, "epoch": 2}
            self._answer(200 if state.active else 503, body)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/v1/decisions":
                state.keys.append(self.headers.get("authorization", ""))
                self._answer(200 if state.decides else 500, {"decisionId": "1", "journey": None})
                return
            state.posted.append((body, self.headers.get("wayfare-signature", "")))
            self._answer(200, {})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
