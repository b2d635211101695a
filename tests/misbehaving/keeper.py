"""A process that is started again when it ends, and ended when it takes too much memory: what a
kubelet and the kernel do for a channel's pod."""

from __future__ import annotations

import os
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tests.servers.forking import context

_LOOK_SECONDS = 0.02
_PAUSE_SECONDS = 0.3
_ROOM = 4 * 1024**3
_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> int:
    """Resident memory of a process, in bytes; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


@contextmanager
def on_cores(cores: set[int] | None) -> Iterator[None]:
    """What this thread starts meanwhile runs on these cores; None: wherever it likes."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if cores is None else cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Kept:
    """A program that is kept running: each start is a fork that calls `target` with `given`.
    `memory` in bytes is of resident memory; twice that and some gigabytes is the most that it can
    even ask for, so that no leak reaches the machine."""

    def __init__(
        self,
        target: Callable[..., None],
        *given: Any,
        log: Path,
        memory: int,
        cores: set[int] | None = None,
    ) -> None:
        self._target = target
        self._given = given
        self._log = log
        self._memory = memory
        self._cores = cores
        self._over = threading.Event()
        self.starts = 0
        self.ended_for_memory = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it for good."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        given = (self._target, self._given, self._log, 2 * self._memory + _ROOM, self._cores)
        while not self._over.is_set():
            process = context.Process(target=_become, args=given, daemon=True)
            process.start()
            self.starts += 1
            self._watch(process)
            self._over.wait(_PAUSE_SECONDS)

    def _watch(self, process: ForkServerProcess) -> None:
        assert process.pid is not None
        while process.is_alive():
            if resident(process.pid) > self._memory:
                self.ended_for_memory += 1
                process.kill()
                process.join()
            elif self._over.wait(_LOOK_SECONDS):
                process.terminate()
                process.join(10)
                process.kill()
                process.join()


def _become(
    target: Callable[..., None],
    given: tuple[Any, ...],
    log: Path,
    most: int,
    cores: set[int] | None,
) -> None:
    """What a fork does: its output goes to `log`."""
    if cores is not None:
        os.sched_setaffinity(0, cores)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(opened, 1)
    os.dup2(opened, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    target(*given)
