"""`wayfare ledger rebuild`: the projections again, from the chains alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from wayfare_engine.cli.progress import named_progress
from wayfare_engine.cli.recovery_options import (
    AsJson,
    Dsn,
    Plan,
    StoreUrl,
    ThisSite,
    direct_address,
    open_named_store,
    plan_name,
    site_name,
)

if TYPE_CHECKING:
    from wayfare_engine.journal.rebuilding import RebuildReport
    from wayfare_engine.objectstore import ObjectStore


def register(app: typer.Typer) -> None:
    """Add the command to `wayfare ledger`."""
    app.command("rebuild")(rebuild)


def rebuild(
    dsn: Dsn = None,
    store: StoreUrl = None,
    plan: Plan = None,
    site: ThisSite = None,
    discard_unsealed: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Give up what the rows that are in no segment have changed; how many there are.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Empty this database's projections and fill them from the chains in the store, and say
    whether they came out as they were.

    Nobody can write meanwhile, also when this is interrupted: run it again, and it goes on.
    Refused while a worker seals here, while rows are in no segment (a rebuild reads only chains),
    and when the store has less than was applied here. Exit code 1 when refused, 3 when the store or
    PostgreSQL cannot be used.

    Example: wayfare ledger rebuild --store s3://recovery/retail
    """
    from wayfare_engine.clock import now
    from wayfare_engine.customers import applying
    from wayfare_engine.journal.rebuilding import rebuild as run

    opened, where = open_named_store(store), direct_address(dsn)
    applying.register()
    with named_progress("rebuilding:") as told:
        report = run(
            where,
            opened,
            plan=plan_name(plan),
            site=site_name(site),
            clock=now,
            discard=discard_unsealed,
            hashing=told,
            progress=lambda done, total: told("rows", done, total),
        )
    fetched = _fetch_blobs(where, opened)
    if as_json:
        typer.echo(json.dumps(report.facts() | {"blobs": fetched}))
    else:
        _say(report, fetched)


def _fetch_blobs(dsn: str, store: ObjectStore) -> int:
    import psycopg

    from wayfare_engine.store.blobs import fetch_missing

    with psycopg.connect(dsn, autocommit=True) as connection:
        return fetch_missing(connection, store)


def _say(report: RebuildReport, fetched: int) -> None:
    facts = report.applied.facts()
    if report.resumed:
        typer.echo("went on with a rebuild that was interrupted")
    rate = facts["rows_per_second"]
    typer.echo(
        f"applied {report.applied.total:,} rows of {report.applied.segments:,} segments"
        + (f", {rate:,} a second" if rate else "")
    )
    for kind, count in facts["rows"].items():
        typer.echo(f"  {kind:<16} {count:>12,}")
    for chain, seq in facts["watermark"].items():
        typer.echo(f"{chain} at {seq:,}")
    if report.discarded:
        typer.echo(f"given up: what {report.discarded:,} rows in no segment had changed")
    if fetched:
        typer.echo(f"fetched {fetched} blobs")
    if not report.different:
        typer.echo("the digests before and after are equal")
        return
    typer.echo("the digests before and after are different:")
    after = report.after.facts()["tables"]
    for name in report.different:
        before = report.before.get(name, {"rows": 0, "digest": "none"})
        typer.echo(
            f"  {name:<18} {before['rows']:>12,} rows {before['digest']}\n"
            f"  {'':<18} {after[name]['rows']:>12,} rows {after[name]['digest']}"
        )
