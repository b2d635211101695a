"""What a person sees while the lab builds and starts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from wayfare_lab.binaries import Progress as BuildProgress
from wayfare_lab.errors import LabError
from wayfare_lab.lab import Say

_PLAIN_EVERY = 15.0
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def stop(error: LabError) -> NoReturn:
    """Say what went wrong in a sentence, and end with the error's exit code."""
    errors.print(f"[red]wayfare lab:[/red] {_escaped(str(error))}")
    raise typer.Exit(error.exit_code)


@contextmanager
def building() -> Iterator[BuildProgress]:
    """Show a build: packages compiled of all, and the time taken.

    On a terminal a bar for each program; elsewhere a line now and then.
    """
    if not errors.is_terminal:
        yield _plain_build()
        return
    with Progress(
        TextColumn("building {task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.fields[of]} packages"),
        TimeElapsedColumn(),
        console=errors,
    ) as bars:
        tasks: dict[str, int] = {}

        def show(program: str, done: int, total: int) -> None:
            if program not in tasks:
                tasks[program] = int(bars.add_task(program, total=None, of="…"))
            task = bars.tasks[tasks[program]].id
            bars.update(task, completed=done, total=total or None, of=total or "…")

        yield show


def _plain_build() -> BuildProgress:
    began = time.monotonic()
    said: dict[str, float] = {}

    def show(program: str, done: int, total: int) -> None:
        now = time.monotonic()
        if program in said and now - said[program] < _PLAIN_EVERY:
            return
        said[program] = now
        count = f"{done} of {total} packages" if total else "listing packages"
        errors.print(f"building {program}: {count}, {now - began:.0f} s")

    return show


@contextmanager
def starting() -> Iterator[Say]:
    """Show what each site does: a line each time that it goes on to something else."""
    began = time.monotonic()
    lock = threading.Lock()

    def say(site: str, doing: str) -> None:
        with lock:
            errors.print(f"[dim]{time.monotonic() - began:5.1f} s[/dim]  {site}: {doing}")

    yield say


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")
