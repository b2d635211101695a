"""The status of a run, from what the store holds. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from wayfare_engine.resources import Reason, RunState, StepState
from wayfare_engine.runs import CheckResult, Procedure, Rpo, Rto, RunEnd
from wayfare_operator.cache import Entry
from wayfare_operator.kube.kinds import Object
from wayfare_operator.recovery.run_machine import Next, Perform, Standing, Wait, skipped, standing
from wayfare_operator.recovery.run_view import RunView, barred
from wayfare_operator.status import Outcome as Condition
from wayfare_operator.status import status, timestamp

_LONGEST = 1000
_MOST_CHECKS = 64
_MOST_FIGURES = 2000
"""Bytes of one check's figures."""


def run_status(
    entry: Entry,
    view: RunView,
    procedure: Procedure,
    following: Next,
    messages: Mapping[str, str],
    *,
    rto: Rto | None,
    rpo: Rpo | None,
    now: datetime,
) -> Object:
    """All of it. `messages`: what the steps that are under way say."""
    end = view.end
    fields = {
        "number": view.run.number,
        "state": str(_state(view, following)),
        "step": _step(view, procedure, following),
        "steps": _steps(view, procedure, following, messages),
        "checks": checks_of(view, procedure)[:_MOST_CHECKS] or None,
        "rto": _built(end.rto if end is not None else rto),
        "rpo": _built(end.rpo if end is not None else rpo),
        "verdict": str(end.verdict) if end is not None else None,
        "requestedBy": view.run.requested_by,
        "approvals": [_approval(each) for each in view.approvals] or None,
        "evidence": end.evidence if end is not None else None,
    }
    outcome = _condition(view, following, messages)
    return status(outcome, fields, generation=entry.generation, observed=entry.status, now=now)


def rejected_status(entry: Entry, message: str, requested_by: str, now: datetime) -> Object:
    """Of a run that may not begin."""
    fields = {"state": str(RunState.REJECTED), "requestedBy": requested_by}
    outcome = Condition(False, Reason.RUN_IN_PROGRESS, message, stalled=True)
    return status(outcome, fields, generation=entry.generation, observed=entry.status, now=now)


def waiting_status(
    entry: Entry, reason: Reason, message: str, now: datetime, *, stalled: bool = False
) -> Object:
    """Of a run that cannot go on: its plan, engine or store is not there. What is known stays."""
    kept = {
        name: value
        for name, value in entry.status.items()
        if name not in ("conditions", "observedGeneration")
    }
    fields = {"state": str(RunState.PENDING), **kept}
    outcome = Condition(False, reason, message, progressing=not stalled, stalled=stalled)
    return status(outcome, fields, generation=entry.generation, observed=entry.status, now=now)


def _state(view: RunView, following: Next) -> RunState:
    if view.end is not None:
        return view.end.state
    if isinstance(following, Wait):
        failed = any(standing(view, name) is Standing.FAILED for name in following.steps)
        return RunState.FAILED if failed else RunState.WAITING_FOR_APPROVAL
    return RunState.RUNNING


def _step(view: RunView, procedure: Procedure, following: Next) -> str | None:
    if isinstance(following, Perform) and following.parts:
        return following.parts[0].step
    if isinstance(following, Wait):
        return following.steps[0]
    begun = [step.name for step in procedure.steps if step.name in view.begun]
    return str(begun[-1]) if begun else None


def _steps(
    view: RunView, procedure: Procedure, following: Next, messages: Mapping[str, str]
) -> list[Object]:
    named = [str(step.name) for step in procedure.steps]
    others = [name for name in view.steps if name not in named]
    over = view.end is not None or view.given_up
    return [_one(view, name, messages, over=over) for name in (*named, *sorted(others))]


