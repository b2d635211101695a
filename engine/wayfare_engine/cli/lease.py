"""`wayfare lease show | history | take`."""

from __future__ import annotations

import json
import os
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wayfare_engine.cli import lease_take
from wayfare_engine.cli.progress import seconds_bar
from wayfare_engine.cli.recovery_options import (
    AsJson,
    Dsn,
    Plan,
    StoreUrl,
    direct_address,
    open_named_store,
    plan_name,
)
from wayfare_engine.errors import FAILED, MISSING

if TYPE_CHECKING:
    from collections.abc import Callable

    from wayfare_engine.lease.epochs import Held
    from wayfare_engine.lease.status import LeaseStatus
    from wayfare_engine.lease.witness import Condition
    from wayfare_engine.objectstore import ObjectStore

app = typer.Typer(
    help="The right to act: who holds it, who held it, taking it.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    pass


app.command("take")(lease_take.take)


@app.command()
def show(
    site: Annotated[
        str | None,
        typer.Option(help="Whose database --dsn is; WAYFARE_SITE when not given."),
    ] = None,
    watch: Annotated[
        float,
        typer.Option(min=0, max=3600, help="Seconds to watch the beats, which tells their age."),
    ] = 0.0,
    store_domain: Annotated[
        str | None,
        typer.Option(
            envvar="WAYFARE_OBJECT_STORE_FAILURE_DOMAIN", help="Failure domain of the store."
        ),
    ] = None,
    site_domain: Annotated[
        list[str] | None,
        typer.Option(
            envvar="WAYFARE_SITE_FAILURE_DOMAINS", help="SITE=DOMAIN; repeat for each site."
        ),
    ] = None,
    dsn: Dsn = None,
    store: StoreUrl = None,
    plan: Plan = None,
    as_json: AsJson = False,
) -> None:
    """Show who holds which epoch and whether they may act, each site's newest beat, and whether
    this site's database agrees. What cannot be asked is shown as unknown.

    A beat's age is how long this reader has seen no newer one, so it needs --watch. The database is
    asked when --dsn or WAYFARE_POSTGRESQL_DSN is given.

    Exit codes: 0 all is as it should be; 1 the database does not agree with the store; 2 wrong
    options; 3 something could not be asked, or a setting is missing.

    Example: wayfare lease show --store s3://recovery/retail --watch 10
    """
    domains = _domains(site_domain or [])
    opened = open_named_store(store)
    own = site or os.environ.get("WAYFARE_SITE")
    address = None
    if dsn or os.environ.get("WAYFARE_POSTGRESQL_DSN"):
        address = direct_address(dsn)
    found = _status(opened, plan_name(plan), own, address, watch, _witness(store_domain, domains))
    typer.echo(json.dumps(found.facts()) if as_json else "\n".join(_lines(found)))
    if found.store_problem or found.database_problem:
        raise typer.Exit(MISSING)
    if found.database is not None and found.database.agrees is False:
        raise typer.Exit(FAILED)


@app.command()
def history(store: StoreUrl = None, plan: Plan = None, as_json: AsJson = False) -> None:
    """Show every epoch that was taken, the oldest first: by which site, when, why, on whose word.

    Times are those of the takers' clocks. Exit code 1 when a lease object is damaged, 3 when the
    store cannot be used or lacks one.

    Example: wayfare lease history --store s3://recovery/retail --json
    """
    from wayfare_engine.lease.epochs import history as read_history
    from wayfare_engine.objectstore.marker import check

    opened, wanted = open_named_store(store), plan_name(plan)
    check(opened, wanted)
    found = read_history(opened, wanted)
    if as_json:
        typer.echo(json.dumps([_held_facts(one) for one in found]))
    elif not found:
        typer.echo(f"plan {wanted}: no epoch was taken yet")
    else:
        _show_history(found)


def _status(
    store: ObjectStore,
    plan: str,
    site: str | None,
    address: str | None,
    watch: float,
    witness: Condition,
) -> LeaseStatus:
    import psycopg

    from wayfare_engine.lease.status import lease_status
    from wayfare_engine.lease.terms import Terms
    from wayfare_engine.settings import load_settings

    settings = load_settings(postgresql_dsn="")
    terms = Terms(settings.lease_ttl_seconds, settings.clock_error, settings.hand_over_seconds)
    connection, problem = None, None
    try:
        if address is not None:
            connection = psycopg.connect(address, autocommit=True, connect_timeout=5)
    except psycopg.Error as error:
        problem = f"PostgreSQL: {str(error).strip().splitlines()[0]}"
    with connection or nullcontext(), _watching(watch) as told:
        found = lease_status(
            store,
            plan,
            site=site,
            connection=connection,
            watch=watch,
            wait=terms.wait,
            witness=witness,
            sleep=time.sleep,
            told=told,
        )
    return replace(found, database_problem=problem) if problem else found


def _lines(found: LeaseStatus) -> list[str]:
    lines = [f"plan {found.plan}, {found.url}"]
    lease = found.lease
    if lease is None:
        words = {"NotTaken": "nobody: no epoch was taken yet"}
        lines.append(f"  holder    {words.get(found.state, 'unknown')}")
    else:
        why = f" ({lease.reason})" if lease.reason else ""
        lines.append(
            f"  holder    site {lease.site}, epoch {lease.epoch}, taken {_time(lease.at)}{why}"
        )
        if lease.statement is not None:
            lines.append(f'            {lease.statement.by} stated: "{lease.statement.text}"')
        if found.acting_since is not None:
            lines.append(f"  acting    since {_time(found.acting_since)}")
        else:
            lines.append(
                f"  acting    not yet: in its wait of {found.wait:.2f} s, or stopped in it (then "
                "`wayfare lease take` there goes on)"
            )
    name = "beats"
    for seen in found.beats:
        beat = seen.beat
        oldest = f", the oldest of {_time(beat.oldest_unsealed_at)}" if beat.unsealed else ""
        lines.append(
            f"  {name:<9} {beat.site}: epoch {beat.epoch}, {beat.sealed_seq:,} rows sealed, "
            f"{beat.unsealed:,} not{oldest if beat.oldest_unsealed_at else ''}"
        )
        asleep = "" if beat.awake else "asleep, "
        lines.append(f"            {asleep}written {_time(beat.at)} by its clock; {_age(seen)}")
        name = ""
    if not found.beats:
        what = "unknown" if found.state == "Unknown" else "no site wrote one"
        lines.append(f"  beats     {what}")
    lines.append(f"  database  {_database(found)}")
    witness = found.witness
    lines.append(f"  WitnessShared={witness.status} ({witness.reason}): {witness.message}")
    lines += [f"  problem   {p}" for p in (found.store_problem, found.database_problem) if p]
    return lines


def _age(seen: Any) -> str:
    if seen.age is None:
        return "its age is unknown without --watch"
    if seen.changed:
        return f"{seen.age:.1f} s old, newer ones came while watching"
    return f"no newer one came in {seen.age:.1f} s of watching"


def _database(found: LeaseStatus) -> str:
    if found.database_problem is not None:
        return "unknown"
    database = found.database
    if database is None:
        return "not asked: no --dsn"
    word = {True: "agrees", False: "DOES NOT AGREE", None: "not compared"}[database.agrees]
    whose = f"of site {database.site}, " if database.site else ""
    return f"{whose}epoch {database.epoch.epoch}: {word}: {database.detail}"


def _show_history(found: list[Held]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("epoch", "site", "taken", "acting since", "until", "reason", "statement")
    for one in found:
        lease = one.lease
        said = f"{lease.statement.by}: {lease.statement.text}" if lease.statement else ""
        table.add_row(
            str(lease.epoch),
            lease.site,
            _time(lease.at),
            _time(one.acting_since) if one.acting_since else "never",
            _time(one.until) if one.until else "now",
            escape(lease.reason),
            escape(said),
        )
    Console().print(table)


def _held_facts(one: Held) -> dict[str, Any]:
    from wayfare_engine.lease.status import statement_facts

    return {
        "epoch": one.lease.epoch,
        "site": one.lease.site,
        "takenAt": one.lease.at.isoformat(),
        "actingSince": one.acting_since.isoformat() if one.acting_since else None,
        "until": one.until.isoformat() if one.until else None,
        "reason": one.lease.reason,
        "statement": statement_facts(one.lease),
    }


def _domains(given: list[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for text in given:
        site, equals, domain = text.partition("=")
        if not (site and equals and domain):
            raise typer.BadParameter(f"{text!r}: write SITE=DOMAIN", param_hint="--site-domain")
        found[site] = domain
    return found


def _witness(store_domain: str | None, sites: dict[str, str | None]) -> Condition:
    from wayfare_engine.lease.witness import Condition, witness_shared

    if store_domain is not None and not sites:
        return Condition(
            "WitnessShared", "Unknown", "NotDeclared", "no site's failure domain is declared"
        )
    return witness_shared(store_domain, sites)


def _watching(seconds: float) -> Any:
    no_bar: Callable[[float], None] = lambda watched: None  # noqa: E731
    return seconds_bar("watching the beats", seconds) if seconds else nullcontext(no_bar)


def _time(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
