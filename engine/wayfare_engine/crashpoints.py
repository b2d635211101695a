"""Places where a process can be made to die, so that tests can try each of them.

A point is declared once, at the top of the module that has it, and reached by calling it. Outside
tests a reached point does nothing. `WAYFARE_CRASH=name` kills the process with SIGKILL at its first
pass; `WAYFARE_CRASH=name:3` at its third; `WAYFARE_CRASH=name!stop` stops it with SIGSTOP instead.
Tests enumerate `registered()`, so a new point cannot be forgotten.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

VARIABLE = "WAYFARE_CRASH"
_registered: dict[str, str] = {}
_passes: dict[str, int] = {}


def crash_point(name: str, what: str) -> Callable[[], None]:
    """Declare a point; `what` says what was done just before it. Returns what to call there."""
    if name in _registered:
        raise ValueError(f"the crash point {name} is declared twice")
    _registered[name] = what

    def reached() -> None:
        wanted = os.environ.get(VARIABLE)
        if wanted and wanted.startswith(name):
            _die(name, wanted)

    return reached


def registered() -> dict[str, str]:
    """Every point of the modules that are imported: name to what was done just before it."""
    return dict(_registered)


def _die(name: str, wanted: str) -> None:
    place, _, action = wanted.partition("!")
    place, _, count = place.partition(":")
    if place != name:
        return
    _passes[name] = _passes.get(name, 0) + 1
    if _passes[name] == int(count or 1):
        # To this thread: a stop that another thread takes lets this one run on for a moment.
        number = signal.SIGSTOP if action == "stop" else signal.SIGKILL
        signal.pthread_kill(threading.get_ident(), number)
