"""Which runs there are, and which one is open: its record is the lock between sites.

Runs of a plan are numbered from 1. A number is taken by whoever creates its record, and the next
one only after the end of the one before was written; so at most one run is open, at one site.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.resources import RunKind
from wayfare_engine.runs.objects import put_once, read
from wayfare_engine.runs.problems import NotAsRecorded, RecordDamaged, RunInProgress
from wayfare_engine.runs.records import LostPart, Run, RunEnd

#: How many ended runs are looked through for one that has this uid already.
LOOK_BACK = 10

_before_run = crash_point("runs.take.before_put", "nothing yet: the run's record comes next")
_after_run = crash_point("runs.take.put", "the run's record is in the store")
_before_end = crash_point("runs.end.before_put", "nothing yet: the run's end comes next")
_after_end = crash_point("runs.end.put", "the run's end is in the store")


def take(
    store: ObjectStore,
    *,
    plan: str,
    kind: RunKind,
    target: str,
    name: str,
    uid: str,
    requested_by: str,
    reason: str,
    at: datetime,
    fault_at: datetime | None = None,
    statement: str | None = None,
    scenario: LostPart | None = None,
    seen: int = 0,
) -> Run:
    """The run of this `uid`, with a number of its own: taken now, or by an earlier call.

    Raises RunInProgress when another run is open. Safe to repeat, which is the answer to
    StoreUnavailable: that leaves unknown whether the number was taken, or will be. `seen`: a
    number that is known to be taken.
    """
    wanted = Run(
        plan=plan,
        number=1,
        kind=kind,
        target=target,
        name=name,
        uid=uid,
        requested_by=requested_by,
        reason=reason,
        at=at,
        fault_at=fault_at,
        statement=statement,
        scenario=scenario,
    )
    last = newest(store, plan, seen=seen)
    found = _of_uid(store, last, uid)
    while found is None:
        if last is not None:
            if read_end(store, plan, last.number) is None:
                raise RunInProgress(plan, last.number, last.name, last.target)
            wanted = msgspec.structs.replace(wanted, number=last.number + 1)
        path = paths.run_record(plan, wanted.number)
        last = put_once(store, path, wanted, before=_before_run, after=_after_run)
        _checked(last, plan, wanted.number)
        found = last if last.uid == uid else None
    return found


def _of_uid(store: ObjectStore, last: Run | None, uid: str) -> Run | None:
    """The run that has this uid, when it is one of the newest."""
    run = last
    for _ in range(LOOK_BACK):
        if run is None or run.uid == uid:
            return run
        run = read_run(store, run.plan, run.number - 1) if run.number > 1 else None
    return None


def newest(store: ObjectStore, plan: str, *, seen: int = 0) -> Run | None:
    """The run with the highest number; None when there is none.

    `seen` is a number that was taken, as far as the caller remembers (0: none): with it nothing
    is listed. Raises NotAsRecorded when the store does not know it.
    """
    run = read_run(store, plan, seen) if seen else None
    if seen and run is None:
        raise NotAsRecorded(
            paths.run_record(plan, seen),
            f"run {seen} of plan {plan} was taken, and the store does not hold it; it is another "
            "bucket or prefix, or records were deleted",
        )
    if not seen:
        numbers = [int(one) for one in store.folders(paths.runs(plan)) if one.isdecimal()]
        for number in sorted(numbers, reverse=True):  # folders are named on after their removal
            run = read_run(store, plan, number)
            if run is not None:
                break
    # Listings may lag; a read of the next record does not.
    while (following := read_run(store, plan, run.number + 1 if run else 1)) is not None:
        run = following
    return run


def open_run(store: ObjectStore, plan: str, *, seen: int = 0) -> Run | None:
    """The run that has not ended; None when there is none. `seen` as in `newest`."""
    run = newest(store, plan, seen=seen)
    return run if run is not None and read_end(store, plan, run.number) is None else None


def read_run(store: ObjectStore, plan: str, number: int) -> Run | None:
    """A run's record; None when nobody took the number. Raises RecordDamaged, NewerRecord."""
    found = read(store, paths.run_record(plan, number), Run)
    return None if found is None else _checked(found, plan, number)


def _checked(run: Run, plan: str, number: int) -> Run:
    if (run.plan, run.number) != (plan, number):
        raise RecordDamaged(
            paths.run_record(plan, number), f"speaks of run {run.number} of plan {run.plan}"
        )
    return run


def put_end(store: ObjectStore, plan: str, end: RunEnd) -> RunEnd:
    """Say what became of a run; the first that is written stands, and is returned.

    Everything else about the run has to be written before: another may begin right after.
    """
    path = paths.run_end(plan, end.run)
    found = put_once(store, path, end, before=_before_end, after=_after_end)
    return _end_checked(found, path, end.run)


def read_end(store: ObjectStore, plan: str, number: int) -> RunEnd | None:
    """What became of a run; None while it is open."""
    path = paths.run_end(plan, number)
    found = read(store, path, RunEnd)
    return None if found is None else _end_checked(found, path, number)


def _end_checked(end: RunEnd, path: str, number: int) -> RunEnd:
    if end.run != number:
        raise RecordDamaged(path, f"speaks of run {end.run}")
    return end
