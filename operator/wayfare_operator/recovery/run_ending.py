"""What a run comes to: verdict, recovery time, losses, and its evidence. Pure but for the last."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.resources import RecoveryPlan, RunKind, RunState, Verdict, parse_duration
from wayfare_engine.runs import Procedure, Rpo, Rto, RunEnd, evidence
from wayfare_operator.recovery.run_machine import Finish
from wayfare_operator.recovery.run_view import RunView

_RPO_STEPS = ("Measure", "RecoverStranded", "TakeEpoch", "TransferEpoch")
"""Who says what was lost; those who know better come first."""


def verdict(view: RunView, procedure: Procedure) -> Verdict:
    """Over all gates: one failed fails it, one unknown makes it unknown; so does a gate that
    nobody looked at. An approval lets a run go on, and changes nothing about this."""
    told = [view.step(step.name).told for step in procedure.steps]
    found = [each.verdict for one in told if one is not None for each in one.checks if each.gate]
    if Verdict.FAILED in found:
        return Verdict.FAILED
    unlooked = any(view.step(step.name).result is None for step in procedure.steps if step.gates)
    return Verdict.UNKNOWN if unlooked or Verdict.UNKNOWN in found else Verdict.PASSED


def rto(view: RunView, procedure: Procedure, plan: RecoveryPlan) -> Rto | None:
    """Seconds from the fault or the request until the site was seen to serve.

    A drill's clock stops when its copy stands; what a takeover would have waited for on top is
    told by its step Measure, whose figure is taken when there is one. The fault is told by another
    clock than the end, which may be wrong: it is never taken for later than the run's own beginning
    by the clock that tells the end.
    """
    objective = parse_duration(plan.spec.objectives.rto).total_seconds()
    measured = view.step("Measure").result
    if measured is not None and "rtoSeconds" in measured.figures:
        return _rto(float(measured.figures["rtoSeconds"]), objective, "Request")
    stops = next((step.name for step in procedure.steps if step.rto), None)
    ended = view.step(stops).result if stops is not None else None
    looked = view.step("Precheck").result
    if ended is None or looked is None or "fromAt" not in looked.figures:
        return None
    began = datetime.fromisoformat(str(looked.figures["fromAt"]))
    own = [attempt.at for attempt in view.step("Precheck").attempts.values()]
    seconds = max(0.0, (ended.ended_at - min([began, *own])).total_seconds())
    return _rto(seconds, objective, str(looked.figures.get("from", "Request")))


def _rto(seconds: float, objective: float, source: str) -> Rto:
    return Rto(
        seconds=round(seconds, 1),
        objective_seconds=objective,
        met=seconds <= objective,
        from_=source,
    )


def rpo(view: RunView, plan: RecoveryPlan) -> Rpo | None:
    """What was lost, by the step that knows best; None when none of them has told yet."""
    objective = parse_duration(plan.spec.objectives.rpo).total_seconds()
    for name in _RPO_STEPS:
        result = view.step(name).result
        told = result.figures.get("rpo") if result is not None else None
        if isinstance(told, dict):
            return _rpo(told, view, objective)
    if view.run.kind in (RunKind.SWITCHOVER, RunKind.FAILBACK) and view.step("Seal").result:
        return Rpo(rows=0, basis="Exact", met=True, objective_seconds=objective)
    return None


def _rpo(told: dict[str, Any], view: RunView, objective: float) -> Rpo:
    rows, oldest = told.get("rows"), _moment(told.get("oldestAt"))
    basis = str(told.get("basis", "Unknown"))
    met: bool | None = None
    if basis != "Unknown" and rows == 0:
        met = True
    elif basis != "Unknown" and oldest is not None:
        # A failback is asked for long after the fault: the last row that the lost site wrote tells
        # until when it lived.
        until = _moment(told.get("newestAt")) or _fault(view)
        met = (until - oldest).total_seconds() <= objective
    return Rpo(
        rows=None if rows is None else int(rows),
        oldest_at=oldest,
        basis=basis,
        met=met,
        objective_seconds=objective,
    )


def _fault(view: RunView) -> datetime:
    looked = view.step("Precheck").result
    told = _moment(looked.figures.get("fromAt")) if looked is not None else None
    return told or view.run.at


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def end_of(
    view: RunView, procedure: Procedure, plan: RecoveryPlan, finish: Finish, now: datetime
) -> RunEnd:
    """The run's end, without its evidence."""
    found = verdict(view, procedure)
    if finish.state is RunState.ABANDONED:
        found = Verdict.UNKNOWN if found is Verdict.PASSED else found
    return RunEnd(
        run=view.run.number,
        state=finish.state,
        verdict=found,
        at=now,
        summary=finish.summary,
        rto=rto(view, procedure, plan),
        rpo=rpo(view, plan),
    )


def with_evidence(store: ObjectStore, view: RunView, end: RunEnd) -> RunEnd:
    """The end with the digest of everything that the run left. Blocks; raises StoreProblem."""
    whole = {
        "run": view.run,
        "steps": {
            name: {
                "attempts": [step.attempts[number] for number in sorted(step.attempts)],
                "failures": [step.failures[number] for number in sorted(step.failures)],
                "result": step.result,
            }
            for name, step in sorted(view.steps.items())
        },
        "approvals": list(view.approvals),
        "end": end,
    }
    return msgspec.structs.replace(end, evidence=evidence.put(store, whole))
