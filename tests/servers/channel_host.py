"""`wayfare channel host` as a process, and what a worker says to it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import httpx

from tests.servers.command import clean_environment, run_here
from tests.servers.forking import context
from tests.servers.ports import free_port
from tests.servers.wait import until

CLOCK = "Wayfare-Clock"


@dataclass
class HostProcess:
    """A running host. `log` has its log lines, and nothing else of standard error."""

    url: str
    process: ForkServerProcess
    log: Path
    client: httpx.Client = field(repr=False)

    def reading(self) -> str:
        """Its clock, now."""
        return self.client.get("/v1/clock").headers[CLOCK]

    def hand_over(self, send_key: str, **changes: Any) -> dict[str, Any]:
        """A hand-over with a reading of now and two seconds to start."""
        given = {
            "send_key": send_key,
            "customer": "customer-1",
            "channel": "bank/sms",
            "site": "east",
            "epoch": 1,
            "attempt": 1,
            "remaining": 2.0,
            "payload": {"text": "hello"},
        } | changes
        if "clock" not in given:
            given["clock"] = self.reading()
        return given

    def send(self, send_key: str, **changes: Any) -> httpx.Response:
        """Hand over."""
        return self.client.post("/v1/send", json=self.hand_over(send_key, **changes))

    def logged(self) -> str:
        """Everything that it wrote to standard error."""
        return self.log.read_text()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def stopped(self) -> bool:
        """Whether SIGSTOP has stopped it."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    def exit_code(self, seconds: float = 20.0) -> int | None:
        """Wait for its end."""
        self.process.join(seconds)
        return self.process.exitcode


@contextmanager
def channel_host(
    folder: Path,
    *words: str,
    path: Sequence[Path] = (),
    port: int | None = None,
    **environment: str,
) -> Iterator[HostProcess]:
    """`wayfare channel host WORDS` at `port` or a free one; `path` is where more packages are."""
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    out, err = folder / "out", folder / "err"
    given = ("channel", "host", *words, "--port", str(port))
    environment = clean_environment(environment)
    process = context.Process(
        target=_run, args=(given, environment, out, err, [str(one) for one in path]), daemon=True
    )
    process.start()
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=20, trust_env=False) as client:
        host = HostProcess(url, process, err, client)

        def ready() -> bool:
            assert process.is_alive(), f"the host ended: {err.read_text()}"
            return client.get("/readyz").status_code == 200

        until(ready, what="a ready host", ignoring=(httpx.TransportError,), every=0.01)
        try:
            yield host
        finally:
            if process.is_alive():
                host.signal(signal.SIGCONT)
                host.signal(signal.SIGTERM)
                if host.exit_code() is None:
                    process.kill()
                    process.join()
    assert "Traceback" not in err.read_text()


def _run(
    words: tuple[str, ...], environment: dict[str, str], out: Path, err: Path, path: list[str]
) -> None:
    sys.path[:0] = path
    run_here(words, environment, out, err)
