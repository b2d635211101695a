"""Measure: what would be, or was, lost; in rows, with where the number comes from. In a drill also
what its engine sent, how far production's replication was behind meanwhile, and how long a takeover
would have taken."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from wayfare_engine.journal.chain import chains
from wayfare_engine.lease.epochs import highest
from wayfare_engine.recovery.drill import outward, replication
from wayfare_engine.recovery.drill.names import FORK
from wayfare_engine.recovery.tasks import losing
from wayfare_engine.recovery.tasks.problems import StepFailed
from wayfare_engine.recovery.tasks.task import Done, Task
from wayfare_engine.resources import CheckLevel, RunKind, Verdict
from wayfare_engine.runs import CheckResult
from wayfare_engine.store.postgresql import patient


def measure(task: Task) -> Done:
    """The lost rows as they are known now: by ids once RecoverStranded counted them, as TakeEpoch
    estimated them at a failover, and in a drill what would be lost if the acting site were lost
    at this moment."""
    drill = task.run is not None and task.run.kind is RunKind.DRILL
    rpo = _known(task) or would_be(task)
    objective = task.terms.rpo_seconds
    figures: dict[str, Any] = {"rpo": rpo, "objectiveSeconds": objective}
    if not drill:
        return Done(_said(rpo), figures, evidence=task.keep(figures))
    figures |= _of_drill(task)
    check = _outward_check(task, figures)
    evidence = task.keep(figures)
    if check.verdict is not Verdict.PASSED and check.gate:
        raise StepFailed(check.message, figures | {"gate": True}, (check,), evidence)
    return Done(f"{check.message}; {_said(rpo)}", figures, (check,), evidence)


def _of_drill(task: Task) -> dict[str, Any]:
    """What only a drill can measure."""
    forked = task.needed(FORK).figures
    address, sink = task.settings.fork, task.settings.fork_sink_url
    if address is None or sink is None:
        raise StepFailed("WAYFARE_FORK_DSN and WAYFARE_FORK_SINK_URL are not set")
    with psycopg.connect(patient(address, "wayfare-Measure"), autocommit=True) as copy:
        counted = outward.count(copy, sink)
    with task.connected() as own:
        looks = [*replication.looks(task), replication.look(task, own)]
    behind = [look["rows"] for look in looks if look.get("rows") is not None]
    return {
        **counted.figures(),
        "scenario": forked.get("scenario"),
        "replication": {"looks": looks, "mostRowsBehind": max(behind, default=None)},
        **_recovery_time(task),
    }


def _recovery_time(task: Task) -> dict[str, Any]:
    """From the request to an engine that serves, and the wait of a takeover on top, which a drill
    does not make because it takes nothing from anybody."""
    looked, started = task.result_of("Precheck"), task.result_of("StartIsolated")
    if started is None:
        return {}
    began = looked.figures.get("fromAt") if looked is not None else None
    since = datetime.fromisoformat(str(began)) if began else started.began_at
    stood = max(0.0, (started.ended_at - since).total_seconds())
    wait = task.lease.wait
    return {
        "rtoSeconds": round(stood + wait, 1),
        "rtoArithmetic": f"{stood:.1f} s until the copy served + {task.lease.arithmetic()}",
    }


def _outward_check(task: Task, figures: dict[str, Any]) -> CheckResult:
    """Nothing left the drill."""
    name, sent = "OutwardSends", int(figures["outwardSends"])
    gates = task.terms.gates
    said = f"{sent:,} of {figures['handOvers']:,} hand-overs of the drill led outside"
    return CheckResult(
        name=name,
        level=CheckLevel.SYSTEM,
        verdict=Verdict.FAILED if sent else Verdict.PASSED,
        gate=True if gates is None else name in gates,
        message=said,
        figures={each: figures[each] for each in ("outwardSends", "handOvers", "atSink")},
        as_of=task.clock(),
    )


def _known(task: Task) -> dict[str, Any] | None:
    for step in ("RecoverStranded", "TakeEpoch"):
        found = task.result_of(step)
        rpo = None if found is None else found.figures.get("rpo")
        if isinstance(rpo, dict):
            return rpo
    return None


def would_be(task: Task) -> dict[str, Any]:
    """What would be lost if the acting site were lost at this moment."""
    lease = highest(task.store, task.plan)
    if lease is None or (lease.site, lease.epoch) not in chains(task.store):
        return losing.Unknown("no site has sealed anything in the present epoch").figures()
    return losing.estimate(task, lease).figures()


def _said(rpo: dict[str, Any]) -> str:
    rows = rpo.get("rows")
    if rows is None:
        return f"how many rows are lost is not known: {rpo.get('arithmetic')}"
    if rpo.get("basis") == "Exact":
        beside = rpo.get("estimated")
        off = rpo.get("offShare")
        words = f"{rows:,} rows were in no chain, counted by id"
        if beside is not None:
            words += f"; {beside:,} had been estimated"
        return words + (f", off by {off:.1%}" if off is not None else "")
    return f"about {rows:,} rows: {rpo.get('arithmetic')}"