def _one(view: RunView, name: str, messages: Mapping[str, str], *, over: bool) -> Object:
    step, stands = view.step(name), standing(view, name)
    told = step.told
    attempt = step.attempts.get(step.attempt)
    state = {
        Standing.PENDING: StepState.PENDING,
        Standing.RUNNING: StepState.RUNNING,
        Standing.PASSED: StepState.SUCCEEDED,
        Standing.BARRED: StepState.WAITING_FOR_APPROVAL,
        Standing.FAILED: StepState.FAILED,
    }[stands]
    if skipped(step) or (over and stands is Standing.PENDING and told is None):
        state = StepState.SKIPPED
    elif over and stands in (Standing.BARRED, Standing.RUNNING):
        state = StepState.FAILED
    message = told.summary if told is not None else messages.get(name)
    began = told.began_at if told is not None else attempt.at if attempt is not None else None
    fields: Object = {
        "name": name,
        "state": str(state),
        "attempt": step.attempt or None,
        "startedAt": timestamp(began) if began is not None else None,
        "endedAt": timestamp(told.ended_at) if told is not None else None,
        "message": message[:_LONGEST] if message else None,
        "evidence": told.evidence if told is not None else None,
    }
    return {key: value for key, value in fields.items() if value is not None}


def checks_of(view: RunView, procedure: Procedure) -> list[Object]:
    """The checks of all steps, in the order of the steps; those of a step's newest attempt."""
    found = []
    for step in procedure.steps:
        told = view.step(step.name).told
        found += [_check(each) for each in (told.checks if told is not None else ())]
    return found


def _check(each: CheckResult) -> Object:
    fields: Object = {
        "name": each.name,
        "level": str(each.level),
        "verdict": str(each.verdict),
        "gate": each.gate,
        "message": each.message[:_LONGEST] or None,
        "figures": _small(each.figures),
        "evidence": each.evidence,
        "asOf": timestamp(each.as_of),
    }
    return {key: value for key, value in fields.items() if value is not None}


def _small(figures: Mapping[str, Any]) -> Object | None:
    """Figures as they are, or none of them: the store has those that are too many for a status."""
    return dict(figures) if 0 < len(msgspec.json.encode(figures)) - 2 <= _MOST_FIGURES else None


def _approval(each: Any) -> Object:
    return {
        "name": each.name,
        "step": each.step,
        "attempt": each.attempt,
        "decision": str(each.decision),
        "approver": each.approver,
        "at": timestamp(each.at),
    }


def _built(value: Rto | Rpo | None) -> Object | None:
    if value is None:
        return None
    built: Object = msgspec.to_builtins(value)
    if isinstance(value, Rpo):
        built.pop("objectiveSeconds", None)
        if value.oldest_at is not None:
            built["oldestAt"] = timestamp(value.oldest_at)
    return {key: each for key, each in built.items() if each is not None}


def _condition(view: RunView, following: Next, messages: Mapping[str, str]) -> Condition:
    if view.end is not None:
        return _ended(view.end)
    if isinstance(following, Wait):
        return _waiting(view, following)
    if isinstance(following, Perform):
        said = [
            f"{part.step}: {messages.get(part.step) or 'under way'}" for part in following.parts
        ]
        undone = view.given_up
        reason = Reason.ABANDONING if undone else Reason.RUN_UNDER_WAY
        return Condition(False, reason, "; ".join(said) or "cleaning up", progressing=True)
    return Condition(False, Reason.RUN_UNDER_WAY, "it is being ended", progressing=True)


def _ended(end: RunEnd) -> Condition:
    if end.state is RunState.SUCCEEDED:
        return Condition(True, Reason.RUN_SUCCEEDED, f"{end.summary}; gates: {end.verdict}")
    reason = Reason.RUN_ABANDONED if end.state is RunState.ABANDONED else Reason.RUN_FAILED
    return Condition(False, reason, end.summary, stalled=True)


def _waiting(view: RunView, following: Wait) -> Condition:
    said, failed = [], False
    for name in following.steps:
        told = view.step(name).told
        assert told is not None
        attempt = view.step(name).attempt
        if standing(view, name) is Standing.FAILED:
            failed = True
            said.append(f"{name}, attempt {attempt}, failed: {told.summary}")
        else:
            names = ", ".join(each.name for each in barred(told))
            said.append(f"{name}, attempt {attempt}, does not pass {names}: {told.summary}")
    reason = Reason.STEP_FAILED if failed else Reason.WAITING_FOR_APPROVAL
    what = "Retry or Abandon" if failed else "Approve, Retry or Abandon"
    message = f"{'; '.join(said)}. It waits for an Approval: {what}"
    return Condition(False, reason, message, stalled=True)
