"""The process that children are forked from: it has loaded everything and used nothing.

It has one thread, and neither a connection nor a store was ever opened in it, so that a fork of it
is as good as a new process. It is told what to do in pickles on its standard input:

    ("start", work, crash, log) -> pid          fork; `work()` is called in the child
    ("wait", pid, seconds) -> int | None        exit code, negative for a signal; None: not yet
    ("stopped", pid, seconds) -> bool           whether SIGSTOP came
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import os
import pickle
import pkgutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import wayfare_engine
from wayfare_engine.crashpoints import VARIABLE

_POLL_SECONDS = 0.0005
#: What numpy and pyarrow load at first use only, which takes longer than most children live.
_LOADED_LATE = ("numpy.ma", "dateutil.relativedelta")
_ended: dict[int, int] = {}
_stopped: set[int] = set()
_running: set[int] = set()


def load_everything() -> None:
    """Import every module of the engine, so that each declares its crash points."""
    for module in pkgutil.walk_packages(wayfare_engine.__path__, "wayfare_engine."):
        # Programs, which run when they are imported: the command's, and Alembic's scripts.
        if not module.name.endswith("__main__") and ".migrations." not in module.name:
            importlib.import_module(module.name)


def main() -> None:
    """Serve until the other end is closed; whatever runs then is killed."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    load_everything()
    for module in ("tests.crash.table", *_LOADED_LATE):
        importlib.import_module(module)
    # What is loaded is never collected, so that children do not copy it page by page.
    gc.collect()
    gc.freeze()
    while True:
        try:
            what, *arguments = pickle.load(requests)
        except EOFError:
            break
        answer: object
        if what == "start":
            answer = _start(requests, answers, *arguments)
        elif what == "wait":
            answer = _until(lambda pid: _ended.get(pid), *arguments)
        else:
            answer = _until(lambda pid: (pid in _stopped) or None, *arguments)
        answers.write(pickle.dumps(answer))
    for pid in _running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _start(
    requests: IO[bytes], answers: IO[bytes], work: Callable[[], None], crash: str | None, log: Path
) -> int:
    pid = os.fork()
    if pid:
        _running.add(pid)
        return pid
    code = 1
    try:
        requests.close()
        answers.close()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout = os.fdopen(1, "w", buffering=1)
        sys.stderr = os.fdopen(2, "w", buffering=1)
        faulthandler.enable()
        if crash:
            os.environ[VARIABLE] = crash
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # Not `sys.exit`: nothing of what the parent would do at its end is to be done here.
        os._exit(code)


def _until(fact: Callable[[int], Any], pid: int, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        _look()
        found = fact(pid)
        if found is not None or time.monotonic() > deadline:
            return found
        time.sleep(_POLL_SECONDS)


def _look() -> None:
    for pid in list(_running):
        found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
        if not found:
            continue
        if os.WIFSTOPPED(status):
            _stopped.add(pid)
        elif os.WIFCONTINUED(status):
            _stopped.discard(pid)
        else:
            _running.discard(pid)
            _stopped.discard(pid)
            _ended[pid] = os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    main()
