"""A plan's runs in numbers: what each took and what it lost, by its own records."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.recovery.records_of_run import RunRecords
from wayfare_engine.recovery.report.model import Measured, ObjectSeen, RunSeen
from wayfare_engine.runs import objects
from wayfare_engine.runs.problems import NewerRecord, RecordDamaged
from wayfare_engine.runs.records import Rpo, Rto, Run, RunEnd

#: So many runs before the one of the report are read.
MOST_EARLIER = 30
UNKNOWN = "Unknown"
#: No count of rows, and no seconds, are more.
_MOST = 10**15


def _possible(number: float | None) -> float | None:
    """The number, or None for one that cannot be a time or a count."""
    return number if number is not None and 0 <= number < _MOST else None


def measured_rto(rto: Rto | None) -> Measured:
    """The recovery time, in seconds."""
    if rto is None:
        return Measured(value=None, objective=None, met=None, basis=UNKNOWN)
    return Measured(
        value=_possible(rto.seconds),
        objective=_possible(rto.objective_seconds),
        met=rto.met,
        basis=rto.from_ or UNKNOWN,
    )


def measured_rpo(rpo: Rpo | None) -> Measured:
    """What was lost, in rows; there is no objective in rows."""
    if rpo is None:
        return Measured(value=None, objective=None, met=None, basis=UNKNOWN)
    return Measured(
        value=_possible(rpo.rows),
        objective=None,
        met=rpo.met,
        basis=rpo.basis or UNKNOWN,
        oldest_at=rpo.oldest_at,
        oldest_within=_possible(rpo.objective_seconds),
    )


def this_one(records: RunRecords, state: str, rpo: Any) -> RunSeen:
    """The run of the report. `rpo`: the newest figure that a step gave, for one that is open."""
    run, end = records.run, records.end
    told = end.rpo if end is not None else _decoded(rpo)
    return RunSeen(
        number=records.number,
        name=run.name if run else "",
        kind=str(run.kind) if run else UNKNOWN,
        at=run.at if run else None,
        state=state,
        verdict=str(end.verdict) if end else UNKNOWN,
        rto=measured_rto(end.rto if end else None),
        rpo=measured_rpo(told),
    )


def earlier(
    store: ObjectStore, plan: str, number: int
) -> tuple[tuple[RunSeen, ...], tuple[ObjectSeen, ...], int]:
    """The runs before `number`, the oldest first; records among theirs that cannot be used; how
    many runs were not looked at. Raises StoreProblem and StoreUnavailable."""
    first = max(1, number - MOST_EARLIER)
    found: list[RunSeen] = []
    problems: list[ObjectSeen] = []
    for each in range(first, number):
        run = _read(store, paths.run_record(plan, each), Run, problems)
        end = _read(store, paths.run_end(plan, each), RunEnd, problems)
        found.append(
            RunSeen(
                number=each,
                name=run.name if run else "",
                kind=str(run.kind) if run else UNKNOWN,
                at=run.at if run else None,
                state=str(end.state) if end else UNKNOWN,
                verdict=str(end.verdict) if end else UNKNOWN,
                rto=measured_rto(end.rto if end else None),
                rpo=measured_rpo(end.rpo if end else None),
            )
        )
    return tuple(found), tuple(problems), first - 1


def _decoded(told: Any) -> Rpo | None:
    try:
        return msgspec.convert(told, Rpo)
    except msgspec.ValidationError:
        return None


def _read(store: ObjectStore, path: str, kind: Any, problems: list[ObjectSeen]) -> Any:
    data = store.get(path)
    why = "there is no such record"
    if data is not None:
        try:
            return objects.decode(data, kind, path)
        except RecordDamaged as damaged:
            why = f"damaged: {damaged.cause}"
        except NewerRecord as newer:
            why = f"of format {newer.found}; this version reads {newer.known}"
    body = data or b""
    problems.append(
        ObjectSeen(path=path, size=len(body), sha256=hashlib.sha256(body).hexdigest(), problem=why)
    )
    return None
