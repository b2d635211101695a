"""What somebody who follows a run sees at one look, from its records in the store or from the
status of its RecoveryRun; and what changed from one look to the next. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wayfare_engine.errors import FAILED
from wayfare_engine.recovery import progress
from wayfare_engine.recovery.records_of_run import RunRecords
from wayfare_engine.resources import RunState, StepState, Verdict
from wayfare_engine.runs.procedures import procedure

UNKNOWN_VERDICT, NOT_ENDED = 4, 5
"""Exit codes of a run that could not be judged, and of one that was not followed to its end."""

_WAITS = (RunState.WAITING_FOR_APPROVAL, RunState.FAILED)


@dataclass(frozen=True)
class StepSight:
    """A step and its newest attempt; None: not known, or not begun."""

    name: str
    state: str
    attempt: int | None
    began_at: datetime | None
    ended_at: datetime | None
    message: str


@dataclass(frozen=True)
class Sight:
    """A run at one look. `clock_from` and `clock_to`: when the clock of the recovery time started
    and stopped, as far as is known; `rto` its seconds, once the run says them."""

    number: int | None
    name: str
    kind: str
    target: str
    state: str
    verdict: str
    steps: tuple[StepSight, ...]
    clock_from: datetime | None
    clock_to: datetime | None
    rto: float | None
    objective: float | None
    ended: bool
    message: str

    @property
    def step(self) -> StepSight | None:
        """The step that it is at; None when it is at none."""
        over = (*progress.PASSED_BY, StepState.PENDING)
        return next((step for step in self.steps if step.state not in over), None)

    @property
    def waits(self) -> bool:
        """Whether nothing goes on until a person decides."""
        return not self.ended and self.state in _WAITS

    def exit_code(self) -> int:
        """By its verdict: 0 Passed, 1 Failed, abandoned or rejected, 4 Unknown, 5 not ended."""
        if not self.ended:
            return NOT_ENDED
        if self.state in (RunState.ABANDONED, RunState.REJECTED, RunState.FAILED):
            return FAILED
        return {Verdict.PASSED: 0, Verdict.FAILED: FAILED}.get(
            Verdict(self.verdict), UNKNOWN_VERDICT
        )

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        at = self.step
        return {
            "number": self.number,
            "name": self.name,
            "kind": self.kind,
            "target": self.target,
            "state": self.state,
            "step": at.name if at else None,
            "verdict": self.verdict,
            "rtoSeconds": self.rto,
            "objectiveSeconds": self.objective,
            "message": self.message,
        }


def of_records(records: RunRecords) -> Sight:
    """By the records in the store."""
    run, end = records.run, records.end
    steps = progress.steps(records)
    rto = end.rto if end else None
    return Sight(
        number=records.number,
        name=run.name if run else "",
        kind=str(run.kind) if run else "Unknown",
        target=run.target if run else "",
        state=str(progress.state_of(records, steps)),
        verdict=str(end.verdict if end else Verdict.UNKNOWN),
        steps=tuple(_of_step(step) for step in steps),
        clock_from=progress.clock_start(steps) or ((run.fault_at or run.at) if run else None),
        clock_to=progress.clock_end(steps),
        rto=rto.seconds if rto else None,
        objective=rto.objective_seconds if rto else None,
        ended=end is not None,
        message=end.summary if end else "",
    )


def of_object(obj: Mapping[str, Any]) -> Sight:
    """By a RecoveryRun as the API server gives it. Raises ResourceError."""
    from wayfare_engine.resources import RecoveryRun, parse

    run = parse(obj)
    assert isinstance(run, RecoveryRun)
    status, spec = run.status, run.spec
    names = [str(step.name) for step in procedure(spec.kind).steps]
    told = {step.name: step for step in status.steps}
    steps = tuple(
        StepSight(
            name=name,
            state=told[name].state if name in told else str(StepState.PENDING),
            attempt=told[name].attempt if name in told else None,
            began_at=told[name].started_at if name in told else None,
            ended_at=told[name].ended_at if name in told else None,
            message=(told[name].message or "") if name in told else "",
        )
        for name in [*names, *(n for n in told if n not in names)]
    )
    state = status.state or RunState.PENDING
    ender = next((s.name for s in procedure(spec.kind).steps if s.rto), None)
    stopped = next((s for s in steps if s.name == ender and s.state in progress.PASSED_BY), None)
    ready = next((c for c in status.conditions if c.type == "Ready"), None)
    return Sight(
        number=status.number,
        name=run.metadata.name,
        kind=spec.kind,
        target="",
        state=str(state),
        verdict=status.verdict or Verdict.UNKNOWN,
        steps=steps,
        clock_from=spec.fault_at or run.metadata.creation_timestamp,
        clock_to=stopped.ended_at if stopped else None,
        rto=status.rto.seconds if status.rto else None,
        objective=status.rto.objective_seconds if status.rto else None,
        ended=_has_ended(state, status.evidence),
        message=ready.message if ready else "",
    )


def _has_ended(state: str, evidence: str | None) -> bool:
    """Rejected at once; otherwise when the digest of the whole is there."""
    return state == RunState.REJECTED or evidence is not None


def changes(before: Sight | None, now: Sight) -> Iterator[dict[str, Any]]:
    """What became otherwise, an event each: `run` first, then `step`, then `state`, and `end`."""
    if before is None:
        yield {"event": "run", **now.facts()}
    old = {step.name: step for step in before.steps} if before else {}
    for step in now.steps:
        if step.state != StepState.PENDING and step != old.get(step.name):
            yield {
                "event": "step",
                "step": step.name,
                "state": step.state,
                "attempt": step.attempt,
                "beganAt": step.began_at.isoformat() if step.began_at else None,
                "endedAt": step.ended_at.isoformat() if step.ended_at else None,
                "message": step.message,
            }
    if before is not None and before.state != now.state and not now.ended:
        yield {"event": "state", **now.facts()}
    if now.ended and (before is None or not before.ended):
        yield {"event": "end", **now.facts(), "exitCode": now.exit_code()}


def _of_step(step: progress.StepProgress) -> StepSight:
    last = step.tried[-1] if step.tried else None
    result = last.result if last else None
    return StepSight(
        name=step.name,
        state=str(step.state),
        attempt=last.attempt if last else None,
        began_at=last.began_at if last else None,
        ended_at=last.ended_at if last else None,
        message=result.summary if result else "",
    )
