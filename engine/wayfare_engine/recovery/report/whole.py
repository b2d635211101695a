"""Whether a run's records are what they were when it ended.

Its end names evidence that holds them all. Whoever could change a record afterwards, or take one
away, cannot change that with it: its name is its digest, and the end is written once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.recovery.records_of_run import RunRecords
from wayfare_engine.runs import EvidenceMissing, RecordDamaged, evidence
from wayfare_engine.runs.objects import canonical

_OTHER = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What another form of evidence leads to: it is JSON, and may be anything."""


@dataclass(frozen=True)
class Compared:
    """`compared` records were there and the same, None: nothing says what they were. `changed` and
    `gone` are paths; `added` are those of records that the run's end does not know."""

    compared: int | None
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


def compare(store: ObjectStore, records: RunRecords) -> Compared:
    """Compare with what the run's end names. Raises StoreProblem and StoreUnavailable."""
    end = records.end
    if end is None or end.evidence is None:
        return Compared(None)
    try:
        told = evidence.get(store, end.evidence)
        before = dict(_told(records, told))
        now = {path: _plain(record) for path, record in _records(records)}
    except (EvidenceMissing, RecordDamaged, *_OTHER):
        return Compared(None)
    return Compared(
        compared=sum(now.get(path) == value for path, value in before.items()),
        changed=tuple(p for p, value in before.items() if p in now and now[p] != value),
        gone=tuple(p for p in before if p not in now),
        added=tuple(p for p in now if p not in before),
    )


def _told(records: RunRecords, told: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each record in the evidence, with the path where it belongs."""
    plan, number = records.plan, records.number
    yield paths.run_record(plan, number), told["run"]
    yield paths.run_end(plan, number), told["end"]
    for name, step in told["steps"].items():
        for one in step["attempts"]:
            yield paths.step_attempt(plan, number, name, one["attempt"]), one
        for one in step["failures"]:
            yield paths.step_failure(plan, number, name, one["attempt"]), one
        if step["result"] is not None:
            yield paths.step_result(plan, number, name), step["result"]
    for one in told["approvals"]:
        yield paths.run_approval(plan, number, one["number"]), one


def _records(records: RunRecords) -> Iterator[tuple[str, msgspec.Struct]]:
    """Each record that was read, with its path."""
    plan, number = records.plan, records.number
    if records.run is not None:
        yield paths.run_record(plan, number), records.run
    if records.end is not None:
        end = msgspec.structs.replace(records.end, evidence=None)  # which names what this is in
        yield paths.run_end(plan, number), end
    for attempt in records.attempts:
        yield paths.step_attempt(plan, number, attempt.step, attempt.attempt), attempt
    for failure in records.failures:
        yield paths.step_failure(plan, number, failure.step, failure.attempt), failure
    for name, result in records.results.items():
        yield paths.step_result(plan, number, name), result
    for one in records.approvals:
        yield paths.run_approval(plan, number, one.number), one


def _plain(record: msgspec.Struct) -> Any:
    return json.loads(canonical(record))
