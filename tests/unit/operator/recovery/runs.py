"""Pictures of runs, made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from wayfare_engine.resources import Approval, CheckLevel, RunKind, Verdict, parse
from wayfare_engine.runs import (
    ApprovalRecord,
    Attempt,
    CheckResult,
    Decision,
    Outcome,
    Run,
    StepResult,
)
from wayfare_operator.recovery.run_view import RunView, StepView

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)


def view_of(kind: RunKind = RunKind.FAILOVER) -> RunView:
    """A run of which nothing happened yet."""
    run = Run(
        plan="bank.retail",
        number=7,
        kind=kind,
        target="west",
        name="take-over",
        uid="u-1",
        requested_by="ana",
        reason="a test",
        at=AT,
    )
    return RunView(run)


def check(verdict: Verdict = Verdict.FAILED, *, gate: bool = True) -> CheckResult:
    """What one check found."""
    return CheckResult(
        name="ChainUnbroken",
        level=CheckLevel.DATA,
        verdict=verdict,
        gate=gate,
        message="looked",
        as_of=AT,
    )


def begun(view: RunView, *steps: str) -> RunView:
    """With a further attempt of each of these steps."""
    found = dict(view.steps)
    for name in steps:
        step = view.step(name)
        number = step.attempt + 1
        made = Attempt(run=7, step=name, attempt=number, at=AT, by="operator")
        found[name] = replace(step, attempts={**step.attempts, number: made})
    return replace(view, steps=found)


def told(
    view: RunView, step: str, outcome: Outcome, checks: tuple[CheckResult, ...], **figures: Any
) -> RunView:
    """With what became of the newest attempt of a step."""
    seen = view.step(step)
    result = StepResult(
        run=7,
        step=step,
        attempt=seen.attempt,
        outcome=outcome,
        began_at=AT,
        ended_at=AT + timedelta(seconds=10),
        summary=f"{step} was made",
        by="pod",
        figures=figures,
        checks=checks,
        evidence="sha256:" + "ab" * 32,
    )
    if outcome is Outcome.SUCCEEDED:
        changed: StepView = replace(seen, result=result)
    else:
        changed = replace(seen, failures={**seen.failures, seen.attempt: result})
    return replace(view, steps={**view.steps, step: changed})


def done(view: RunView, *steps: str, **figures: Any) -> RunView:
    """With these steps begun and succeeded."""
    for name in steps:
        view = told(begun(view, name), name, Outcome.SUCCEEDED, (), **figures)
    return view


def failed(view: RunView, step: str, *checks: CheckResult) -> RunView:
    """With an attempt of a step that failed; by these checks, if there are any."""
    return told(begun(view, step), step, Outcome.FAILED, checks)


def decided(view: RunView, step: str, decision: Decision, attempt: int = 1) -> RunView:
    """With a person's decision that counted."""
    record = ApprovalRecord(
        run=7,
        number=len(view.approvals) + 1,
        name="decision",
        uid=f"a-{len(view.approvals)}",
        step=step,
        attempt=attempt,
        decision=decision,
        approver="ben",
        reason="looked at it",
        at=AT,
    )
    return replace(view, approvals=(*view.approvals, record))


def approval(step: str, decision: str, attempt: int = 1, **more: Any) -> Approval:
    """An Approval object."""
    made = parse(
        {
            "apiVersion": "wayfare.dev/v1alpha1",
            "kind": "Approval",
            "metadata": {"name": "decision", "namespace": "bank", "uid": "a-new"},
            "spec": {
                "runRef": {"name": "take-over"},
                "step": step,
                "attempt": attempt,
                "decision": decision,
                "approver": "ben",
                "reason": "looked at it",
                **more,
            },
        }
    )
    assert isinstance(made, Approval)
    return made
