"""What comes next in a run, from what the store holds of it and the table of its procedure. Pure.

Nothing is remembered between two calls: an operator that starts anew decides the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import cast

from wayfare_engine.resources import RunKind, RunState
from wayfare_engine.runs.procedures import By, Procedure, Step, StepName, Undo, procedure
from wayfare_engine.runs.records import Decision
from wayfare_operator.recovery.run_view import RunView, StepView, barred

DRILL_PATIENCE = timedelta(minutes=10)
"""How long a drill whose step failed waits for a Retry before it is cleaned up: nobody is at
work when it runs by schedule, and the site should sleep."""

UNDO_AGAIN = timedelta(seconds=15)
"""How long after a failure cleaning up is tried again; it is never given up."""


MERGE = cast("StepName", "MergeSpooled")
"""What the site that stood down answered until then is merged, at the site that acts now."""

STANDBY = cast("StepName", "Standby")
"""The site that stood down leads nobody to itself any more, and sleeps if it is to be cold."""

_AFTER_STAND_DOWN = (
    Step(MERGE, By.JOB, 3600.0, no_return=True),
    Step(STANDBY, By.OTHER_SITE, 900.0, no_return=True),
)


def table_of(kind: RunKind) -> Procedure:
    """The procedure of a kind, with what its step StandDown consists of beside its own Job."""
    found = procedure(kind)
    if not any(step.name is StepName.STAND_DOWN for step in found.steps):
        return found
    return replace(found, steps=(*found.steps, *_AFTER_STAND_DOWN))


_HURRIED = frozenset(
    {
        StepName.QUIESCE,
        StepName.SEAL,
        StepName.CATCH_UP_FINAL,
        StepName.TRANSFER_EPOCH,
        StepName.TAKE_EPOCH,
        StepName.FENCE_WAIT,
        StepName.ACTIVATE,
    }
)
"""Steps in which nobody sends, or nobody serves."""
_HURRIED_SECONDS = 0.1


def poll_seconds(usual: float, step: str | None) -> float:
    """How soon to look again at a run that is at this step."""
    return min(usual, _HURRIED_SECONDS) if step in _HURRIED else usual


class Standing(Enum):
    """How a step of a procedure stands."""

    PENDING = "nothing happened yet"
    RUNNING = "an attempt is under way"
    PASSED = "it succeeded, and no gate bars the way"
    BARRED = "a gate bars the way: a person may approve"
    FAILED = "the attempt failed: a person may have it tried again"


@dataclass(frozen=True)
class Part:
    """An attempt of a step that is to be begun or gone on with."""

    step: str
    attempt: int
    by: By
    timeout: float


@dataclass(frozen=True)
class Perform:
    """Go on with these at the same time. `waiting`: steps beside them that a person decides on."""

    parts: tuple[Part, ...]
    waiting: tuple[str, ...] = ()


@dataclass(frozen=True)
class PassOver:
    """A person approved: write the step's result from what its failed attempt found."""

    step: str
    attempt: int


@dataclass(frozen=True)
class Wait:
    """Nothing goes on until a person decides on these steps."""

    steps: tuple[str, ...]


@dataclass(frozen=True)
class Finish:
    """All is done: write the end."""

    state: RunState
    summary: str


@dataclass(frozen=True)
class Ended:
    """The end is written."""


Next = Perform | PassOver | Wait | Finish | Ended


def standing(view: RunView, name: str) -> Standing:
    """How a step stands."""
    step = view.step(name)
    told = step.told
    if told is None:
        return Standing.RUNNING if step.attempt else Standing.PENDING
    if step.result is not None:
        attempt = step.result.attempt
        approved = view.decided(name, attempt, Decision.APPROVE) is not None
        return Standing.BARRED if barred(told) and not approved else Standing.PASSED
    if view.decided(name, step.attempt, Decision.RETRY) is not None:
        return Standing.PENDING
    return Standing.BARRED if barred(told) else Standing.FAILED


def skipped(step: StepView) -> bool:
    """Whether a step had nothing to do."""
    return step.result is not None and bool(step.result.figures.get("skipped"))


