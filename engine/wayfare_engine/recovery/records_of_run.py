"""All that the store has about one run, read at once. An object that cannot be used, or that no
one knows, is kept as such: a report leaves nothing out silently."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.runs import objects
from wayfare_engine.runs.problems import NewerRecord, RecordDamaged
from wayfare_engine.runs.records import (
    Answer,
    ApprovalRecord,
    Attempt,
    Record,
    Request,
    Run,
    RunEnd,
    StepResult,
)

_STEP, _ENTRY = r"(?P<step>[A-Z][A-Za-z0-9]*)", r"(?P<entry>[0-9]+)"
_PLACES: tuple[tuple[str, type[Record]], ...] = (
    (r"run\.json", Run),
    (r"end", RunEnd),
    (rf"approvals/{_ENTRY}", ApprovalRecord),
    (rf"requests/{_ENTRY}/request", Request),
    (rf"requests/{_ENTRY}/answer", Answer),
    (rf"{_STEP}/attempts/{_ENTRY}/begun", Attempt),
    (rf"{_STEP}/attempts/{_ENTRY}/failure", StepResult),
    (rf"{_STEP}/result", StepResult),
)


@dataclass(frozen=True)
class ReadObject:
    """A record as it lay there: size in bytes, digest of the bytes, and why it was not used."""

    path: str
    size: int
    sha256: str
    problem: str | None


@dataclass
class RunRecords:
    """One run's records; those of a kind in the order of their paths.

    `run` is None when its object is damaged, or of a newer version.
    """

    plan: str
    number: int
    run: Run | None = None
    end: RunEnd | None = None
    attempts: list[Attempt] = field(default_factory=list)
    failures: list[StepResult] = field(default_factory=list)
    results: dict[str, StepResult] = field(default_factory=dict)
    approvals: list[ApprovalRecord] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    answers: dict[int, Answer] = field(default_factory=dict)
    objects: list[ReadObject] = field(default_factory=list)


class Records:
    """A run's records, read again and again: what was read is not read twice, since no record ever
    changes."""

    def __init__(self, store: ObjectStore, plan: str, number: int) -> None:
        self._store = store
        self._read: dict[str, bytes] = {}
        self._plan, self._number = plan, number

    def look(self) -> RunRecords:
        """What the store has now. Raises StoreProblem and StoreUnavailable."""
        prefix = paths.run(self._plan, self._number)
        for listed in self._store.list(prefix):
            if listed.path not in self._read:
                data = self._store.get(listed.path)
                if data is not None:
                    self._read[listed.path] = data
        return sorted_out(self._plan, self._number, prefix, self._read)


def sorted_out(plan: str, number: int, prefix: str, found: Mapping[str, bytes]) -> RunRecords:
    """The records of these objects, by their paths below `prefix`."""
    made = RunRecords(plan, number)
    for path in sorted(found):
        data = found[path]
        problem = _take(made, path, path.removeprefix(prefix), data)
        digest = hashlib.sha256(data).hexdigest()
        made.objects.append(ReadObject(path, len(data), digest, problem))
    return made


def _take(made: RunRecords, path: str, place: str, data: bytes) -> str | None:
    """Put the record where it belongs; why not, otherwise."""
    matched = ((re.fullmatch(pattern, place), kind) for pattern, kind in _PLACES)
    found, kind = next((each for each in matched if each[0] is not None), (None, Record))
    if found is None:
        return "is no record that this version knows"
    try:
        record = objects.decode(data, kind, path)
    except RecordDamaged as damaged:
        return f"damaged: {damaged.cause}"
    except NewerRecord as newer:
        return f"of format {newer.found}; this version reads {newer.known}"
    if not all(moment.tzinfo for moment in _moments(record)):
        return "damaged: it has a time without its zone"
    if not _belongs(record, found.groupdict(), made):
        return "damaged: it speaks of another run, step or attempt than its place"
    match record:
        case Run():
            made.run = record
        case RunEnd():
            made.end = record
        case ApprovalRecord():
            made.approvals.append(record)
        case Request():
            made.requests.append(record)
        case Answer():
            made.answers[record.number] = record
        case Attempt():
            made.attempts.append(record)
        case StepResult() if place.endswith("/result"):
            made.results[record.step] = record
        case StepResult():
            made.failures.append(record)
    return None


def _moments(value: object) -> Iterator[datetime]:
    """Every time in a record."""
    if isinstance(value, datetime):
        yield value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _moments(getattr(value, name))
    elif isinstance(value, tuple):
        for part in value:
            yield from _moments(part)


def _belongs(record: Record, place: Mapping[str, str], made: RunRecords) -> bool:
    """Whether what the record says of itself is where it lies."""
    entry = int(place["entry"]) if "entry" in place else None
    match record:
        case Run():
            return (record.plan, record.number) == (made.plan, made.number)
        case ApprovalRecord() | Request() | Answer():
            return (record.run, record.number) == (made.number, entry)
        case Attempt() | StepResult():
            right = (record.run, record.step) == (made.number, place["step"])
            return right and entry in (None, record.attempt)
        case RunEnd():
            return record.run == made.number
        case _:
            return False
