"""What cannot be what it should be is named by its path; what is newer is not read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from tests.runs.making import (
    AT,
    KEYS,
    PLAN,
    answered,
    approval,
    asked,
    attempt,
    beacon,
    ended,
    result,
    taken,
)
from wayfare_engine import runs
from wayfare_engine.errors import SaidToPeople
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.runs import beacons, bundles
from wayfare_engine.runs.objects import MOST_RECORD

FAILED: dict[str, Any] = {"outcome": runs.Outcome.FAILED}


@dataclass(frozen=True)
class Kept:
    """A record: where it is, how it is written, how it is read."""

    path: str
    write: Callable[[ObjectStore], object]
    read: Callable[[ObjectStore], object]


def _request(store: ObjectStore) -> runs.Request:
    return asked(store, taken(store))


KEPT = {
    "run": Kept(paths.run_record(PLAN, 1), taken, lambda s: runs.read_run(s, PLAN, 1)),
    "end": Kept(paths.run_end(PLAN, 1), lambda s: ended(s, 1), lambda s: runs.read_end(s, PLAN, 1)),
    "attempt": Kept(
        paths.step_attempt(PLAN, 1, "CatchUp", 1),
        lambda s: runs.begin(s, PLAN, attempt()),
        lambda s: runs.attempts(s, PLAN, 1, "CatchUp"),
    ),
    "result": Kept(
        paths.step_result(PLAN, 1, "CatchUp"),
        lambda s: runs.put_result(s, PLAN, result()),
        lambda s: runs.read_result(s, PLAN, 1, "CatchUp"),
    ),
    "failure": Kept(
        paths.step_failure(PLAN, 1, "CatchUp", 1),
        lambda s: runs.put_result(s, PLAN, result(**FAILED)),
        lambda s: runs.read_failure(s, PLAN, 1, "CatchUp", 1),
    ),
    "approval": Kept(
        paths.run_approval(PLAN, 1, 1),
        lambda s: runs.put_approval(s, PLAN, approval("a")),
        lambda s: runs.approvals(s, PLAN, 1),
    ),
    "request": Kept(
        paths.run_request(PLAN, 1, 1), _request, lambda s: runs.requests(s, KEYS, taken(s))
    ),
    "answer": Kept(
        paths.run_answer(PLAN, 1, 1),
        lambda s: answered(s, taken(s), _request(s)),
        lambda s: runs.requests(s, KEYS, taken(s)),
    ),
    "beacon": Kept(
        paths.beacon(PLAN, "west"),
        lambda s: beacons.write(s, PLAN, beacon()),
        lambda s: beacons.newest(s, PLAN, "west"),
    ),
    "current": Kept(
        paths.bundle_current(PLAN),
        lambda s: bundles.put_current(s, PLAN, bundles.Current(digest="x", at=AT, site="e")),
        lambda s: bundles.read_current(s, PLAN),
    ),
}


@pytest.fixture(params=list(KEPT))
def kept(request: pytest.FixtureRequest, direct: ObjectStore) -> Kept:
    """Each of them, written."""
    one = KEPT[request.param]
    one.write(direct)
    assert one.read(direct)
    return one


def body(store: ObjectStore, kept: Kept) -> dict[str, object]:
    found = msgspec.json.decode(store.get(kept.path) or b"")
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\x00\x01",
        b"{}",
        b"[]",
        b"null",
        b'"text"',
        b'{"format":"x"}',
        b"\xff\xfe",
        b"[" * 9999,
    ],
    ids=repr,
)
def test_what_is_not_such_a_record_is_named_by_its_path(
    direct: ObjectStore, kept: Kept, damage: bytes
) -> None:
    direct.put(kept.path, damage)
    with pytest.raises(runs.RecordDamaged) as problem:
        kept.read(direct)
    assert problem.value.path == kept.path
    assert isinstance(problem.value, SaidToPeople)
    assert str(problem.value).startswith(f"object {kept.path} in the object store is not what bel")


def test_half_of_a_record_is_damaged(direct: ObjectStore, kept: Kept) -> None:
    whole = direct.get(kept.path) or b""
    direct.put(kept.path, whole[: len(whole) // 2])
    with pytest.raises(runs.RecordDamaged, match=kept.path):
        kept.read(direct)


def test_a_newer_format_is_refused_before_its_fields_are_looked_at(
    direct: ObjectStore, kept: Kept
) -> None:
    direct.put(kept.path, b'{"format":2,"everything":"else"}')
    with pytest.raises(
        runs.NewerRecord, match=f"object {kept.path} .* is of format 2.*reads 1: upgrade"
    ):
        kept.read(direct)


def test_fields_that_are_not_known_yet_are_passed_over(direct: ObjectStore, kept: Kept) -> None:
    before = kept.read(direct)
    direct.put(kept.path, msgspec.json.encode(body(direct, kept) | {"added": [1]}))
    assert kept.read(direct) == before


def test_more_than_a_record_can_have_is_not_read(direct: ObjectStore, kept: Kept) -> None:
    direct.put(kept.path, b" " * MOST_RECORD + b"{}")
    with pytest.raises(runs.RecordDamaged, match=r"has more than 1,048,576 bytes"):
        kept.read(direct)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("run", {"number": 2}),
        ("run", {"plan": "bank.other"}),
        ("end", {"run": 2}),
        ("attempt", {"attempt": 2}),
        ("attempt", {"step": "Verify"}),
        ("result", {"run": 2}),
        ("result", {"step": "Verify"}),
        ("result", {"outcome": "Failed"}),
        ("failure", {"attempt": 2}),
        ("failure", {"outcome": "Succeeded"}),
        ("approval", {"number": 2}),
        ("approval", {"run": 2}),
    ],
)
def test_a_record_that_was_put_elsewhere_is_not_believed(
    direct: ObjectStore, name: str, fields: dict[str, object]
) -> None:
    kept = KEPT[name]
    kept.write(direct)
    direct.put(kept.path, msgspec.json.encode(body(direct, kept) | fields))
    with pytest.raises(runs.RecordDamaged, match=kept.path):
        kept.read(direct)


def test_a_damaged_record_is_never_rewritten(direct: ObjectStore, kept: Kept) -> None:
    direct.put(kept.path, b"{}")
    if kept.path in (paths.beacon(PLAN, "west"), paths.bundle_current(PLAN)):
        kept.write(direct)
        assert kept.read(direct), "these two are overwritten by every writer"
    else:
        with pytest.raises(runs.RecordDamaged):
            kept.write(direct)
        assert direct.get(kept.path) == b"{}"


def test_a_record_that_nobody_would_read_is_not_written(direct: ObjectStore) -> None:
    taken(direct)
    with pytest.raises(runs.RecordTooLarge, match=r"CatchUp/result would have .* bytes.*evidence"):
        runs.put_result(direct, PLAN, result(figures={"rows": "x" * MOST_RECORD}))
    assert runs.read_result(direct, PLAN, 1, "CatchUp") is None
    with pytest.raises(runs.RecordTooLarge, match="beacons/"):
        beacons.write(direct, PLAN, beacon(figures={"x": "x" * MOST_RECORD}))


def test_a_damaged_run_takes_no_number(direct: ObjectStore) -> None:
    taken(direct, "a")
    direct.put(paths.run_record(PLAN, 1), b"{}")
    with pytest.raises(runs.RecordDamaged, match=r"run\.json"):
        taken(direct, "b")
    assert not direct.exists(paths.run_record(PLAN, 2))