def next_of(view: RunView, procedure: Procedure, now: datetime) -> Next:
    """What to do next."""
    if view.end is not None:
        return Ended()
    if view.abandoned is not None:
        why = f"abandoned by {view.abandoned.approver}: {view.abandoned.reason}"
        return _undo(view, procedure, now) or Finish(RunState.ABANDONED, why)
    if view.taken_back:
        took = view.step(Undo.TAKE_BACK).result
        why = f"taken back: {took.summary if took is not None else ''}"
        return _undo(view, procedure, now) or Finish(RunState.FAILED, why)
    drill = procedure.kind is RunKind.DRILL
    done = {step.name for step in procedure.steps if _over(view, step.name, drill=drill)}
    ready = procedure.ready(done)
    if not ready:
        return _finish(view, procedure)
    parts: list[Part] = []
    waiting: list[str] = []
    for step in ready:
        stands, seen = standing(view, step.name), view.step(step.name)
        if stands in (Standing.PENDING, Standing.RUNNING):
            attempt = seen.attempt + (stands is Standing.PENDING)
            parts.append(Part(step.name, attempt, step.by, step.timeout))
        elif view.decided(step.name, seen.attempt, Decision.APPROVE) is not None:
            return PassOver(step.name, seen.attempt)
        else:
            waiting.append(step.name)
    if parts:
        return Perform(tuple(parts), tuple(waiting))
    if drill and _gave_up(view, waiting, now):
        failed = view.step(waiting[0]).failure
        why = f"{waiting[0]} failed: {failed.summary if failed is not None else ''}"
        return _undo(view, procedure, now) or Finish(RunState.FAILED, why)
    return Wait(tuple(waiting))


def _over(view: RunView, name: str, *, drill: bool) -> bool:
    """Whether the next step may begin. In a drill nothing is at stake behind a gate: what did not
    pass is in its verdict, and the rest still says something."""
    if name == MERGE and _nothing_spooled(view):
        return True
    stands = standing(view, name)
    return stands is Standing.PASSED or (drill and stands is Standing.BARRED and name != "Precheck")


def _nothing_spooled(view: RunView) -> bool:
    """Whether the site that stood down had answered nothing since its chain was sealed."""
    result = view.step(StepName.STAND_DOWN).result
    return result is not None and result.figures.get("rows") == 0


def _gave_up(view: RunView, waiting: Sequence[str], now: datetime) -> bool:
    told = [view.step(name).told for name in waiting]
    return all(each is not None and now - each.ended_at >= DRILL_PATIENCE for each in told)


def _finish(view: RunView, procedure: Procedure) -> Finish:
    bars = [
        f"{step.name}: {check.name} ({check.message})"
        for step in procedure.steps
        if standing(view, step.name) is Standing.BARRED
        for told in (view.step(step.name).told,)
        if told is not None
        for check in barred(told)
    ]
    if bars:
        return Finish(RunState.FAILED, f"every step was made; not passed: {'; '.join(bars)}")
    return Finish(RunState.SUCCEEDED, "every step succeeded")


def left_to_undo(view: RunView, procedure: Procedure) -> Undo | None:
    """What an abandoned run takes back next; None when nothing is left."""
    left = (undo for undo in procedure.to_undo(view.begun) if view.step(undo).result is None)
    return next((undo for undo in left if undo is not Undo.RESUME or not view.taken_back), None)


UNDO_TIMEOUT = 900.0
UNDO_BY = {Undo.CLEANUP: By.OPERATOR, Undo.SLEEP: By.OPERATOR, Undo.RESUME: By.OTHER_SITE}


def _undo(view: RunView, procedure: Procedure, now: datetime) -> Perform | None:
    """What the abandoned run still has to take back; None when nothing is left."""
    undo = left_to_undo(view, procedure)
    if undo is None:
        return None
    name = str(undo)
    step = view.step(name)
    attempt = max(step.attempt, 1)
    failed = step.failures.get(attempt)
    if failed is not None and now - failed.ended_at >= UNDO_AGAIN:
        attempt += 1
    elif failed is not None:
        return Perform(())
    return Perform((Part(name, attempt, UNDO_BY[undo], UNDO_TIMEOUT),))
