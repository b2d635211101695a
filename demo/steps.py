"""Steps of the demo: a line and the seconds for each, and a log of every command."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

TOP = Path(__file__).resolve().parents[1]
WAYFARE = str(Path(sys.executable).parent / "wayfare")


@dataclass
class StepFailed(Exception):
    """A step of the demo did not work.

    `message` says what; `look` where to look next; `lacking` is set when the machine lacks
    something, so that another way can be tried.
    """

    message: str
    look: str | None = None
    lacking: bool = False

    def __str__(self) -> str:
        return self.message


def looks(seconds: float, *, every: float) -> Iterator[float]:
    """Once for each look at something that is waited for, `every` so many seconds, the last one
    after `seconds`; how long it has been. Whoever waits leaves the loop, or says after it what did
    not come."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < seconds:
        yield waited
        time.sleep(every)
    yield waited


@dataclass
class Note:
    """What a step wants to be said of it when it is done."""

    text: str = ""


@dataclass
class Steps:
    """Runs steps and commands, tells of them on `console`, and keeps a log of the commands."""

    console: Console
    log: Path
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    seconds: dict[str, float] = field(default_factory=dict)
    current: str = ""

    def __post_init__(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text("", encoding="utf-8")

    @contextmanager
    def step(self, name: str, *, quiet: bool = True) -> Iterator[Note]:
        """One step. `quiet`: nothing else writes to the terminal meanwhile."""
        self.current = name
        note = Note()
        began = time.monotonic()
        if quiet and self.console.is_terminal:
            with self.console.status(name):
                yield note
        else:
            yield note
        self.seconds[name] = time.monotonic() - began
        self.console.print(f"{name:<24} {note.text:<62} {self.seconds[name]:6.1f} s", markup=False)

    def run(
        self,
        *command: str,
        show: bool = False,
        check: bool = True,
        timeout: float = 600,
        stdin: str | None = None,
        extra: Mapping[str, str] | None = None,
        secret: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command and put it, and what it says, into the log.

        `show` lets its standard error through to the terminal; `secret` keeps its output out of
        the log. Raises StepFailed when it cannot be run, does not end in time, or (`check`) fails.
        """
        began = time.monotonic()
        try:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=None if show else subprocess.PIPE,
                input=stdin,
                text=True,
                cwd=TOP,
                env={**self.environment, **(extra or {})},
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError:
            raise StepFailed(f"{command[0]} was not found") from None
        except subprocess.TimeoutExpired:
            raise StepFailed(f"`{_shown(command)}` did not end in {timeout:.0f} s") from None
        said = (done.stdout or "") + (done.stderr or "")
        with self.log.open("a", encoding="utf-8") as log:
            log.write(
                f"$ {_shown(command)}  # {time.monotonic() - began:.2f} s, {done.returncode}\n"
            )
            log.write("(output left out)\n" if secret else said)
        if check and done.returncode != 0:
            last = "\n".join(said.strip().splitlines()[-12:])
            raise StepFailed(
                f"`{_shown(command)}` failed ({done.returncode})" + (f":\n{last}" if last else ""),
                lacking=done.returncode == 3,
            )
        return done


def _shown(command: Sequence[str]) -> str:
    text = shlex.join(command)
    return text if len(text) <= 200 else text[:197] + "..."
