"""Attempts of a run's steps and what became of them.

An attempt is written before anything that it does; a failed one has its own failure; a step has
one result, which is written by success alone and is its truth: what a Job's state says does not
count beside it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.resources.phases import NO_RETURN
from wayfare_engine.runs.objects import put_once, read
from wayfare_engine.runs.problems import RecordDamaged
from wayfare_engine.runs.procedures import Undo
from wayfare_engine.runs.records import ApprovalRecord, Attempt, Outcome, Run, StepResult

_before_attempt = crash_point("runs.attempt.before_put", "nothing yet: the attempt comes next")
_after_attempt = crash_point("runs.attempt.put", "the attempt is in the store")
_before_result = crash_point("runs.result.before_put", "the step's work; its result comes next")
_after_result = crash_point("runs.result.put", "the step's result is in the store")
_before_failure = crash_point("runs.failure.before_put", "the step failed; that comes next")
_after_failure = crash_point("runs.failure.put", "the attempt's failure is in the store")
_before_approval = crash_point("runs.approval.before_put", "nothing yet: the approval comes next")
_after_approval = crash_point("runs.approval.put", "the approval is in the store")

_T = TypeVar("_T", Attempt, StepResult)


def begin(store: ObjectStore, plan: str, attempt: Attempt) -> Attempt:
    """Write that an attempt begins, before anything that it does; the first that is written
    stands, and is returned: another `by` than one's own means that another makes it."""
    path = paths.step_attempt(plan, attempt.run, attempt.step, attempt.attempt)
    found = put_once(store, path, attempt, before=_before_attempt, after=_after_attempt)
    return _checked(found, path, attempt.run, attempt.step, attempt.attempt)


def attempts(store: ObjectStore, plan: str, run: int, step: str) -> tuple[Attempt, ...]:
    """The attempts of a step, the first one first."""
    return tuple(_attempts(store, plan, run, step))


def _attempts(store: ObjectStore, plan: str, run: int, step: str) -> Iterator[Attempt]:
    for number in itertools.count(1):
        path = paths.step_attempt(plan, run, step, number)
        found = read(store, path, Attempt)
        if found is None:
            return
        yield _checked(found, path, run, step, number)


def put_result(store: ObjectStore, plan: str, result: StepResult) -> StepResult:
    """Write what became of an attempt; what stands from now on is returned.

    Of success there is one a step: an earlier one stands, also of another attempt. A failure is
    the attempt's own, and changes nothing about a success.
    """
    if result.outcome is Outcome.SUCCEEDED:
        path = paths.step_result(plan, result.run, result.step)
        found = put_once(store, path, result, before=_before_result, after=_after_result)
        return _checked(found, path, result.run, result.step, None)
    path = paths.step_failure(plan, result.run, result.step, result.attempt)
    found = put_once(store, path, result, before=_before_failure, after=_after_failure)
    return _checked(found, path, result.run, result.step, result.attempt)


def read_result(store: ObjectStore, plan: str, run: int, step: str) -> StepResult | None:
    """The result of a step that succeeded; None when it has not."""
    path = paths.step_result(plan, run, step)
    found = read(store, path, StepResult)
    return None if found is None else _checked(found, path, run, step, None)


def read_failure(
    store: ObjectStore, plan: str, run: int, step: str, attempt: int
) -> StepResult | None:
    """What became of an attempt that failed; None when it did not, or not yet."""
    path = paths.step_failure(plan, run, step, attempt)
    found = read(store, path, StepResult)
    return None if found is None else _checked(found, path, run, step, attempt)


def past_return(store: ObjectStore, run: Run) -> bool:
    """Whether the step of the run was begun from which there is no way back, for the right to act
    may have moved. It has not when the old site took its epoch back: then it never will."""
    step = NO_RETURN[run.kind]
    if step is None or not store.exists(paths.step_attempt(run.plan, run.number, step, 1)):
        return False
    return not store.exists(paths.step_result(run.plan, run.number, Undo.TAKE_BACK))


def _checked(found: _T, path: str, run: int, step: str, attempt: int | None) -> _T:
    if (found.run, found.step, attempt or found.attempt) != (run, step, found.attempt):
        raise RecordDamaged(
            path, f"speaks of attempt {found.attempt} of {found.step} of run {found.run}"
        )
    if isinstance(found, StepResult):
        wanted = Outcome.SUCCEEDED if attempt is None else Outcome.FAILED
        if found.outcome is not wanted:
            raise RecordDamaged(path, f"says {found.outcome} where {wanted} belongs")
    return found


def put_approval(store: ObjectStore, plan: str, approval: ApprovalRecord) -> ApprovalRecord:
    """Write, before it is obeyed, what a person decided; its `number` is given here, from 1.

    The record of the same `uid` that is there already is returned as it is.
    """
    number = 1
    while True:
        path = paths.run_approval(plan, approval.run, number)
        wanted = msgspec.structs.replace(approval, number=number)
        found = put_once(store, path, wanted, before=_before_approval, after=_after_approval)
        if found.uid == approval.uid:
            return found
        number += 1


def approvals(store: ObjectStore, plan: str, run: int) -> tuple[ApprovalRecord, ...]:
    """What people decided in a run, in the order in which it was obeyed."""
    found: list[ApprovalRecord] = []
    while True:
        path = paths.run_approval(plan, run, len(found) + 1)
        one = read(store, path, ApprovalRecord)
        if one is None:
            return tuple(found)
        if (one.run, one.number) != (run, len(found) + 1):
            raise RecordDamaged(path, f"speaks of decision {one.number} of run {one.run}")
        found.append(one)
