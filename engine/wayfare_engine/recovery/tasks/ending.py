"""Whether this database is where the chains end, and has there what the old site has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from wayfare_engine.journal import positions
from wayfare_engine.journal.chain import chains
from wayfare_engine.journal.positions import Chain
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.recovery.tasks import counting
from wayfare_engine.recovery.tasks.task import Task
from wayfare_engine.resources import CheckLevel, Verdict
from wayfare_engine.runs import CheckResult


def open_chains(task: Task, connection: Connection[Any]) -> list[Chain]:
    """Chains of epochs below the present one that this database has not applied to their end;
    those that it sealed to their end itself are applied."""
    present = site_epoch(connection).epoch
    reached = positions.positions(connection)
    own = set(
        connection.execute("SELECT site, epoch FROM wayfare.sealed_epochs WHERE over").fetchall()
    )
    return [
        chain
        for chain in chains(task.store)
        if chain[1] < present
        and chain not in own
        and (chain not in reached or reached[chain].closed_by is None)
    ]


def closed(task: Task, connection: Connection[Any]) -> tuple[CheckResult, ...]:
    """ChainEnd: every chain of a lower epoch is applied to where it was closed."""
    left = open_chains(task, connection)
    ends = {c: a.seq for c, a in positions.positions(connection).items() if a.closed_by is not None}
    names = ", ".join(f"{site}/{epoch}" for site, epoch in left)
    message = (
        f"{names} is not closed, or not applied to its end"
        if left
        else (f"{len(ends)} closed chains are applied to their ends")
    )
    return (_result(task, "ChainEnd", not left, message, {"ends": positions.by_name(ends)}),)


def compared(
    task: Task, connection: Connection[Any], sealed: Mapping[str, Any]
) -> tuple[CheckResult, ...]:
    """ChainEnd: the chain ends here where the old site says that it ends. CountersEqual: the tables
    have as many rows here as there."""
    site, _, epoch = str(sealed["chain"]).rpartition("/")
    at = positions.positions(connection).get((site, int(epoch)), positions.Applied())
    same = (at.seq, at.segment) == (sealed["seq"], sealed["digest"])
    end = _result(
        task,
        "ChainEnd",
        same,
        f"{sealed['chain']} ends at {at.seq:,}, as site {site} says"
        if same
        else f"{sealed['chain']} is applied here up to {at.seq:,}, and site {site} sealed it up to "
        f"{sealed['seq']:,}",
        {"seq": at.seq, "sealed": sealed["seq"]},
    )
    here = counting.counts(connection)
    there: dict[str, int] = dict(sealed["counts"])
    different = {
        name: {"here": here.get(name), "there": there.get(name)}
        for name in sorted(here.keys() | there.keys())
        if here.get(name) != there.get(name)
    }
    words = ", ".join(f"{n} {d['there']} there, {d['here']} here" for n, d in different.items())
    counters = _result(
        task,
        "CountersEqual",
        not different,
        f"tables have not as many rows as at site {site}: {words}"
        if different
        else f"{len(here)} tables have {sum(here.values()):,} rows at both sites",
        {"different": different, "rows": sum(here.values()), "tables": len(here)},
    )
    return end, counters


def _result(
    task: Task, name: str, passed: bool, message: str, figures: dict[str, Any]
) -> CheckResult:
    return CheckResult(
        name=name,
        level=CheckLevel.DATA,
        verdict=Verdict.PASSED if passed else Verdict.FAILED,
        gate=True,
        message=message,
        as_of=task.clock(),
        figures=figures,
    )
