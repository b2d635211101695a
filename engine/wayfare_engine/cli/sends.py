"""`wayfare sends status | unknown`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from psycopg import Connection

app = typer.Typer(help="Sends: where they stand, and which are unknown.", no_args_is_help=True)

Dsn = Annotated[
    str | None,
    typer.Option(help="PostgreSQL; WAYFARE_POSTGRESQL_DSN when not given.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def _group() -> None:
    pass


@app.command()
def status(dsn: Dsn = None, as_json: AsJson = False) -> None:
    """Count the sends that are planned, in doubt, unknown, accepted, and ended otherwise.

    Example: wayfare sends status --dsn postgresql://wayfare@localhost/wayfare
    """
    from wayfare_engine.outbox.in_doubt import standings

    with _connected(dsn) as connection:
        found = standings(connection)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for standing in ("planned", "offered", "in_doubt", "unknown", "accepted", "other"):
        typer.echo(f"{standing.replace('_', ' '):9} {found.get(standing, 0)}")


@app.command()
def unknown(
    dsn: Dsn = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """List the sends of which nobody can say whether they took effect, newest first.

    They are never repeated: ask the provider about them, by the send key or the customer.

    Example: wayfare sends unknown --limit 20 --json
    """
    from wayfare_engine.outbox.in_doubt import unknown_sends

    with _connected(dsn) as connection:
        found = unknown_sends(connection, limit=limit)
    if as_json:
        typer.echo(json.dumps([asdict(send) for send in found], default=str))
        return
    if not found:
        typer.echo("none is unknown")
    for send in found:
        typer.echo(
            f"{send.dispatched_at:%Y-%m-%d %H:%M:%S} {send.channel} {send.customer} "
            f"{send.send_key} (site {send.site}, epoch {send.epoch}): {send.detail}"
        )


def _connected(dsn: str | None) -> Connection[Any]:
    import psycopg

    from wayfare_engine.settings import load_settings

    return psycopg.connect(dsn or load_settings().direct_dsn, autocommit=True)
