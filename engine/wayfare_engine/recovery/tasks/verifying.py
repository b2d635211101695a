"""Verify: the checks of a database that does not serve, each with its evidence; those that gate bar
the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from wayfare_engine.recovery.checks import EngineAt, Looking, Objectives, custom_http, for_step, run
from wayfare_engine.recovery.drill import replication
from wayfare_engine.recovery.tasks.problems import StepFailed
from wayfare_engine.recovery.tasks.task import Done, Task
from wayfare_engine.resources import RunKind, Verdict
from wayfare_engine.runs import CheckResult

#: Of all chains, how many of the newest objects are read again while somebody waits for a site.
#: Each older one was read, and held against the one before it, when this site applied it.
_CHAIN_OBJECTS: Mapping[RunKind | None, int] = {
    RunKind.FAILOVER: 500,
    RunKind.SWITCHOVER: 2_000,
    RunKind.FAILBACK: 2_000,
}

_SCHEDULE = "Schedule"
#: In wake windows and on a schedule, where a site is awake for little.
_SMALL = Objectives(replay_sample=200, replay_newest=50, replay_others=50)


def verify(task: Task) -> Done:
    """Every check of this step for this kind of run. A gate that did not pass makes the attempt
    fail, with all verdicts in it."""
    if task.run is not None and task.run.kind is RunKind.DRILL:
        return _at_copy(task)
    return judged(task, looked(task, task.step))


def _at_copy(task: Task) -> Done:
    """A drill looks at its copy and at the engine on it; beside that, how far production's own
    replication is."""
    address, url = task.settings.fork, task.settings.fork_engine_url
    if address is None:
        raise StepFailed("WAYFARE_FORK_DSN is not set: a drill looks at its copy alone")
    engine = None if url is None else EngineAt((url,), task.settings.fork_api_key)
    with task.connected() as own:
        before = replication.look(task, own)
        found = looked(task, task.step, engine, dsn=address)
        looks = [before, replication.look(task, own)]
    return judged(task, found, {replication.KEY: looks, **_replayed(found)})


def _replayed(found: Sequence[CheckResult]) -> dict[str, Any]:
    """What the report shows of the decisions that were decided again."""
    for one in found:
        if one.name == "DecisionsReplayed":
            keys = ("replayed", "differences", "reasons")
            return {key: one.figures[key] for key in keys if key in one.figures}
    return {}


def check(task: Task) -> Done:
    """The cheap checks, in a wake window or on a schedule; nothing is barred by them."""
    found = looked(task, _SCHEDULE)
    return Done(_said(found), {"checks": len(found)}, found, task.keep(list(found)))


def looked(
    task: Task, step: str, engine: EngineAt | None = None, *, dsn: str | None = None
) -> tuple[CheckResult, ...]:
    """What the checks of a step find; `dsn`: at another database than this site's own."""
    kind = None if task.run is None else str(task.run.kind)
    at = Looking(
        plan=task.plan,
        site=task.site,
        clock=task.clock,
        dsn=dsn or task.dsn,
        store=task.store,
        other=task.terms.other(task.site),
        run=None if task.run is None else task.number,
        kind=kind,
        settings=task.settings,
        gates=None if task.terms.gates is None else frozenset(task.terms.gates),
        secrets=task.terms.secrets,
        say=_saying(task),
        engine=engine,
        source_lost=task.run is not None and task.run.kind is RunKind.FAILOVER,
        objectives=_objectives(task, step),
    )
    own = tuple(custom_http(each) for each in task.terms.requests)
    # What the plan's own Jobs found comes with the terms: they ran before this one, for this step.
    return (*run(for_step(step, kind, custom=own), at), *task.terms.found)


def judged(
    task: Task, found: tuple[CheckResult, ...], figures: Mapping[str, Any] | None = None
) -> Done:
    """Done, or StepFailed when a gate did not pass; with these figures beside."""
    more = dict(figures or {})
    evidence = task.keep(list(found))
    barred = [one for one in found if one.gate and one.verdict is not Verdict.PASSED]
    if barred:
        words = "; ".join(f"{one.name} {one.verdict.lower()}: {one.message}" for one in barred)
        raise StepFailed(
            f"{len(barred)} of {len(found)} checks bar the way: {words}",
            more | {"gate": True, "barred": [one.name for one in barred]},
            found,
            evidence,
        )
    return Done(_said(found), more | {"checks": len(found)}, found, evidence)


def _objectives(task: Task, step: str) -> Objectives:
    kind = None if task.run is None else task.run.kind
    usual = _SMALL if step == _SCHEDULE else Objectives()
    latency = task.terms.latency_seconds
    return replace(
        usual,
        chain_objects=_CHAIN_OBJECTS.get(kind, usual.chain_objects),
        latency_ms=usual.latency_ms if latency is None else latency * 1000,
    )


def _saying(task: Task) -> Callable[[str], None]:
    def say(text: str) -> None:
        task.moved()
        task.say(text)

    return say


def _said(found: Sequence[CheckResult]) -> str:
    counts = {v: sum(one.verdict is v for one in found) for v in Verdict}
    return ", ".join(f"{count} {verdict.lower()}" for verdict, count in counts.items() if count)
