"""What the commands of `wayfare ledger` have in common: options, addresses, progress."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from wayfare_engine.objectstore import ObjectStore

Dsn = Annotated[
    str | None,
    typer.Option(help="PostgreSQL; WAYFARE_POSTGRESQL_DSN when not given.", show_default=False),
]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="The object store; WAYFARE_OBJECT_STORE_URL when not given.",
        show_default=False,
    ),
]
Plan = Annotated[
    str | None,
    typer.Option(help="The recovery plan; WAYFARE_RECOVERY_PLAN when not given."),
]
Site = Annotated[str | None, typer.Option(help="This site; WAYFARE_SITE when not given.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def address(given: str | None) -> str:
    """The database."""
    if given:
        return given
    from wayfare_engine.settings import load_settings

    return load_settings().direct_dsn


def open_store(url: str | None) -> ObjectStore:
    """The object store. Raises MissingSetting, StoreProblem."""
    from wayfare_engine.objectstore import open_store as opened
    from wayfare_engine.settings import MissingSetting

    found = url or os.environ.get("WAYFARE_OBJECT_STORE_URL")
    if not found:
        raise MissingSetting("WAYFARE_OBJECT_STORE_URL", "is not set; or give --store")
    return opened(found)


def plan_name(given: str | None) -> str:
    """The recovery plan."""
    return given or os.environ.get("WAYFARE_RECOVERY_PLAN") or "default"


def site_name(given: str | None) -> str:
    """This site."""
    return given or os.environ.get("WAYFARE_SITE") or "local"


@contextmanager
def progress(what: str) -> Iterator[Any]:
    """A bar on standard error, gone when it is done; gives `told(name, done, total)`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda name, done, total: bar.update(
            task, description=f"{what} {name}", completed=done, total=total
        )
