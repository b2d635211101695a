"""`wayfare recovery secrets`: tell keyed digests of the Secrets that are mounted here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from wayfare_engine.cli.recovery_options import (
    AsJson,
    Plan,
    StoreUrl,
    ThisSite,
    open_named_store,
    plan_name,
    site_name,
)

KEY = "WAYFARE_SECRETS_DIGEST_KEY"


def secrets(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Holds a folder for each Secret, as volumes are mounted.",
            exists=True,
            file_okay=False,
        ),
    ],
    present: Annotated[
        list[str] | None,
        typer.Option(help="A Secret that need not be the same at both sites; may be repeated."),
    ] = None,
    plan: Plan = None,
    site: ThisSite = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Tell the other site which Secrets this one has, by keyed digests.

    The key is WAYFARE_SECRETS_DIGEST_KEY, the same at both sites. No content leaves this process.
    """
    from wayfare_engine.clock import now
    from wayfare_engine.runs import secrets as seen
    from wayfare_engine.settings import MissingSetting

    key = os.environ.get(KEY)
    if not key:
        raise MissingSetting(KEY, "is not set")
    name = site_name(site)
    told = seen.SecretsSeen(
        site=name, at=now(), digests=seen.look(folder, key, present=present or ())
    )
    seen.write(open_named_store(store), plan_name(plan), told)
    if as_json:
        typer.echo(json.dumps(told.digests, indent=2, sort_keys=True))
        return
    for one, digest in told.digests.items():
        typer.echo(f"{one}: {'not there' if digest is None else digest}")
