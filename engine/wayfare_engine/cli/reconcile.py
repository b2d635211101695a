"""`wayfare reconcile recover | list | merge | show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wayfare_engine.cli.progress import progress_bar
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
from wayfare_engine.errors import FAILED

if TYPE_CHECKING:
    from wayfare_engine.reconcile import Merged, Summary, Tail

app = typer.Typer(
    help="What a lost site had and never shipped: recover it, put it back, account for it.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    pass


@app.command()
def recover(
    dsn: Dsn = None,
    store: StoreUrl = None,
    plan: Plan = None,
    site: ThisSite = None,
    as_json: AsJson = False,
) -> None:
    """At the site that came back: put the rows that are in no closed chain into the store.

    Nobody writes under the lost epoch any more after it. Afterwards `wayfare ledger rebuild` makes
    this database what the chains alone give. Safe to interrupt and to repeat.

    Example: wayfare reconcile recover --site east --store s3://recovery/retail
    """
    import psycopg

    from wayfare_engine.reconcile import recover as run

    found_store = open_named_store(store)
    with (
        psycopg.connect(direct_address(dsn), autocommit=True) as connection,
        progress_bar("recovering") as told,
    ):
        found = run(
            connection, found_store, plan=plan_name(plan), site=site_name(site), progress=told
        )
    if as_json:
        typer.echo(json.dumps([tail.facts() for tail in found]))
        return
    if not found:
        typer.echo("no chain of this site is closed: nothing is stranded")
    for tail in found:
        _say_tail(tail, None)


@app.command("list")
def list_tails(dsn: Dsn = None, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Show the tails in the store, and whether they were merged into this database.

    Example: wayfare reconcile list --store s3://recovery/retail
    """
    import psycopg

    from wayfare_engine.reconcile import tails
    from wayfare_engine.reconcile.report import merged_in

    with psycopg.connect(direct_address(dsn), autocommit=True) as connection:
        found = [(tail, merged_in(connection, tail)) for tail in tails(open_named_store(store))]
    if as_json:
        typer.echo(json.dumps([tail.facts() | {"mergedIn": epoch} for tail, epoch in found]))
        return
    if not found:
        typer.echo("no tail was recovered")
    for tail, epoch in found:
        _say_tail(tail, "not merged" if epoch is None else f"merged in epoch {epoch}")


@app.command()
def merge(
    tail: Annotated[
        list[str] | None,
        typer.Argument(help="Tails, by the first digits of their digests; all when not given."),
    ] = None,
    dsn: Dsn = None,
    store: StoreUrl = None,
    plan: Plan = None,
    site: ThisSite = None,
    as_json: AsJson = False,
) -> None:
    """At the site that acts: decide about every row of a tail by the written rules.

    The decisions are rows of the acting epoch. Tails of later epochs come first. Safe to interrupt
    and to repeat: a row that has a decision keeps it.

    Example: wayfare reconcile merge --site west --store s3://recovery/retail
    """
    import psycopg

    from wayfare_engine.clock import new_id, now
    from wayfare_engine.customers import applying
    from wayfare_engine.reconcile import merge as run
    from wayfare_engine.reconcile import summary, tails
    from wayfare_engine.reconcile.tail import find

    applying.register()
    found_store = open_named_store(store)
    wanted = [find(found_store, name) for name in tail or ()] or tails(found_store)
    told: list[dict[str, Any]] = []
    with psycopg.connect(direct_address(dsn), autocommit=True) as connection:
        for one in sorted(wanted, key=lambda t: -t.manifest.epoch):
            with progress_bar(f"merging {one.digest[:12]}") as progress:
                done = run(
                    connection,
                    found_store,
                    one,
                    plan=plan_name(plan),
                    site=site_name(site),
                    ids=new_id,
                    clock=now,
                    progress=progress,
                )
            counts = summary(connection, found_store, one)
            told.append(_merged_facts(done) | counts.facts())
            if not as_json:
                _say_merged(done, counts)
    if as_json:
        typer.echo(json.dumps(told))
    elif not told:
        typer.echo("no tail was recovered: nothing to merge")


