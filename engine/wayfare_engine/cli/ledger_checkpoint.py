"""`wayfare ledger checkpoint` and `wayfare ledger verify`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

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
from wayfare_engine.errors import FAILED, MISSING

if TYPE_CHECKING:
    from wayfare_engine.journal.checking import Verdict


def register(app: typer.Typer) -> None:
    """Add the commands to `wayfare ledger`."""
    app.command("checkpoint")(checkpoint)
    app.command("verify")(verify)


def checkpoint(
    dsn: Dsn = None,
    store: StoreUrl = None,
    plan: Plan = None,
    site: ThisSite = None,
    lock_seconds: Annotated[
        float, typer.Option(min=0.1, max=30, help="How long writers wait for it at most.")
    ] = 2.0,
    seal_seconds: Annotated[
        float, typer.Option(min=1, help="How long it waits for the sealer.")
    ] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Put on record what this site's projections are at a position of its chain, so that another
    site can check its own against that when this one is gone.

    Writers go on; they wait once, for as long as the slowest of them takes to commit. A worker must
    be sealing. Exit code 1 when no checkpoint could be taken, and then nothing has changed.

    Example: wayfare ledger checkpoint --store s3://recovery/retail --site east
    """
    from wayfare_engine.clock import new_id, now
    from wayfare_engine.journal.checkpoint import take
    from wayfare_engine.objectstore.marker import check

    opened = open_named_store(store)
    check(opened, plan_name(plan))
    with named_progress("hashing") as told:
        taken = take(
            direct_address(dsn),
            opened,
            site=site_name(site),
            ids=new_id,
            clock=now,
            progress=told,
            lock_seconds=lock_seconds,
            seal_seconds=seal_seconds,
        )
    if as_json:
        typer.echo(json.dumps(taken.document.facts() | {"path": taken.path, "row": str(taken.row)}))
        return
    rows = sum(table.rows for table in taken.document.tables)
    at = ", ".join(f"{chain} at {seq:,}" for chain, seq in taken.document.watermark.items())
    typer.echo(f"checkpoint of {rows:,} rows of projections, {at or 'no chain'}: {taken.path}")


def verify(
    dsn: Dsn = None,
    store: StoreUrl = None,
    plan: Plan = None,
    site: ThisSite = None,
    as_json: AsJson = False,
) -> None:
    """Catch this database up to the newest checkpoint of the acting chain, and compare with it.

    Exit code 0 when they are equal, 1 when they are different, 3 when nothing is known.

    Example: wayfare ledger verify --store s3://recovery/retail
    """
    from wayfare_engine.clock import now
    from wayfare_engine.customers import applying
    from wayfare_engine.journal.checking import verify as check

    opened = open_named_store(store)
    applying.register()
    with named_progress("verifying:") as told:
        found = check(
            direct_address(dsn),
            opened,
            plan=plan_name(plan),
            site=site_name(site),
            clock=now,
            progress=lambda done, total: told("rows", done, total),
            hashing=told,
        )
    typer.echo(json.dumps(_facts(found)) if as_json else _text(found))
    if found.answer != "equal":
        raise typer.Exit(FAILED if found.answer == "different" else MISSING)


def _facts(found: Verdict) -> dict[str, Any]:
    compared = found.comparison
    return {
        "answer": found.answer,
        "why": found.why,
        "checkpoint": None
        if found.at is None
        else {"at": found.at.isoformat(), "watermark": dict(found.watermark or {})},
        "different": {}
        if compared is None
        else {
            table.name: {
                "rows": {"checkpoint": table.rows_a, "here": table.rows_b},
                "keys": [difference.key for difference in table.differences],
                "more": table.more,
            }
            for table in compared.tables
            if not table.equal
        },
    }


def _text(found: Verdict) -> str:
    facts = _facts(found)
    lines = [found.answer + (f": {found.why}" if found.why else "")]
    if found.at is not None:
        at = ", ".join(f"{chain} at {seq:,}" for chain, seq in (found.watermark or {}).items())
        lines.append(f"checkpoint of {found.at:%Y-%m-%d %H:%M:%S} UTC, {at}")
    for name, table in facts["different"].items():
        count = f"{len(table['keys']):,}" + (" keys and more" if table["more"] else " keys")
        rows = table["rows"]
        lines.append(
            f"  {name}: {rows['checkpoint']:,} rows there, {rows['here']:,} here; {count} differ"
        )
    if facts["different"]:
        lines.append("`wayfare ledger diff` with the checkpoint's digest shows the rows")
    return "\n".join(lines)
