"""`wayfare crds`: help for administrators of the custom resource definitions."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The custom resource definitions and what is stored under them.",
)


@app.callback()
def group() -> None:
    """The custom resource definitions and what is stored under them."""


@app.command()
def migrate(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Rewrite every stored object in the storage version of its kind.

    Run it after an upgrade that changed the storage version, with the rights of an administrator.
    Safe to repeat, and while the operator runs.

    Example: `KUBECONFIG=… wayfare crds migrate`
    """
    # Imported here: help needs no Kubernetes client.
    from kubernetes.aio.config.config_exception import ConfigException

    from wayfare_operator.kube.client import ApiError, ApiUnreachable
    from wayfare_operator.migrate import migrate as rewrite

    def progress(kind: str, count: int) -> None:
        typer.echo(f"{kind}: {count}", err=True)

    try:
        counts = asyncio.run(rewrite(progress))
    except ConfigException as error:
        typer.echo(f"no cluster: {error}. Set KUBECONFIG.", err=True)
        raise typer.Exit(3) from None
    except (ApiError, ApiUnreachable) as error:
        typer.echo(f"stopped: {error}. Running it again is safe.", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(counts))
    else:
        typer.echo(f"{sum(counts.values())} objects rewritten")
