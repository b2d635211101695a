"""`wayfare journal status | verify | tail | catch-up`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from wayfare_engine.cli import journal_catch_up
from wayfare_engine.cli.progress import progress_bar
from wayfare_engine.cli.recovery_options import (
    AsJson,
    Dsn,
    Plan,
    StoreUrl,
    direct_address,
    open_named_store,
    plan_name,
    site_name,
)
from wayfare_engine.errors import FAILED

if TYPE_CHECKING:
    from wayfare_engine.journal.segment import Closed, Segment
    from wayfare_engine.journal.status import JournalStatus
    from wayfare_engine.journal.verify import Verified
    from wayfare_engine.objectstore import ObjectStore

app = typer.Typer(
    help="The journal in the object store: status, verify, catch-up, tail.", no_args_is_help=True
)

Site = Annotated[str | None, typer.Option(help="Only this site's chains.")]
Epoch = Annotated[int | None, typer.Option(min=1, help="Only chains of this epoch.")]


@app.callback()
def _group() -> None:
    pass


journal_catch_up.register(app)


@app.command()
def status(dsn: Dsn = None, site: Site = None, as_json: AsJson = False) -> None:
    """Show what is sealed at this site, what waits, and what holds it back.

    Exit code 1 when sealing does not work: a problem, or a transaction that holds it back.

    Example: wayfare journal status --dsn postgresql://wayfare@localhost/wayfare
    """
    import psycopg

    from wayfare_engine.journal.status import status as ask

    with psycopg.connect(direct_address(dsn), autocommit=True) as connection:
        found = ask(connection, site_name(site))
    if as_json:
        typer.echo(json.dumps(found.facts()))
    else:
        _show_status(found)
    if found.problem is not None or found.stalled is not None:
        raise typer.Exit(FAILED)


@app.command()
def verify(
    store: StoreUrl = None,
    plan: Plan = None,
    site: Site = None,
    epoch: Epoch = None,
    as_json: AsJson = False,
) -> None:
    """Check every byte and every link of the chains, and name each object that is not right.

    Exit code 1 when something was found.

    Example: wayfare journal verify --store s3://recovery/retail --site east
    """
    from wayfare_engine.journal.verify import verify as check

    opened = open_named_store(store)
    with progress_bar("verifying") as told:
        found = check(opened, plan=plan_name(plan), site=site, epoch=epoch, progress=told)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "ok": found.ok,
                    "plan": found.plan,
                    "chains": [vars(c) for c in found.chains],
                    "findings": [vars(f) for f in found.findings],
                }
            )
        )
    else:
        _show_verified(found)
    if not found.ok:
        raise typer.Exit(FAILED)


@app.command()
def tail(
    store: StoreUrl = None,
    plan: Plan = None,
    site: Site = None,
    epoch: Epoch = None,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, help="How many of the last.")] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as rows arrive.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the last rows of each chain, and with --follow the new ones.

    With --json one object a row and line. A body's sensitive fields stay sealed.

    Example: wayfare journal tail --store s3://recovery/retail --site east -n 20 --follow
    """
    opened, wanted = open_named_store(store), plan_name(plan)
    from wayfare_engine.journal.chain import chains
    from wayfare_engine.objectstore.marker import check

    check(opened, wanted)
    reached: dict[tuple[str, int], tuple[int, str]] = {}
    while True:
        for chain in chains(opened):
            if (site, epoch) in {(None, None), (chain[0], None), (None, chain[1]), chain}:
                reached[chain] = _tail(opened, wanted, chain, reached.get(chain), rows, as_json)
        if not follow:
            return
        time.sleep(0.5)


