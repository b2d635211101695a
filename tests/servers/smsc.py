"""A message centre that is not ours: jSMPP, with tests/peers/Smsc.java around it."""

from __future__ import annotations

import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.jars import jars, java
from tests.servers.ports import free_port
from tests.servers.wait import until

PROGRAM = Path(__file__).resolve().parents[1] / "peers" / "Smsc.java"
SYSTEM_ID, PASSWORD = "wayfare", "pass1234"


@dataclass(frozen=True)
class Submitted:
    """A submit_sm as it came: addresses as `address/type of number/plan`, bodies as bytes."""

    id: str
    source: str
    to: str
    esm: int
    coding: int
    receipt: int
    short: bytes
    payload: bytes


@dataclass
class Smsc:
    """A running message centre."""

    port: int
    submitted: list[Submitted] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)
    _answers: queue.Queue[str] = field(default_factory=queue.Queue, repr=False)

    def start(self) -> None:
        """Start it, and wait until it listens."""
        words = [java(), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars()}/*"]
        self._process = subprocess.Popen(
            [*words, str(PROGRAM), str(self.port), SYSTEM_ID, PASSWORD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        assert self._answers.get(timeout=60) == "ready"

    def tell(self, *words: object) -> None:
        """A line of Smsc.java, and wait until it is done."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        assert self._answers.get(timeout=20) == "done"

    def submits(self) -> list[Submitted]:
        """Those that came so far."""
        self.tell("look")
        return list(self.submitted)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None

    def well(self) -> None:
        """As at first, with nothing submitted."""
        for words in ("release", "status 0", "bind 0", "after 0"):
            self.tell(words)
        self.submitted.clear()
        self.said.clear()

    def delivered(self) -> list[str]:
        """How each delivery to the other side was answered: a status, or an error."""
        return [line.split(" ")[1] for line in list(self.said) if line.startswith("delivered ")]

    def answered(self, count: int) -> list[str]:
        """Wait for so many of them."""
        until(lambda: len(self.delivered()) >= count, what=f"{count} answers to deliveries")
        return self.delivered()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                text = line.rstrip("\n")
                if text in ("ready", "done"):
                    self._answers.put(text)
                elif text.startswith("submit "):
                    self.submitted.append(_submitted(text))
                else:
                    self.said.append(text)
        except ValueError:
            return  # closed by kill


def _submitted(line: str) -> Submitted:
    _, name, *fields = line.split(" ")
    given = dict(one.split("=", 1) for one in fields)
    return Submitted(
        name,
        given["source"],
        given["to"],
        int(given["esm"]),
        int(given["coding"]),
        int(given["receipt"]),
        bytes.fromhex(given["short"]),
        bytes.fromhex(given["payload"]),
    )


@contextmanager
def running_smsc() -> Iterator[Smsc]:
    """A message centre on loopback."""
    smsc = Smsc(free_port())
    try:
        smsc.start()
        yield smsc
    finally:
        smsc.kill()
