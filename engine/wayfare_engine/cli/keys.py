"""`wayfare keys create | list | revoke`."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wayfare_engine.cli.cluster import run_in_worker
from wayfare_engine.cli.moments import span
from wayfare_engine.cli.processes import run
from wayfare_engine.clock import now
from wayfare_engine.identity.keys import ApiKey, Scope, new_key

if TYPE_CHECKING:
    from psycopg import AsyncConnection

app = typer.Typer(help="API keys of an engine.", no_args_is_help=True)

Engine = Annotated[
    str | None, typer.Option(help="Run in this engine's worker pod (NAME or NAMESPACE/NAME).")
]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="The engine's namespace.")]
Dsn = Annotated[
    str | None,
    typer.Option(help="PostgreSQL; WAYFARE_POSTGRESQL_DSN when not given.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for.")] = "unnamed",
    scope: Annotated[
        list[Scope] | None, typer.Option(help="Repeat for several; decide when none is given.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="How long it is good: 30d, 12h, 15m. For ever by default.")
    ] = None,
    engine: Engine = None,
    namespace: Namespace = None,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, once: only its hash is stored.

    Example: wayfare keys create --engine retail --name web-shop --scope decide --expires 90d
    """
    lifetime = span(expires) if expires else None
    scopes = scope or [Scope.DECIDE]
    if engine:
        arguments = ["keys", "create", "--name", name]
        arguments += [word for s in scopes for word in ("--scope", s.value)]
        arguments += ["--expires", expires] if expires else []
        arguments += ["--json"] if as_json else []
        raise typer.Exit(run_in_worker(engine, arguments, namespace=namespace))
    from wayfare_engine.identity import storage

    moment = now()
    made = new_key(
        name=name,
        scopes=scopes,
        now=moment,
        expires_at=moment + lifetime if lifetime else None,
        random_id=lambda: secrets.token_hex(8),
        random_secret=lambda: secrets.token_urlsafe(32),
    )
    _with_connection(dsn, lambda c: storage.add(c, made.key))
    if as_json:
        typer.echo(
            json.dumps({"key": made.text, "id": made.key.id, "scopes": sorted(made.key.scopes)})
        )
    else:
        typer.echo(made.text)
        typer.echo("Keep it: it cannot be shown again.", err=True)


@app.command("list")
def list_keys(
    engine: Engine = None, namespace: Namespace = None, dsn: Dsn = None, as_json: AsJson = False
) -> None:
    """Show the keys, without their secrets."""
    if engine:
        arguments = ["keys", "list", *(["--json"] if as_json else [])]
        raise typer.Exit(run_in_worker(engine, arguments, namespace=namespace))
    from rich.console import Console
    from rich.table import Table

    from wayfare_engine.identity import storage

    found: list[ApiKey] = []

    async def read(connection: AsyncConnection[Any]) -> None:
        found.extend(await storage.everything(connection))

    _with_connection(dsn, read)
    moment = now()
    if as_json:
        typer.echo(json.dumps([_facts(key, moment) for key in found]))
        return
    table = Table("id", "name", "scopes", "created", "expires", "state")
    for key in found:
        facts = _facts(key, moment)
        table.add_row(
            key.id,
            key.name,
            " ".join(sorted(key.scopes)),
            f"{key.created_at:%Y-%m-%d %H:%M}",
            f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "never",
            facts["state"],
        )
    Console().print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id: the part after wf_, 16 characters.")],
    engine: Engine = None,
    namespace: Namespace = None,
    dsn: Dsn = None,
) -> None:
    """End a key; serving pods refuse it within 5 seconds."""
    if engine:
        raise typer.Exit(
            run_in_worker(engine, ["keys", "revoke", "--", key_id], namespace=namespace)
        )
    from wayfare_engine.identity import storage

    found = re.match(r"(?:wf_)?([0-9a-f]{16})", key_id)
    ended: list[bool] = []

    async def end(connection: AsyncConnection[Any]) -> None:
        ended.append(found is not None and await storage.revoke(connection, found[1], now()))

    _with_connection(dsn, end)
    if not ended or not ended[0]:
        typer.echo(f"wayfare: there is no key {key_id[:19]!r}", err=True)
        raise typer.Exit(1)
    typer.echo("revoked")


def _facts(key: ApiKey, moment: datetime) -> dict[str, Any]:
    state = "valid" if key.valid_at(moment) else "revoked" if key.revoked_at else "expired"
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "state": state,
    }


def _with_connection(
    dsn: str | None, do: Callable[[AsyncConnection[Any]], Awaitable[None]]
) -> None:
    from psycopg import AsyncConnection

    from wayfare_engine.settings import load_settings

    address = dsn or load_settings().dsn

    async def work() -> int:
        async with await AsyncConnection.connect(address, autocommit=True) as connection:
            await do(connection)
        return 0

    run(work())