def _tail(
    store: ObjectStore,
    plan: str,
    chain: tuple[str, int],
    after: tuple[int, str] | None,
    rows: int,
    as_json: bool,
) -> tuple[int, str]:
    """Show what is after a position, or the last rows; returns the position and its digest."""
    from wayfare_engine.journal.chain import last_object, objects, opened, read
    from wayfare_engine.journal.segment import Closed

    if after is None:
        last = last_object(store, *chain)
        assert last is not None, "a chain that is listed has an object"
        shown: list[Segment | Closed] = [opened(last.path, store.get(last.path))]
        if isinstance(shown[0], Closed) and shown[0].at_seq:
            # What ends a chain has no rows: show those before it.
            before = objects(store, *chain)[-2]
            shown.insert(0, opened(before.path, store.get(before.path)))
    else:
        shown = list(read(store, *chain, after=after[0], previous=after[1], plan=plan))
        rows = 1 << 60
    for found in shown:
        if isinstance(found, Closed):
            _say_closed(found, as_json)
            after = (found.at_seq + 1, found.digest)
            continue
        _say_rows(found, rows, as_json)
        after = (found.header.last, found.digest)
    return after or (0, "")


def _say_rows(segment: Segment, rows: int, as_json: bool) -> None:
    import uuid

    head = segment.header
    start = max(0, segment.rows.num_rows - rows)
    for place, row in enumerate(segment.rows.slice(start).to_pylist(), head.first + start):
        row_id = uuid.UUID(bytes=row["id"])
        if as_json:
            facts = {"site": head.site, "epoch": head.epoch, "seq": place, "id": str(row_id)}
            rest = {k: v for k, v in row.items() if k not in ("id", "at", "body")}
            line = facts | rest | {"at": row["at"].isoformat(), "body": json.loads(row["body"])}
            typer.echo(json.dumps(line))
        else:
            typer.echo(
                f"{head.site}/{head.epoch} {place:>10} {row['at']:%Y-%m-%d %H:%M:%S.%f} "
                f"{row['kind']:<12} {row['customer_id'] or row['key'] or '':<16} {row['body']}"
            )


def _say_closed(found: Closed, as_json: bool) -> None:
    if as_json:
        facts = {"site": found.site, "epoch": found.epoch, "closedBy": found.by}
        typer.echo(json.dumps(facts | {"atSeq": found.at_seq, "closedAt": found.closed_at}))
    else:
        typer.echo(
            f"{found.site}/{found.epoch} {found.at_seq:>10} closed by epoch {found.by} at "
            f"{found.closed_at}"
        )


def _show_status(found: JournalStatus) -> None:
    held = "held here" if found.epoch.held else "held by another site"
    lines = [f"site {found.site}, epoch {found.epoch.epoch} ({held})"]
    if found.closed_by is not None:
        lines.append(f"  chain closed by epoch {found.closed_by}: nothing more is sealed under it")
    at = f", last at {found.sealed_at:%Y-%m-%d %H:%M:%S}" if found.sealed_at else ""
    lines.append(f"  sealed   {found.sealed.seq} rows{at}")
    oldest = f", the oldest {found.lag.seconds:.1f} s old" if found.lag.rows else ""
    lines.append(f"  waiting  {found.lag.rows} rows{oldest}")
    if found.pending is not None:
        lines.append(
            f"  pending  positions {found.pending.first} to {found.pending.last} were about to be "
            "put; the next try finishes them"
        )
    who = "nobody seals" if found.sealer_pid is None else f"PostgreSQL session {found.sealer_pid}"
    lines.append(f"  sealer   {who}")
    if found.stalled is not None:
        lines.append(f"  SealingStalled ({found.stalled.reason}): {found.stalled.message}")
    if found.problem is not None:
        since = f"{found.problem.since:%Y-%m-%d %H:%M:%S}"
        lines.append(f"  problem since {since}: {found.problem.message}")
    typer.echo("\n".join(lines))


def _show_verified(found: Verified) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("site", "epoch", "objects", "rows", "MB", "sealed at", "closed by")
    for chain in found.chains:
        table.add_row(
            chain.site,
            str(chain.epoch),
            str(chain.objects),
            str(chain.rows),
            f"{chain.size / 1e6:.1f}",
            chain.sealed_at[:19],
            "" if chain.closed_by is None else str(chain.closed_by),
        )
    Console().print(table)
    for finding in found.findings:
        typer.echo(f"{finding.path}: {finding.problem}: {finding.detail}")
    typer.echo("every chain is whole" if found.ok else f"{len(found.findings)} found")
