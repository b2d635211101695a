"""`wayfare lease take`."""

from __future__ import annotations

import getpass
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from wayfare_engine.cli.progress import progress_bar, seconds_bar
from wayfare_engine.cli.recovery_options import (
    AsJson,
    Dsn,
    Plan,
    StoreUrl,
    direct_address,
    open_named_store,
    plan_name,
)
from wayfare_engine.errors import USAGE

if TYPE_CHECKING:
    from psycopg import Connection

    from wayfare_engine.journal.catch_up import CatchUp
    from wayfare_engine.lease import Lease, TakeEpoch, Takeover, Terms
    from wayfare_engine.lease.take_epoch import Grounds
    from wayfare_engine.objectstore import ObjectStore


@dataclass(frozen=True)
class _Wanted:
    """What the options say."""

    plan: str
    site: str
    reason: str
    statement: str | None
    by: str
    takeover: Takeover
    terms: Terms
    stale_after: float
    sure: bool


def take(
    site: Annotated[
        str | None, typer.Option(help="This site; WAYFARE_SITE when not given.")
    ] = None,
    statement: Annotated[
        str | None,
        typer.Option(
            help="Your word that the other site is off or cut off, and how you know; kept for the "
            "auditor. Without it the other site's beats are watched until they are stale.",
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Who states it; the name of who is logged in by default.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the history.")] = "taken by hand",
    takeover: Annotated[
        Literal["Lease", "Statement"],
        typer.Option(help="As the plan has it. Statement: stale beats are not enough."),
    ] = "Lease",
    stale_after: Annotated[
        float, typer.Option(min=1, help="Seconds without a new beat after which it is stale.")
    ] = 60.0,
    replication: Annotated[
        Literal["None", "Synchronous", "Asynchronous"],
        typer.Option(
            envvar="WAYFARE_OBJECT_STORE_REPLICATION",
            help="How the store copies itself elsewhere; Asynchronous is refused.",
        ),
    ] = "None",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts.")] = False,
    dsn: Dsn = None,
    store: StoreUrl = None,
    plan: Plan = None,
    as_json: AsJson = False,
) -> None:
    """Take the next epoch for this site: take, close the other's chain, catch up, wait, act.

    This is the forced move, at the site that is to act, with its database. It shows what may go
    wrong and asks. The wait is computed from WAYFARE_LEASE_TTL_SECONDS, WAYFARE_CLOCK_ERROR and
    WAYFARE_HAND_OVER_SECONDS, which must be the same at both sites.

    Safe to interrupt and to run again: it goes on as the same taker (only the wait starts anew).

    Exit codes: 0 this site may act; 1 another site has the epoch, or still beats, or the journal
    is damaged; 2 wrong or missing options, or nobody to ask and no --yes; 3 the store or PostgreSQL
    cannot be used, or a setting is missing; 130 interrupted.

    Example: wayfare lease take --site west --statement "power is off in east, I am in the room"
    """
    import psycopg

    from wayfare_engine.journal.session import require_direct
    from wayfare_engine.lease.take_epoch import require_site
    from wayfare_engine.lease.witness import Replication, refuse_replicated
    from wayfare_engine.objectstore.marker import check

    wanted = _wanted(plan, site, reason, statement, by, takeover, stale_after, yes)
    opened, address = open_named_store(store), direct_address(dsn)
    refuse_replicated(opened.url, Replication(replication))
    check(opened, wanted.plan)
    with psycopg.connect(address, autocommit=True) as connection:
        require_direct(connection, "taking an epoch")
        require_site(connection, wanted.site)
        facts = _take(connection, address, opened, wanted)
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        typer.echo(
            f"site {wanted.site} may act under epoch {facts['epoch']} of plan {wanted.plan}"
            + (", as before: nothing was done" if facts["already"] else "")
        )


def _wanted(
    plan: str | None,
    site: str | None,
    reason: str,
    statement: str | None,
    by: str | None,
    takeover: str,
    stale_after: float,
    sure: bool,
) -> _Wanted:
    import os

    from wayfare_engine.lease import Takeover, Terms
    from wayfare_engine.settings import MissingSetting, load_settings

    own = site or os.environ.get("WAYFARE_SITE")
    if not own:
        raise MissingSetting("WAYFARE_SITE", "is not set; or give --site: which site is to act?")
    if statement is not None and len(statement.strip()) < 10:
        raise typer.BadParameter(
            "say how you know that the other site is off or cut off", param_hint="--statement"
        )
    settings = load_settings(postgresql_dsn="")
    terms = Terms(settings.lease_ttl_seconds, settings.clock_error, settings.hand_over_seconds)
    who = by or getpass.getuser()
    return _Wanted(
        plan=plan_name(plan),
        site=own,
        reason=reason,
        statement=statement,
        by=who,
        takeover=Takeover(takeover),
        terms=terms,
        stale_after=stale_after,
        sure=sure,
    )


def _take(
    connection: Connection[Any], address: str, store: ObjectStore, wanted: _Wanted
) -> dict[str, Any]:
    from wayfare_engine.customers import applying
    from wayfare_engine.journal.catch_up import CatchUp
    from wayfare_engine.lease.epochs import highest, read_acting
    from wayfare_engine.lease.take_epoch import remembered, taken_here
    from wayfare_engine.ledger.fence import site_epoch

    applying.register()
    at = site_epoch(connection)
    last = highest(store, wanted.plan, seen=at.highest_seen)
    ours = last is not None and taken_here(connection, last)
    if last is not None and ours:
        acting = read_acting(store, wanted.plan, last.epoch)
        done = acting is not None and remembered(connection, wanted.plan, last.epoch)
        if done and at.active and at.epoch == last.epoch:
            return _facts(last, acting.at if acting else None, already=True)
    epoch = 1 if last is None else last.epoch if ours else last.epoch + 1
    # Whatever could keep this database from catching up shows before anything is taken.
    with CatchUp.opened(address, store, plan=wanted.plan) as session:
        _catch_up(session, "catching up")
        grounds: Grounds | None = None
        if last is not None and not ours:
            grounds = _grounds(store, last, epoch, wanted)
        elif last is not None:
            _say(f"epoch {epoch} is this site's already: going on where that stopped")
        taking = _taking(connection, store, epoch, grounds, wanted)
        return _finish(taking, session, store, resumed=ours)


def _finish(
    taking: TakeEpoch, session: CatchUp, store: ObjectStore, *, resumed: bool
) -> dict[str, Any]:
    from wayfare_engine.lease.epochs import read_acting

    try:
        taking.take()
        _say(f"epoch {taking.epoch} is taken, and older chains are closed")
        applied = _catch_up(session, "catching up with the closed chains")
        if taking.remaining() > 0:
            with _waiting(taking.terms.wait) as told:
                taking.wait(told)
        lease = _patiently(taking.act)
    except BaseException:
        if taking.lease is not None:
            _say(
                f"epoch {taking.epoch} is taken and nobody acts under it yet: run the same command "
                "again, it goes on as the same taker"
            )
        raise
    acting = read_acting(store, taking.plan, taking.epoch)
    return _facts(
        lease,
        acting.at if acting else None,
        resumed=resumed,
        closed=[f"{site}/{epoch}" for site, epoch in taking.closed],
        applied=applied,
    )


def _taking(
    connection: Connection[Any],
    store: ObjectStore,
    epoch: int,
    grounds: Grounds | None,
    wanted: _Wanted,
) -> TakeEpoch:
    from wayfare_engine.clock import now
    from wayfare_engine.lease import TakeEpoch

    return TakeEpoch(
        connection,
        store,
        plan=wanted.plan,
        site=wanted.site,
        epoch=epoch,
        reason=wanted.reason,
        terms=wanted.terms,
        now=now,
        new_nonce=lambda: uuid.uuid4().hex,
        sleep=time.sleep,
        grounds=grounds,
        takeover=wanted.takeover,
    )


def _grounds(store: ObjectStore, last: Lease, epoch: int, wanted: _Wanted) -> Grounds:
    """Why this epoch may be taken: what a person signs, or a beat that is stale."""
    from wayfare_engine.lease import Stale, Statement, Takeover
    from wayfare_engine.lease.beats import read_beat
    from wayfare_engine.lease.problems import NotStale, StatementNeeded
    from wayfare_engine.lease.signing import ToSign

    stated = wanted.statement is not None
    if not stated and wanted.takeover is Takeover.STATEMENT:
        raise StatementNeeded(wanted.plan, only=True)
    beat = read_beat(store, wanted.plan, last.site)
    if not stated and beat is None:
        raise NotStale(last.site, None, wanted.stale_after)
    lines = ToSign(
        wanted.plan, wanted.site, epoch, last, beat, wanted.terms, wanted.takeover, stated
    ).lines()
    for line in lines:
        _say(f"- {line}")
    _ask(wanted)
    if wanted.statement is not None:
        return Statement(text=wanted.statement, by=wanted.by, read=lines)
    return Stale(_watch(store, last.site, wanted), wanted.stale_after)


def _watch(store: ObjectStore, site: str, wanted: _Wanted) -> Any:
    from wayfare_engine.lease.beats import read_beat, watch_until_stale

    limit = wanted.stale_after
    with seconds_bar(f"no new beat of {site} for", limit) as told:
        return watch_until_stale(
            lambda: read_beat(store, wanted.plan, site), limit, sleep=time.sleep, told=told
        )


def _ask(wanted: _Wanted) -> None:
    """Ask the person at the terminal; exit code 2 when there is none, 1 when they say no."""
    if wanted.sure:
        return
    if not sys.stdin.isatty():
        _say("wayfare: nothing was taken: nobody is there to confirm this; --yes says it is meant")
        raise typer.Exit(USAGE)
    typer.confirm(f"Take the epoch for site {wanted.site}?", abort=True, err=True)


def _catch_up(session: CatchUp, what: str) -> dict[str, Any]:
    from wayfare_engine.privacy import batches
    from wayfare_engine.store.blobs import fetch_missing

    with progress_bar("restoring a snapshot", bytes_=True) as told:
        session.restore(progress=told)
    with progress_bar(what) as told:
        facts = session.once(progress=told).facts()
    batches.sync(session.connection, session.store)
    fetch_missing(session.connection, session.store)
    return facts


def _patiently(act: Callable[[], Lease]) -> Lease:
    """`act`, again while the store is away: the wait is over, and would be waited again."""
    from wayfare_engine.objectstore import StoreUnavailable

    told = False
    while True:
        try:
            return act()
        except StoreUnavailable as problem:
            if not told:
                _say(f"{problem}; trying again until Ctrl-C")
                told = True
            time.sleep(1.0)


@contextmanager
def _waiting(wait: float) -> Iterator[Callable[[float], None]]:
    """A bar that is told how many seconds are left."""
    with seconds_bar("waiting until the other site's right to act has lapsed:", wait) as told:
        yield lambda left: told(wait - left)


def _facts(lease: Lease, acting: Any, **others: Any) -> dict[str, Any]:
    from wayfare_engine.lease.status import statement_facts

    return {
        "plan": lease.plan,
        "site": lease.site,
        "epoch": lease.epoch,
        "takenAt": lease.at.isoformat(),
        "actingSince": acting.isoformat() if acting else None,
        "reason": lease.reason,
        "statement": statement_facts(lease),
        "already": others.get("already", False),
        "resumed": others.get("resumed", False),
        "closed": others.get("closed", []),
        "caughtUp": others.get("applied"),
    }


def _say(text: str) -> None:
    typer.echo(text, err=True)
