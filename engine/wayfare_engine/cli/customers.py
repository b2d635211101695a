"""`wayfare customers erase | keys`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wayfare_engine.cli.cluster import run_in_worker
from wayfare_engine.clock import new_id, now

if TYPE_CHECKING:
    from wayfare_engine.settings import Settings

app = typer.Typer(
    help="Customers: erase one, bring the keys of sealed fields.", no_args_is_help=True
)

Engine = Annotated[
    str | None, typer.Option(help="Run in this engine's worker pod (NAME or NAMESPACE/NAME).")
]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="The engine's namespace.")]
Dsn = Annotated[
    str | None,
    typer.Option(help="PostgreSQL; WAYFARE_POSTGRESQL_DSN when not given.", show_default=False),
]
Store = Annotated[
    str | None,
    typer.Option(help="Object store; WAYFARE_OBJECT_STORE_URL when not given.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def erase(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger. No names here.")],
    engine: Engine = None,
    namespace: Namespace = None,
    dsn: Dsn = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Destroy a customer's keys, here and in the object store, and write that down.

    What was sealed by them cannot be opened again at either site, once the other one has caught up.
    There is no way back. A backup of PostgreSQL, or a bucket that keeps old versions of `keys/`,
    still has the keys: see docs/privacy.md. Safe to run again; exit code 3 when the store could not
    be reached, and then run it again.

    Example: wayfare customers erase C1042 --engine retail --reason "request 2026-118"
    """
    if engine:
        arguments = ["customers", "erase", "--reason", reason, *(["--json"] if as_json else [])]
        raise typer.Exit(run_in_worker(engine, [*arguments, "--", customer], namespace=namespace))
    import psycopg

    from wayfare_engine.customers.erasing import erase as erase_customer

    settings = _settings(dsn, store)
    with psycopg.connect(settings.direct_dsn, autocommit=True) as connection:
        done = erase_customer(
            connection,
            _object_store(settings),
            customer,
            reason=reason,
            site=settings.site,
            row_id=new_id(),
            now=now(),
        )
    if as_json:
        facts = {"customer": customer, "keys": done.keys, "again": done.again}
        typer.echo(json.dumps(facts))
    elif done.again and not done.keys:
        typer.echo("erased before; nothing was left to destroy")
    else:
        typer.echo(f"erased; {done.keys} key{'' if done.keys == 1 else 's'} destroyed")


@app.command()
def keys(dsn: Dsn = None, store: Store = None, as_json: AsJson = False) -> None:
    """Bring the customers' wrapped keys from the object store, and drop those that were destroyed.

    Part of catching up; by itself for a site whose key table was lost.

    Example: wayfare customers keys --store s3://recovery/retail
    """
    import psycopg
    from rich.console import Console

    from wayfare_engine.privacy import batches
    from wayfare_engine.settings import MissingSetting

    settings = _settings(dsn, store)
    objects = _object_store(settings)
    if objects is None:
        raise MissingSetting("WAYFARE_OBJECT_STORE_URL", "is not set")
    with (
        Console(stderr=True).status("reading keys"),
        psycopg.connect(settings.direct_dsn, autocommit=True) as connection,
    ):
        read = batches.sync(connection, objects)
        row = connection.execute("SELECT count(*) FROM wayfare.customer_keys").fetchone()
    held = int(row[0]) if row else 0
    if as_json:
        typer.echo(json.dumps({"objects": read, "keys": held}))
    else:
        typer.echo(f"{read} objects read; {held} keys are here")


def _settings(dsn: str | None, store: str | None) -> Settings:
    from wayfare_engine.settings import load_settings

    overrides: dict[str, Any] = {}
    if dsn:
        overrides |= {"postgresql_dsn": dsn, "postgresql_direct_dsn": None}
    if store:
        overrides["object_store_url"] = store
    return load_settings(**overrides)


def _object_store(settings: Settings) -> Any:
    from wayfare_engine.objectstore import open_store

    url = settings.object_store_url
    return open_store(url) if url is not None else None
