"""What a misbehaving host writes down, and how it is told what to do: two files in its folder.

`switch` holds one line, which a test replaces while the host runs; empty: behave. `record` gets a
line for each hand-over that began, each that took effect and each that was refused for certain,
before any answer leaves, so that it stands there whatever happens to the process then.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

What = Literal["begun", "effect", "repeat", "refused"]


class Line(msgspec.Struct, frozen=True):
    """`at` is the wall clock, `monotonic` CLOCK_MONOTONIC, both in seconds. A repeat came under a
    key that had taken effect."""

    at: float
    what: What
    send_key: str
    customer: str
    attempt: int
    monotonic: float


@dataclass(frozen=True)
class Folder:
    """A host's folder, as a test sees it."""

    path: Path

    def __post_init__(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)

    def switch(self, to: str) -> None:
        """What it does from the next call on."""
        fresh = self.path / "switch.new"
        fresh.write_text(to)
        fresh.replace(self.path / "switch")

    def switched(self) -> list[str]:
        """The words of the switch."""
        try:
            return (self.path / "switch").read_text().split()
        except FileNotFoundError:
            return []

    def lines(self) -> list[Line]:
        """Everything that was written down."""
        file = self.path / "record"
        whole = file.read_bytes().splitlines() if file.exists() else []
        return [msgspec.json.decode(line, type=Line) for line in whole]

    def keys(self, what: What) -> list[str]:
        """The send keys of the lines of one sort, in their order."""
        return [line.send_key for line in self.lines() if line.what == what]


class Record:
    """The record of one host's process. `dedupe`: it takes a key once, as it promises, also over
    its own death. Thread-safe."""

    def __init__(self, folder: Folder, *, dedupe: bool) -> None:
        self._known = set(folder.keys("effect")) if dedupe else None
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(folder.path / "record", flags, 0o600)
        self._lock = threading.Lock()

    def begun(self, send_key: str, customer: str, attempt: int) -> None:
        """A hand-over started."""
        self._write("begun", send_key, customer, attempt)

    def refused(self, send_key: str, customer: str, attempt: int) -> None:
        """It takes no effect, and whoever handed it over is told so."""
        self._write("refused", send_key, customer, attempt)

    def effect(self, send_key: str, customer: str, attempt: int) -> bool:
        """It takes effect now; False when the key had done so before."""
        with self._lock:
            known = self._known is not None and send_key in self._known
            what: What = "repeat" if known else "effect"
            self._write(what, send_key, customer, attempt)
            if self._known is not None:
                self._known.add(send_key)
        return not known

    def _write(self, what: What, send_key: str, customer: str, attempt: int) -> None:
        line = Line(time.time(), what, send_key, customer, attempt, time.monotonic())
        os.write(self._file, msgspec.json.encode(line) + b"\n")
