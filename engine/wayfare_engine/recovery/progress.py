"""How far a run is, from its records alone: the state of each step, and of the whole. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from wayfare_engine.recovery.records_of_run import RunRecords
from wayfare_engine.resources import RunState, StepState, Verdict
from wayfare_engine.runs.procedures import procedure
from wayfare_engine.runs.records import Attempt, Decision, Outcome, StepResult

APPROVED_PAST = "ApprovedPast"
"""A step whose gates did not pass, and past which a person let the run go."""


PASSED_BY = (StepState.SUCCEEDED, StepState.SKIPPED, APPROVED_PAST)
"""The states of a step after which the next one comes."""


@dataclass(frozen=True)
class Tried:
    """An attempt and what came of it; None: nothing yet, or nothing that was recorded.

    Where a person let the run go past a failed attempt, `result` is what was written then, and
    `failure` what the attempt itself came to.
    """

    attempt: int
    by: str
    began_at: datetime
    result: StepResult | None
    failure: StepResult | None = None

    @property
    def ended_at(self) -> datetime | None:
        """When the attempt itself ended."""
        ended = self.failure or self.result
        return ended.ended_at if ended is not None else None


@dataclass(frozen=True)
class StepProgress:
    """A step of the procedure; `state` as in a RecoveryRun's status, or APPROVED_PAST. The clock
    of the recovery time stops at the end of one with `ends_clock`."""

    name: str
    state: str
    tried: tuple[Tried, ...]
    runs_as: str
    no_way_back: bool
    ends_clock: bool

    @property
    def newest(self) -> StepResult | None:
        """What the newest attempt that came to something found."""
        return next((t.result for t in reversed(self.tried) if t.result is not None), None)


def steps(records: RunRecords) -> tuple[StepProgress, ...]:
    """Every step of the procedure in its order, and any other that the records name after them."""
    known = () if records.run is None else procedure(records.run.kind).steps
    table = {str(step.name): step for step in known}
    named = [a.step for a in records.attempts] + [r.step for r in _all_results(records)]
    order = [*table, *(name for name in dict.fromkeys(named) if name not in table)]
    last = max((n for n, name in enumerate(order) if name in named), default=-1)
    found = []
    for number, name in enumerate(order):
        tried = _tried(records, name)
        state = _state(records, name, tried, later=number < last)
        step = table.get(name)
        found.append(
            StepProgress(
                name=name,
                state=state,
                tried=tried,
                runs_as=str(step.by) if step else "unknown",
                no_way_back=bool(step and step.no_return),
                ends_clock=bool(step and step.rto),
            )
        )
    return tuple(found)


def state_of(records: RunRecords, found: tuple[StepProgress, ...]) -> str:
    """The run's state: by its end, or by where its steps stand."""
    if records.end is not None:
        return records.end.state
    states = [step.state for step in found]
    for state in (StepState.WAITING_FOR_APPROVAL, StepState.FAILED):
        if state in states:
            return str(RunState(state))
    begun = any(state != StepState.PENDING for state in states)
    return RunState.RUNNING if begun else RunState.PENDING


def clock_end(found: tuple[StepProgress, ...]) -> datetime | None:
    """When that clock stopped; None: it has not, or that is not known."""
    stops = next((s for s in found if s.ends_clock and s.state in PASSED_BY), None)
    return stops.newest.ended_at if stops is not None and stops.newest is not None else None


def clock_start(found: tuple[StepProgress, ...]) -> datetime | None:
    """When the clock of the recovery time started, by what Precheck looked up; None: unknown."""
    figures = [step.newest.figures for step in found if step.newest is not None]
    told = next((one["fromAt"] for one in figures if "fromAt" in one), None)
    try:
        moment = datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def gates_open(result: StepResult) -> bool:
    """Whether every gate of the attempt passed. Unknown is not passed."""
    return all(check.verdict is Verdict.PASSED for check in result.checks if check.gate)


def _state(records: RunRecords, name: str, tried: tuple[Tried, ...], *, later: bool) -> str:
    ended = records.end is not None
    if not tried:
        return StepState.SKIPPED if ended or later else StepState.PENDING
    newest = tried[-1]
    approved = any(
        a.step == name and a.attempt == newest.attempt and a.decision is Decision.APPROVE
        for a in records.approvals
    )
    if newest.result is None:
        return "Unknown" if ended else StepState.RUNNING
    if newest.result.figures.get("skipped") is True:
        return StepState.SKIPPED
    passed = gates_open(newest.result)
    if newest.result.outcome is Outcome.SUCCEEDED and passed:
        return StepState.SUCCEEDED
    if approved:
        return APPROVED_PAST
    waits = not passed and not ended and not later
    return StepState.WAITING_FOR_APPROVAL if waits else StepState.FAILED


def _tried(records: RunRecords, name: str) -> tuple[Tried, ...]:
    begun: dict[int, Attempt] = {a.attempt: a for a in records.attempts if a.step == name}
    came = {r.attempt: r for r in _all_results(records) if r.step == name}
    failed = {r.attempt: r for r in records.failures if r.step == name}
    return tuple(
        Tried(
            attempt=number,
            by=begun[number].by if number in begun else came[number].by,
            began_at=begun[number].at if number in begun else came[number].began_at,
            result=came.get(number),
            failure=failed.get(number),
        )
        for number in sorted({*begun, *came})
    )


def _all_results(records: RunRecords) -> list[StepResult]:
    """Failures first: where an attempt has both, its success is the truth."""
    return [*records.failures, *records.results.values()]
