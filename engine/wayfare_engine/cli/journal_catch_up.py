"""`wayfare journal catch-up` and `wayfare journal snapshot take | list | prune`."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wayfare_engine.cli.progress import counting, progress_bar
from wayfare_engine.cli.recovery_options import (
    AsJson,
    Dsn,
    Plan,
    StoreUrl,
    direct_address,
    open_named_store,
    plan_name,
)

if TYPE_CHECKING:
    from wayfare_engine.journal.catch_up import CatchUp, CatchUpReport
    from wayfare_engine.journal.snapshots import Found
    from wayfare_engine.objectstore import ObjectStore

snapshot_app = typer.Typer(
    help="Snapshots of the projections: take, list, prune.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands to `wayfare journal`."""
    app.command("catch-up")(catch_up)
    app.add_typer(snapshot_app, name="snapshot")


def catch_up(
    dsn: Dsn = None,
    store: StoreUrl = None,
    plan: Plan = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as segments arrive, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.01, help="With --follow: seconds between looks.")
    ] = 0.5,
    from_snapshot: Annotated[
        bool,
        typer.Option(
            "--from-snapshot/--no-snapshot",
            help="Into an empty database: the newest snapshot first, or all from the beginning.",
        ),
    ] = True,
    history: Annotated[
        bool,
        typer.Option(
            "--history",
            help="Then bring the rows themselves into the ledger (for explanations of old "
            "decisions; nothing else needs them).",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring this database to what the journal holds. Safe to interrupt and to repeat.

    Blobs that rows in use refer to are fetched at the end. Exit code 1 when the journal is damaged
    or another process is at it, 3 when the store or PostgreSQL cannot be used.

    Example: wayfare journal catch-up --store s3://recovery/retail --follow
    """
    from wayfare_engine.customers import applying
    from wayfare_engine.journal.catch_up import CatchUp

    opened, wanted = open_named_store(store), plan_name(plan)
    applying.register()
    with CatchUp.opened(direct_address(dsn), opened, plan=wanted) as session:
        with progress_bar("restoring a snapshot", bytes_=True) as told:
            snapshot = session.restore(progress=told) if from_snapshot else None
        with progress_bar("catching up") as told:
            report = session.once(progress=told)
        _say(report, snapshot, as_json)
        _fetch_blobs(session, opened, as_json)
        if history:
            _history(session, as_json)
        if follow:
            _follow(session, every, as_json)


def _say(report: CatchUpReport, snapshot: str | None, as_json: bool) -> None:
    facts = report.facts() | {"snapshot": snapshot}
    if as_json:
        typer.echo(json.dumps(facts))
        return
    if snapshot is not None:
        typer.echo(f"restored snapshot {snapshot}")
    rate = f", {facts['rows_per_second']:,} a second" if report.total and report.seconds else ""
    typer.echo(f"applied {report.total:,} rows of {report.segments:,} segments{rate}")
    for kind, count in facts["rows"].items():
        typer.echo(f"  {kind:<16} {count:>12,}")
    for why, count in facts["skipped"].items():
        if count:
            typer.echo(f"  skipped, {why.replace('_', ' ')}: {count:,}")
    for chain, seq in facts["watermark"].items():
        closed = facts["closed"].get(chain)
        typer.echo(f"{chain} at {seq:,}" + (f", closed by epoch {closed}" if closed else ""))
    typer.echo(f"remaining in the store: {report.remaining:,} rows")


def _fetch_blobs(session: CatchUp, store: ObjectStore, as_json: bool) -> None:
    from wayfare_engine.privacy import batches
    from wayfare_engine.store.blobs import fetch_missing

    batches.sync(session.connection, store)
    fetched = fetch_missing(session.connection, store)
    if fetched:
        typer.echo(json.dumps({"blobs": fetched}) if as_json else f"fetched {fetched} blobs")


def _history(session: CatchUp, as_json: bool) -> None:
    from wayfare_engine.journal.history import bring_history

    with progress_bar("bringing history") as told:
        brought = bring_history(session, progress=told)
    left_out = [f"{site}/{epoch}" for site, epoch in brought.left_out]
    if as_json:
        typer.echo(json.dumps({"history": brought.rows, "left_out": left_out}))
        return
    typer.echo(f"history: {brought.rows:,} rows")
    if left_out:
        typer.echo(f"left out while this site's sealer runs: {', '.join(left_out)}")


def _follow(session: CatchUp, every: float, as_json: bool) -> None:
    import signal
    import threading

    stop = threading.Event()
    for wanted in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wanted, lambda *_: stop.set())

    def told(report: CatchUpReport) -> None:
        if report.segments or report.closed:
            facts = report.facts()
            if as_json:
                typer.echo(json.dumps(facts))
            elif report.segments:
                typer.echo(f"applied {report.total:,} rows up to {report.sealed_at}")

    session.follow(stop, seconds=every, told=told)


@snapshot_app.command("take")
def take_snapshot(
    dsn: Dsn = None, store: StoreUrl = None, plan: Plan = None, as_json: AsJson = False
) -> None:
    """Write a snapshot of this database's projections into the store.

    Only from a database that holds nothing but what is sealed: the recovery site's, after
    catch-up.

    Example: wayfare journal snapshot take --store s3://recovery/retail
    """
    from wayfare_engine.clock import now
    from wayfare_engine.journal.snapshot import snapshot_id, take

    opened = open_named_store(store)
    name = snapshot_id(now(), secrets.token_hex(4))
    with counting("writing a snapshot") as told:
        manifest = take(
            direct_address(dsn),
            opened,
            plan=plan_name(plan),
            snapshot=name,
            clock=now,
            progress=told,
        )
    facts = {"id": manifest.id, "rows_covered": manifest.rows_covered, "bytes": manifest.size}
    typer.echo(
        json.dumps(facts)
        if as_json
        else f"{manifest.id}: {manifest.size / 1e6:.1f} MB, stands for {manifest.rows_covered:,} "
        "rows of the journal"
    )


@snapshot_app.command("list")
def list_snapshots(store: StoreUrl = None, plan: Plan = None, as_json: AsJson = False) -> None:
    """Show the snapshots in the store, the newest first.

    Example: wayfare journal snapshot list --store s3://recovery/retail
    """
    from wayfare_engine.journal.snapshots import snapshots
    from wayfare_engine.objectstore.marker import check

    opened = open_named_store(store)
    check(opened, plan_name(plan))
    found = list(snapshots(opened))
    if as_json:
        typer.echo(json.dumps([_facts(one) for one in found]))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("snapshot", "plan", "rows of the journal", "MB", "state")
    for one in found:
        if one.manifest is None:
            table.add_row(one.id, "", "", "", one.problem)
        else:
            manifest = one.manifest
            table.add_row(
                one.id,
                manifest.plan,
                f"{manifest.rows_covered:,}",
                f"{manifest.size / 1e6:.1f}",
                f"schema {manifest.revision}",
            )
    Console().print(table)


@snapshot_app.command("prune")
def prune_snapshots(
    store: StoreUrl = None,
    plan: Plan = None,
    keep: Annotated[int, typer.Option(min=1, help="How many complete ones stay.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Remove old snapshots, and those that were never finished. The newest complete one stays.

    Example: wayfare journal snapshot prune --keep 3
    """
    from wayfare_engine.journal.snapshots import prune
    from wayfare_engine.objectstore.marker import check

    opened = open_named_store(store)
    check(opened, plan_name(plan))
    removed = prune(opened, keep=keep)
    if as_json:
        typer.echo(json.dumps({"removed": removed}))
    else:
        typer.echo("\n".join(f"removed {name}" for name in removed) or "nothing to remove")


def _facts(one: Found) -> dict[str, Any]:
    if one.manifest is None:
        return {"id": one.id, "complete": False, "problem": one.problem}
    manifest = one.manifest
    return {
        "id": one.id,
        "complete": True,
        "plan": manifest.plan,
        "taken_at": manifest.taken_at.isoformat(),
        "revision": manifest.revision,
        "bytes": manifest.size,
        "rows_covered": manifest.rows_covered,
        "watermark": {f"{at.site}/{at.epoch}": at.seq for at in manifest.watermark},
    }
