"""Children that die where they are told to, each forked in a few milliseconds from the zygote."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: Far more than any child takes: one that is still there then hangs.
HANGS_AFTER = 60.0


class Child:
    """One process. `log` is what it printed."""

    def __init__(self, children: Children, pid: int, log: Path) -> None:
        self._children, self.pid, self.log = children, pid, log

    def wait(self) -> int:
        """Its exit code, negative for the signal that ended it."""
        code = self._children.ask("wait", self.pid, HANGS_AFTER)
        if code is None:
            os.kill(self.pid, signal.SIGABRT)  # its threads' stacks go to the log
            self._children.ask("wait", self.pid, 10.0)
            raise AssertionError(f"the child hangs:\n{self.said()}")
        return int(code)

    def wait_stopped(self) -> None:
        """Return when SIGSTOP has stopped it."""
        if not self._children.ask("stopped", self.pid, HANGS_AFTER):
            raise AssertionError(f"the child was never stopped:\n{self.said()}")

    def go_on(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, stopped or not, and wait until it is gone."""
        if self._children.ask("wait", self.pid, 0.0) is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-6000:] if self.log.exists() else ""


class Children:
    """The zygote's other end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("WAYFARE_")}
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote"],
            cwd=ROOT,
            env=clean,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._requests, self._answers = self._zygote.stdin, self._zygote.stdout

    def start(self, work: Callable[[], None], *, crash: str | None = None) -> Child:
        """Fork a child that calls `work`, which can be pickled, and dies at `crash`."""
        log = self._folder / f"{next(self._numbers):04d}.log"
        return Child(self, int(self.ask("start", work, crash, log)), log)

    def ask(self, *request: Any) -> Any:
        """One request; see `zygote`."""
        pickle.dump(request, self._requests)
        self._requests.flush()
        return pickle.load(self._answers)

    def close(self) -> None:
        """End the zygote, and with it what is left of its children."""
        self._requests.close()
        self._zygote.wait(20)
        self._answers.close()


@contextmanager
def running_children(folder: Path) -> Iterator[Children]:
    """A zygote, gone afterwards."""
    children = Children(folder)
    try:
        yield children
    finally:
        children.close()
