"""`wayfare`, as people and scripts run it: a process of its own, with nothing of this environment.

A run is forked from a process that has loaded everything, so that it starts at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import obstore  # noqa: F401 - loaded once, as all below, in the process that runs are forked from
import psycopg  # noqa: F401
import pyarrow.parquet  # noqa: F401
import rich.progress  # noqa: F401

from tests.servers.forking import context
from wayfare_engine.api import serve  # noqa: F401
from wayfare_engine.channels import conform, run_host  # noqa: F401
from wayfare_engine.cli import application
from wayfare_engine.customers import applying  # noqa: F401
from wayfare_engine.journal import catch_up, sealer, snapshot, status, verify  # noqa: F401
from wayfare_engine.lease import take_epoch  # noqa: F401
from wayfare_engine.recovery import report, watching  # noqa: F401
from wayfare_engine.recovery.tasks import STEPS, attempt, load  # noqa: F401
from wayfare_engine.worker import run as worker  # noqa: F401

for _step in STEPS:
    load(_step)

_OWN = ("WAYFARE_", "AWS_", "AZURE_", "GOOGLE_")


def clean_environment(given: Mapping[str, str]) -> dict[str, str]:
    """This environment without settings of the program and of stores, and with `given`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_OWN)}
    return kept | {"COLUMNS": "200"} | dict(given)


def arguments(*words: str) -> list[str | Path]:
    """What to start for a run that is not forked."""
    return [Path(sys.executable).parent / "wayfare", *words]


def wayfare(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `wayfare WORDS` to its end, with no terminal. No run may show a stack trace."""
    done = finished(words, clean_environment(environment))
    said, complained = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in complained + said, complained
    return subprocess.CompletedProcess(words, done.returncode, said, complained)


def finished(
    words: tuple[str, ...], environment: Mapping[str, str], stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run it to its end with just this environment."""
    with tempfile.TemporaryDirectory(prefix="wayfare-run-") as folder:
        given, out, err = (Path(folder, name) for name in ("in", "out", "err"))
        given.write_bytes(stdin)
        process = context.Process(target=run_here, args=(words, dict(environment), out, err, given))
        process.start()
        process.join(180)
        assert process.exitcode is not None, f"wayfare {words} hangs"
        return subprocess.CompletedProcess(
            words, process.exitcode, out.read_bytes(), err.read_bytes()
        )


class Forked:
    """A run that goes on beside the test; its methods are those of `subprocess.Popen`."""

    def __init__(self, words: tuple[str, ...], environment: Mapping[str, str], log: Path) -> None:
        self._process = context.Process(target=run_here, args=(words, dict(environment), log, log))
        self._process.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired."""
        self._process.join(seconds)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("wayfare", seconds or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Nothing when it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


def run_here(
    words: tuple[str, ...],
    environment: dict[str, str],
    out: Path,
    err: Path,
    given: Path = Path(os.devnull),
) -> None:
    """Become a run: for a process that was forked for it."""
    os.environ.clear()
    os.environ.update(environment)
    for number, file, flags in (
        (0, given, os.O_RDONLY),
        # Both may be one file.
        (1, out, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        (2, err, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        opened = os.open(file, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    if "LD_PRELOAD" in environment:
        # What is preloaded is loaded by a program that starts.
        program = arguments(*words)
        os.execv(program[0], [str(word) for word in program])
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    sys.exit(application.run(words))
