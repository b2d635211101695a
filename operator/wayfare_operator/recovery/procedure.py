"""A window as a small procedure: Wake, CatchUp, Verify, Sleep. Pure: what is seen → what is next.

The stores alone wake for the catch-up; the rest when there is something to check. So pods that have
nothing to do are not up, and nothing else applies the journal while its rate is measured.

Every call looks at everything anew, so that an operator may die between any two of them. At the
window's end what is not done is given up, the site sleeps, and that is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from wayfare_operator.recovery.record import Stage, WindowKind, WindowRecord

#: Between a failed attempt and the next: long enough for what is away to come back.
RETRY = timedelta(seconds=20)
#: How long the checks wait for pods to be ready; then they look all the same, and say so.
PATIENCE = timedelta(minutes=5)


class JobState(StrEnum):
    """What is seen of the Job of the stage and attempt that the window is at."""

    ABSENT = "Absent"
    RUNNING = "Running"
    FAILED = "Failed"
    DONE = "Done"
    """Its result is in the store, whatever became of the Job."""


@dataclass(frozen=True, slots=True)
class Seen:
    """`stored`: the stores are ready; `ready`: everything is; `asleep`: nothing is up any more."""

    now: datetime
    stored: bool
    ready: bool
    asleep: bool
    waiting_for: str = ""
    job: JobState = JobState.ABSENT
    failure: str = ""


class Do(StrEnum):
    """What is to be done now."""

    WAKE = "Wake"
    START = "Start"
    """The Job of the record's stage and attempt."""
    WAIT = "Wait"
    SLEEP = "Sleep"
    NOTHING = "Nothing"


@dataclass(frozen=True, slots=True)
class Next:
    """The window's new state, what to do, and whether its Job has to end now."""

    record: WindowRecord
    do: Do
    stop_job: bool = False


def advance(record: WindowRecord, seen: Seen) -> Next:
    """One look at a window that has not ended."""
    if record.stage is Stage.SLEEP:
        if not seen.asleep:
            return Next(record, Do.SLEEP)
        return Next(_to(record, _ending(record), ended=seen.now), Do.NOTHING)
    if seen.now >= record.ends:
        said = f"it ended at {record.stage.value}" + _because(record, seen)
        return Next(_to(record, Stage.SLEEP, message=said), Do.SLEEP, stop_job=True)
    if record.stage is Stage.WAKE:
        return _wake(record, seen)
    return _job(record, seen)


def _wake(record: WindowRecord, seen: Seen) -> Next:
    if record.began is None:
        record = msgspec.structs.replace(record, began=seen.now)
    if not seen.stored:
        return Next(record, Do.WAKE)
    return Next(_to(record, Stage.CATCH_UP, awake=seen.now), Do.WAIT)


def _job(record: WindowRecord, seen: Seen) -> Next:
    match seen.job:
        case JobState.DONE:
            if record.stage is Stage.CATCH_UP:
                return Next(_to(record, Stage.VERIFY, caught_up=seen.now), Do.WAIT)
            return Next(_to(record, Stage.SLEEP, verified=seen.now), Do.SLEEP)
        case JobState.RUNNING:
            return Next(record, Do.WAIT)
        case JobState.FAILED:
            again = msgspec.structs.replace(
                record, attempt=record.attempt + 1, message=seen.failure, tried=seen.now
            )
            return Next(again, Do.WAIT)
        case JobState.ABSENT if record.stage is Stage.VERIFY and record.serving is None:
            assert record.caught_up is not None
            if seen.ready or seen.now >= record.caught_up + PATIENCE:
                return Next(msgspec.structs.replace(record, serving=seen.now), Do.WAIT)
            return Next(record, Do.WAKE)
        case JobState.ABSENT:
            if record.tried is not None and seen.now < record.tried + RETRY:
                return Next(record, Do.WAIT)
            return Next(msgspec.structs.replace(record, tried=seen.now), Do.START)


def _to(record: WindowRecord, stage: Stage, **changed: object) -> WindowRecord:
    fields = {"stage": stage, "attempt": 1, "tried": None, "message": "", **changed}
    if stage.ended:
        fields["message"] = record.message
    return msgspec.structs.replace(record, **fields)


def _ending(record: WindowRecord) -> Stage:
    return Stage.DONE if record.verified is not None else Stage.UNFINISHED


def _because(record: WindowRecord, seen: Seen) -> str:
    if record.stage is Stage.WAKE:
        return f": {seen.waiting_for}" if seen.waiting_for else ""
    said = seen.failure or record.message
    return f", attempt {record.attempt}" + (f": {said}" if said else "")


def superseded(record: WindowRecord, now: datetime, by: str) -> WindowRecord:
    """A window that something more important ended; the site stays awake for that."""
    return _to(msgspec.structs.replace(record, message=by), Stage.SUPERSEDED, ended=now)


def missed(id: str, name: str, begins: datetime, ends: datetime, now: datetime) -> WindowRecord:
    """A window that passed without anybody waking the site."""
    return WindowRecord(
        id=id,
        name=name,
        kind=WindowKind.WINDOW,
        begins=begins,
        ends=ends,
        stage=Stage.MISSED,
        ended=now,
        message="nobody woke the site: the operator was away, or could not tell who acts",
    )