@app.command()
def show(
    tail: Annotated[str, typer.Argument(help="The first digits of the tail's digest.")],
    dsn: Dsn = None,
    store: StoreUrl = None,
    rows: Annotated[
        Path | None,
        typer.Option(help="Write what became of each row to this file, a JSON object a line."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Account for a tail: what became of its rows here, and by which rules.

    Exit code 1 while a row has no decision.

    Example: wayfare reconcile show 5f3a9c --rows accounted.jsonl
    """
    import psycopg

    from wayfare_engine.reconcile import entries, summary
    from wayfare_engine.reconcile.tail import find

    found_store = open_named_store(store)
    wanted = find(found_store, tail)
    with psycopg.connect(direct_address(dsn), autocommit=True) as connection:
        if rows is not None:
            with rows.open("w") as file:
                for entry in entries(connection, found_store, wanted):
                    file.write(json.dumps(entry.facts()) + "\n")
        counts = summary(connection, found_store, wanted)
    if as_json:
        typer.echo(json.dumps(wanted.facts() | counts.facts()))
    else:
        _say_tail(
            wanted,
            "not merged" if counts.merged_in is None else f"merged in epoch {counts.merged_in}",
        )
        _say_summary(counts)
    if not counts.accounted_for:
        raise typer.Exit(FAILED)


def _say_tail(tail: Tail, state: str | None) -> None:
    manifest = tail.manifest
    said = f"{tail.digest[:12]}  {manifest.site}/{manifest.epoch}: {manifest.rows:,} rows stranded"
    said += f" after position {manifest.at_seq:,}, closed by epoch {manifest.closed_by}"
    typer.echo(said + (f", {state}" if state else ""))
    for kind, count in manifest.kinds.items():
        typer.echo(f"  {kind:<16} {count:>12,}")
    if manifest.oldest_at and manifest.newest_at:
        typer.echo(
            f"  from {manifest.oldest_at:%Y-%m-%d %H:%M:%S} "
            f"to {manifest.newest_at:%Y-%m-%d %H:%M:%S} UTC"
        )


def _merged_facts(done: Merged) -> dict[str, Any]:
    return done.tail.facts() | {
        "epoch": done.epoch,
        "originEpoch": done.tail.manifest.epoch,
        "decidedNow": done.rows,
        "decidedBefore": done.before,
        "again": done.again,
    }


def _say_merged(done: Merged, counts: Summary) -> None:
    manifest = done.tail.manifest
    before = f", {done.before:,} had been decided before" if done.before else ""
    typer.echo(
        f"{done.tail.digest[:12]}  {manifest.site}/{manifest.epoch} merged in epoch {done.epoch}: "
        f"{done.rows:,} rows decided now{before}"
    )
    _say_summary(counts)


def _say_summary(counts: Summary) -> None:
    from rich.console import Console
    from rich.table import Table

    from wayfare_engine.reconcile.rules import RULES

    table = Table("rows", "resolution", "rule", "which says")
    for rule, count in counts.rules.most_common():
        resolution, says = RULES.get(rule, ("", "a rule of a newer Wayfare"))
        table.add_row(f"{count:,}", str(resolution), rule, says)
    if counts.rules:
        Console().print(table)
    for rule, named in sorted(counts.attention.items()):
        more = counts.rules[rule] - len(named)
        typer.echo(f"look at {rule}:")
        for entry in named:
            whom = f" of {entry.customer}" if entry.customer else ""
            typer.echo(f"  {entry.kind} {entry.id}{whom}, {entry.at:%Y-%m-%d %H:%M:%S} UTC")
        if more:
            typer.echo(f"  and {more:,} more (--rows FILE names them all)")
    typer.echo(
        f"every one of {counts.rows:,} rows is accounted for"
        if counts.accounted_for
        else f"{counts.undecided:,} of {counts.rows:,} rows have no decision yet: run "
        "`wayfare reconcile merge`"
    )
