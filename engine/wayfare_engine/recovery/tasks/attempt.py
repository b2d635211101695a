"""One attempt of one step: from the run's record to the step's result.

    look      the step has no result yet, the run is open, no later attempt began
    begin     the attempt is written, before anything that it does
    claim     this pod has the step in this site's database
    work      the step; each of its writes is fenced by the claim, and it can be repeated
    tell      the result, or the attempt's failure

Killed anywhere, the next attempt does the same again: every step goes on with what is there.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import psycopg
import structlog

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.errors import FAILED, SaidToPeople
from wayfare_engine.journal.snapshot import revision
from wayfare_engine.objectstore import ObjectStore, StoreProblem
from wayfare_engine.recovery.tasks.patience import patiently, sentence
from wayfare_engine.recovery.tasks.problems import (
    SUPERSEDED,
    AttemptFailed,
    AwayTooLong,
    NoSuchRun,
    OtherSchema,
    RunOver,
    StepFailed,
    Unexpected,
)
from wayfare_engine.recovery.tasks.task import Done, Task
from wayfare_engine.runs import (
    Attempt,
    Outcome,
    Run,
    StepResult,
    attempts,
    begin,
    put_result,
    read_end,
    read_failure,
    read_result,
    read_run,
)
from wayfare_engine.store.migrate import newest_revision
from wayfare_engine.store.task_claims import Superseded, TaskClaim, claim

log = structlog.get_logger(__name__)

_looked = crash_point("recovery.task.looked", "nothing yet: the attempt is written next")
_begun = crash_point("recovery.task.begun", "the attempt is written, the step not claimed")
_claimed = crash_point("recovery.task.claimed", "the step is claimed, its work comes next")
_worked = crash_point("recovery.task.worked", "the step's work is done, its result comes next")
_told = crash_point("recovery.task.told", "the result is in the store")

T = TypeVar("T")
Step = Callable[[Task], Done]
#: Steps that take back what an abandoned run did: no other task of it writes from then on.
UNDOING = frozenset({"Resume", "Cleanup"})
#: How long a failure is tried to be written, after an outage for which the step waited.
_FAILURE_SECONDS = 10.0


@dataclass(frozen=True)
class Ended:
    """What came of it. `result` is in the store unless `exit_code` says that nothing was written.
    `again`: the step had its result before."""

    exit_code: int
    summary: str
    result: StepResult | None = None
    again: bool = False


@dataclass(frozen=True)
class Wanted:
    """Which attempt of what. `run`: a run's number, or a window's when `window` is true; `records`
    is the plan id that its records are under. `patience` in seconds."""

    plan: str
    records: str
    run: int
    step: str
    attempt: int
    pod: str
    window: bool = False
    patience: float = 60.0


def attempt(wanted: Wanted, step: Step, made: Callable[[Run | None, TaskClaim], Task]) -> Ended:
    """Make the attempt. `made` gives the task, with clocks, addresses and stores. Never raises for
    what the world does: whatever cannot be written is in what comes back."""
    claimed = TaskClaim(wanted.records, wanted.run, wanted.step, wanted.attempt, wanted.pod)
    task = made(None, claimed)
    began = task.clock()
    try:
        found = _patiently(wanted, task, lambda: _look(wanted, task.store))
        if isinstance(found, StepResult):
            return Ended(0, found.summary, found, again=True)
        task = replace(task, run=found, before=_before(wanted, task))
        _looked()
        _patiently(wanted, task, lambda: _begin(wanted, task, began))
        _begun()
        _patiently(wanted, task, lambda: _claim(wanted, task))
        _claimed()
        done = _patiently(wanted, task, lambda: step(task))
        _worked()
        result = _result(wanted, began, task.clock(), Outcome.SUCCEEDED, done)
        stands = _patiently(wanted, task, lambda: put_result(task.store, wanted.records, result))
        _told()
        return Ended(0, stands.summary, stands)
    except (Superseded, RunOver) as error:
        return Ended(SUPERSEDED, str(error))
    except (NoSuchRun, AttemptFailed) as error:
        return Ended(error.exit_code, str(error))
    except Exception as error:
        return _failed(wanted, task, began, _said(error))


def _look(wanted: Wanted, store: ObjectStore) -> Run | StepResult | None:
    there = read_result(store, wanted.records, wanted.run, wanted.step)
    if there is not None:
        return there
    run = None
    if not wanted.window:
        run = read_run(store, wanted.records, wanted.run)
        if run is None:
            raise NoSuchRun(wanted.plan, wanted.run, store.url)
        end = read_end(store, wanted.records, wanted.run)
        if end is not None:
            raise RunOver(wanted.run, str(end.state))
    failure = read_failure(store, wanted.records, wanted.run, wanted.step, wanted.attempt)
    if failure is not None:
        raise AttemptFailed(wanted.attempt, failure.summary)
    begun = attempts(store, wanted.records, wanted.run, wanted.step)
    if begun and begun[-1].attempt > wanted.attempt:
        later = f"attempt {begun[-1].attempt} began"
        raise Superseded(wanted.records, wanted.run, wanted.step, wanted.attempt, later)
    return run


def _before(wanted: Wanted, task: Task) -> StepResult | None:
    """The failure of the attempt before this one."""
    if wanted.attempt < 2:
        return None
    return _patiently(
        wanted,
        task,
        lambda: read_failure(
            task.store, wanted.records, wanted.run, wanted.step, wanted.attempt - 1
        ),
    )


def _begin(wanted: Wanted, task: Task, at: datetime) -> Attempt:
    made = Attempt(run=wanted.run, step=wanted.step, attempt=wanted.attempt, at=at, by=wanted.pod)
    return begin(task.store, wanted.records, made)


def _claim(wanted: Wanted, task: Task) -> None:
    with task.connected() as connection:
        found, known = revision(connection), newest_revision()
        if found != known:
            raise OtherSchema(found, known)
        claim(
            connection,
            plan=wanted.records,
            run=wanted.run,
            step=wanted.step,
            attempt=wanted.attempt,
            pod=wanted.pod,
            undo=wanted.step in UNDOING,
        )


def _result(
    wanted: Wanted, began: datetime, ended: datetime, outcome: Outcome, what: Done | StepFailed
) -> StepResult:
    return StepResult(
        run=wanted.run,
        step=wanted.step,
        attempt=wanted.attempt,
        outcome=outcome,
        began_at=began,
        ended_at=ended,
        summary=what.summary,
        by=wanted.pod,
        figures=dict(what.figures),
        checks=what.checks,
        evidence=what.evidence,
    )


def _said(error: Exception) -> StepFailed:
    """Any error as a failure with a sentence."""
    if isinstance(error, StepFailed):
        return error
    if isinstance(error, SaidToPeople):
        return StepFailed(str(error), {"error": type(error).__name__})
    if isinstance(error, (psycopg.Error, OSError)):
        return StepFailed(sentence(error), {"error": type(error).__name__})
    last = traceback.extract_tb(error.__traceback__)[-1]
    log.error("task.defect", exc_info=error)
    place = f"{Path(last.filename).name}:{last.lineno}"
    return StepFailed(str(Unexpected(type(error).__name__, place)), {"error": type(error).__name__})


def _failed(wanted: Wanted, task: Task, began: datetime, failure: StepFailed) -> Ended:
    """Write the failure; when the store is away for it too, only the exit code says so."""
    result = _result(wanted, began, task.clock(), Outcome.FAILED, failure)
    try:
        stands = patiently(
            lambda: put_result(task.store, wanted.records, result),
            seconds=min(_FAILURE_SECONDS, wanted.patience),
            monotonic=task.monotonic,
            sleep=task.sleep,
        )
    except (AwayTooLong, StoreProblem) as away:
        return Ended(
            AwayTooLong.exit_code, f"{failure.summary} (and this could not be written: {away})"
        )
    except SaidToPeople as other:
        return Ended(other.exit_code, f"{failure.summary} ({other})")
    return Ended(FAILED, stands.summary, stands)


def _patiently(wanted: Wanted, task: Task, work: Callable[[], T]) -> T:
    return patiently(
        work,
        seconds=wanted.patience,
        monotonic=task.monotonic,
        sleep=task.sleep,
        moved_at=lambda: task.moved_at,
        say=task.say,
    )
