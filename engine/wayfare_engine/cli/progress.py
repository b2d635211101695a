"""Bars on standard error, gone when they are done; nothing is drawn where nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import typer


def progress_bar(
    what: str, *, bytes_: bool = False
) -> AbstractContextManager[Callable[[int, int], None]]:
    """A bar that is told `(done, total)`."""
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TimeRemainingColumn

    amount = DownloadColumn() if bytes_ else MofNCompleteColumn()
    return _bar(what, BarColumn(), amount, TimeRemainingColumn())


@contextmanager
def seconds_bar(what: str, total: float) -> Iterator[Callable[[float], None]]:
    """A bar that is told how many seconds of `total` are over; a line where nobody watches one."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn

    if not Console(stderr=True).is_terminal:
        typer.echo(f"{what} {total:.1f} s", err=True)
        yield lambda over: None
        return
    columns = TextColumn("{task.completed:.0f} of {task.total:.0f} s")
    with _bar(what, BarColumn(), columns) as told:
        yield lambda over: told(over, total)


@contextmanager
def named_progress(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar that is told `(name, done, total)`, one name after the other."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda name, done, total: bar.update(
            task, description=f"{what} {name}", completed=done, total=total
        )


@contextmanager
def counting(what: str) -> Iterator[Callable[[str, int], None]]:
    """For what has no known end: it is told a name and bytes."""
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield lambda name, done: status.update(f"{what}: {name}, {done / 1e6:.0f} MB")


@contextmanager
def _bar(what: str, *columns: object) -> Iterator[Callable[[float, float], None]]:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TextColumn

    shown = [column for column in columns if isinstance(column, ProgressColumn)]
    console = Console(stderr=True)
    hidden = not console.is_terminal
    with Progress(TextColumn(what), *shown, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
