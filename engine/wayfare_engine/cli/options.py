"""Options that several groups of commands have in common, and what they mean when not given."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

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
        help="s3://BUCKET/PREFIX, gs://…, az://… or file:///FOLDER; WAYFARE_OBJECT_STORE_URL when "
        "not given.",
        show_default=False,
    ),
]
Plan = Annotated[
    str | None,
    typer.Option(help="The recovery plan; WAYFARE_RECOVERY_PLAN when not given."),
]
ThisSite = Annotated[
    str | None, typer.Option("--site", help="This site's name; WAYFARE_SITE when not given.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def address(given: str | None) -> str:
    """The address past any pooler. Raises MissingSetting."""
    if given:
        return given
    from wayfare_engine.settings import load_settings

    return load_settings().direct_dsn


def opened(url: str | None) -> ObjectStore:
    """The object store. Raises MissingSetting, StoreProblem."""
    from wayfare_engine.objectstore import open_store
    from wayfare_engine.settings import MissingSetting

    found = url or os.environ.get("WAYFARE_OBJECT_STORE_URL")
    if not found:
        raise MissingSetting("WAYFARE_OBJECT_STORE_URL", "is not set; or give --store")
    return open_store(found)


def plan_of(given: str | None) -> str:
    """The recovery plan's name."""
    return given or os.environ.get("WAYFARE_RECOVERY_PLAN") or "default"


def site_of(given: str | None) -> str:
    """This site's name."""
    return given or os.environ.get("WAYFARE_SITE") or "local"
