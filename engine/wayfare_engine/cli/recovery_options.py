"""Options that the commands of the journal and the lease share, and what they stand for."""

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


def open_named_store(given: str | None) -> ObjectStore:
    """The store that `--store` or the environment names. Raises MissingSetting, StoreProblem."""
    from wayfare_engine.objectstore import open_store
    from wayfare_engine.settings import MissingSetting, load_settings

    settings = load_settings(postgresql_dsn="")
    found = given or settings.object_store_url
    if not found:
        raise MissingSetting("WAYFARE_OBJECT_STORE_URL", "is not set; or give --store")
    return open_store(found, timeout_seconds=settings.object_store_timeout_seconds)


def plan_name(given: str | None) -> str:
    """The recovery plan's name."""
    return given or os.environ.get("WAYFARE_RECOVERY_PLAN") or "default"


def direct_address(given: str | None) -> str:
    """The address of PostgreSQL past any pooler. Raises MissingSetting."""
    if given:
        return given
    from wayfare_engine.settings import load_settings

    return load_settings().direct_dsn


def site_name(given: str | None) -> str:
    """This site."""
    return given or os.environ.get("WAYFARE_SITE") or "local"
