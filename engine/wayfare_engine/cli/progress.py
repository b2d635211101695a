"""Progress on standard error: gone when it is done, and silent where nobody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(what: str, *, bytes_: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar; gives `told(done, total)`, of rows or of bytes."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    amount = DownloadColumn() if bytes_ else MofNCompleteColumn()
    shown = Progress(
        TextColumn(what),
        BarColumn(),
        amount,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


@contextmanager
def counting(what: str) -> Iterator[Callable[[str, int], None]]:
    """For what has no known end; gives `told(name, bytes)`."""
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield lambda name, done: status.update(f"{what}: {name}, {done / 1e6:.0f} MB")
