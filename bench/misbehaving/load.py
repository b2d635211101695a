"""Decisions one after the other at a steady pace, and how long each took; a process of its own.

Its priority is raised where that is allowed: it is the watch, and not a part of what is measured.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import multiprocessing
import os
import time
from multiprocessing.connection import Connection

_context = multiprocessing.get_context("spawn")
_BODY = json.dumps({"customer": "anna", "slot": "home-banner"})
PER_SECOND = 100


class Load:
    """The process. `cores`: where it runs."""

    def __init__(self, port: int, key: str, cores: set[int]) -> None:
        self._here, there = _context.Pipe()
        self._process = _context.Process(target=_serve, args=(there, port, key, cores), daemon=True)
        self._process.start()

    def run(self, seconds: float) -> list[float]:
        """Ask for so long; what each answer took, in seconds, sorted."""
        self._here.send(seconds)
        found: list[float] = self._here.recv()
        return sorted(found)

    def stop(self) -> None:
        """End it."""
        self._here.send(None)
        self._process.join(10)


def _serve(calls: Connection, port: int, key: str, cores: set[int]) -> None:
    os.sched_setaffinity(0, cores)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    while (seconds := calls.recv()) is not None:
        taken = []
        due = time.monotonic()
        end = due + seconds
        while due < end:
            # Counted from when it was due: an answer that is late makes the next ones late too.
            line.request("POST", "/v1/decisions", _BODY, headers)
            answer = line.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"a decision with status {answer.status}")
            taken.append(time.monotonic() - due)
            due += 1 / PER_SECOND
            if (left := due - time.monotonic()) > 0:
                time.sleep(left)
        calls.send(taken)
