"""Requests between sites: signed, bound to their place, asked once, answered once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from tests.runs.making import AT, KEYS, PLAN, answered, asked, ended, taken
from tests.servers.faultstore import Drop, FaultStore, Hold
from wayfare_engine import runs
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable, paths
from wayfare_engine.resources import RunKind
from wayfare_engine.runs import asking

OTHER = runs.Keys.of("f" * 32)


def rewritten(store: ObjectStore, path: str, **fields: object) -> None:
    """Change fields of an object, as somebody with the bucket's credentials can."""
    body = msgspec.json.decode(store.get(path) or b"")
    store.put(path, msgspec.json.encode(body | fields))


def test_what_is_asked_is_found_with_its_answer(direct: ObjectStore) -> None:
    run = taken(direct)
    assert runs.requests(direct, KEYS, run) == ()
    first, second = asked(direct, run), asked(direct, run, step="Seal", what="Seal")
    assert (first.number, second.number) == (1, 2)
    assert (first.from_site, first.to_site) == ("west", "east")
    answer = answered(direct, run, first)
    assert runs.requests(direct, KEYS, run) == (
        runs.Asked(first, answer),
        runs.Asked(second, None),
    )
    assert runs.requests(direct, KEYS, run, after=1) == (runs.Asked(second, None),)
    assert runs.read_answer(direct, KEYS, run, second) is None


def test_asking_again_is_the_same_request_and_another_attempt_is_not(direct: ObjectStore) -> None:
    run = taken(direct)
    first = asked(direct, run)
    assert asked(direct, run, at=AT + timedelta(1), arguments={"seconds": 9}) == first
    assert asked(direct, run, attempt=2).number == 2
    assert asked(direct, run, what="Resume").number == 3


def test_the_first_answer_stands(store: ObjectStore, faults: FaultStore) -> None:
    run = taken(store)
    faults.rule("a", Drop(), methods="PUT", path="/requests/", times=2)
    request = asked(store, run)
    first = answered(store, run, request)
    assert answered(store, run, request, outcome=runs.Outcome.FAILED, message="no") == first


def test_a_request_that_arrives_late_is_the_one_that_was_asked_again(
    store: ObjectStore, faults: FaultStore
) -> None:
    run = taken(store)
    faults.rule("a", Hold(), methods="PUT", times=1)
    with pytest.raises(StoreUnavailable):
        asked(store, run)
    again = asked(store, run, at=AT + timedelta(seconds=9))
    faults.release()
    assert asked(store, run) == again
    assert len(runs.requests(store, KEYS, run)) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"a": 1.0, "b": 2, "c": 1e300, "d": -0.5, "e": None, "f": True},
        {"when": datetime(2026, 3, 1, 12, 0, 0, 123, tzinfo=UTC)},
        {"when": datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=30)))},
        {"deep": [{"names": ("ä", "\u2028", "\U0001f600", '"')}], "1": {}},
        {"big": 2**62},
    ],
)
def test_a_signature_holds_for_what_was_read_back(
    direct: ObjectStore, arguments: dict[str, object]
) -> None:
    run = taken(direct)
    request = asked(direct, run, arguments=arguments)
    answered(direct, run, request, figures=arguments)
    (found,) = runs.requests(direct, KEYS, run)
    assert found.answer is not None
    assert runs.request_holds(KEYS, run, found.request)
    assert runs.answer_holds(KEYS, run, found.request, found.answer)


@pytest.mark.parametrize(
    "changed",
    [
        {"what": "StandDown"},
        {"to_site": "north"},
        {"step": "Seal"},
        {"attempt": 2},
        {"arguments": {"seconds": 50}},
        {"at": "2026-03-01T12:00:01Z"},
        {"signature": "0" * 64},
        {"signature": ""},
        {"signature": "\u00e4"},
        {"from_site": "east"},
        {"number": 2},
        {"run": 2},
    ],
)
def test_a_request_that_was_changed_is_not_obeyed(
    direct: ObjectStore, changed: dict[str, object]
) -> None:
    run = taken(direct)
    asked(direct, run)
    path = paths.run_request(PLAN, 1, 1)
    rewritten(direct, path, **changed)
    with pytest.raises(runs.BadSignature, match=f"{path}.*is not obeyed.*WAYFARE_RECOVERY_KEY"):
        runs.requests(direct, KEYS, run)
    with pytest.raises(runs.BadSignature):
        asked(direct, run)


@pytest.mark.parametrize(
    "changed",
    [
        {"outcome": "Failed"},
        {"figures": {}},
        {"message": ""},
        {"by": "west"},
        {"number": 2},
        {"signature": "0" * 64},
    ],
)
def test_an_answer_that_was_changed_does_not_count(
    direct: ObjectStore, changed: dict[str, object]
) -> None:
    run = taken(direct)
    request = asked(direct, run)
    answered(direct, run, request)
    path = paths.run_answer(PLAN, 1, 1)
    rewritten(direct, path, **changed)
    for call in (
        lambda: runs.requests(direct, KEYS, run),
        lambda: runs.read_answer(direct, KEYS, run, request),
        lambda: answered(direct, run, request),
    ):
        with pytest.raises(runs.BadSignature, match=path):
            call()


def test_a_request_signed_with_another_key_is_not_obeyed(direct: ObjectStore) -> None:
    run = taken(direct)
    request = runs.ask(
        direct, OTHER, run, to_site="east", step="Seal", attempt=1, what="Seal", at=AT
    )
    with pytest.raises(runs.BadSignature, match="signature does not hold for this run"):
        runs.requests(direct, KEYS, run)
    assert not runs.request_holds(KEYS, run, request)
    assert runs.request_holds(OTHER, run, request)


def copied(
    direct: ObjectStore, run: runs.Run, other: runs.Run, place: Callable[[str, int, int], str]
) -> None:
    """The object of `run` at the place that it would have in `other`, with its run's number."""
    body = msgspec.json.decode(direct.get(place(run.plan, run.number, 1)) or b"")
    body["run"] = other.number
    direct.put(place(other.plan, other.number, 1), msgspec.json.encode(body))


def test_a_request_of_an_earlier_run_is_not_obeyed_again(direct: ObjectStore) -> None:
    run = taken(direct, "a")
    asked(direct, run)
    ended(direct, 1)
    later = taken(direct, "b")
    copied(direct, run, later, paths.run_request)
    with pytest.raises(runs.BadSignature):
        runs.requests(direct, KEYS, later)


def test_a_request_of_another_plan_or_of_a_store_before_is_not_obeyed(direct: ObjectStore) -> None:
    run = taken(direct, "a")
    request = asked(direct, run)
    elsewhere = taken(direct, "a", plan="bank.other")
    copied(direct, run, elsewhere, paths.run_request)
    with pytest.raises(runs.BadSignature):
        runs.requests(direct, KEYS, elsewhere)
    same_number = msgspec.structs.replace(run, uid="b")
    assert runs.request_holds(KEYS, run, request)
    assert not runs.request_holds(KEYS, same_number, request)


def test_a_request_that_is_put_again_at_the_next_place_is_not_obeyed(direct: ObjectStore) -> None:
    run = taken(direct)
    asked(direct, run)
    body = direct.get(paths.run_request(PLAN, 1, 1)) or b""
    direct.put(paths.run_request(PLAN, 1, 2), body)
    with pytest.raises(runs.BadSignature, match=r"requests/0002/request.*it is request 1 of run 1"):
        runs.requests(direct, KEYS, run)


def test_an_answer_holds_for_its_own_request_alone(direct: ObjectStore) -> None:
    run = taken(direct)
    first, second = asked(direct, run), asked(direct, run, attempt=2)
    given = answered(direct, run, first)
    moved = msgspec.structs.replace(given, number=2)
    direct.put(paths.run_answer(PLAN, 1, 2), msgspec.json.encode(moved))
    with pytest.raises(runs.BadSignature, match="does not hold for this request"):
        runs.read_answer(direct, KEYS, run, second)


def test_a_request_is_no_answer() -> None:
    """What the one's signature is over is never what the other's is over."""
    run = runs.Run(
        plan=PLAN, number=1, kind=RunKind.DRILL, target="w", name="n", uid="u", requested_by="a",
        reason="r", at=AT,
    )  # fmt: skip
    request = runs.Request(
        run=1, number=1, from_site="w", to_site="e", step="s", attempt=1, what="x", at=AT,
        signature="",
    )  # fmt: skip
    given = runs.Answer(
        run=1, number=1, outcome=runs.Outcome.FAILED, message="", at=AT, by="e", signature=""
    )
    assert asking._asked(run, request).partition(b"\n")[0] == b"wayfare request"
    assert asking._answered(run, request, given).partition(b"\n")[0] == b"wayfare answer"


def test_a_key_is_changed_at_one_site_after_the_other(direct: ObjectStore) -> None:
    old, new = "o" * 32, "n" * 32
    both = runs.Keys.of(f"{new},{old}")
    run = taken(direct)
    by_old = runs.ask(
        direct, runs.Keys.of(old), run, to_site="east", step="s", attempt=1, what="A", at=AT
    )
    by_both = runs.ask(direct, both, run, to_site="east", step="s", attempt=1, what="B", at=AT)
    assert [one.request for one in runs.requests(direct, both, run)] == [by_old, by_both]
    assert runs.request_holds(runs.Keys.of(new), run, by_both)
    assert not runs.request_holds(runs.Keys.of(new), run, by_old)


@pytest.mark.parametrize("text", ["", " ", ",", "short", "f" * 32 + ",short"])
def test_a_key_that_cannot_be_used_is_said(text: str) -> None:
    with pytest.raises(runs.BadKey, match=r"WAYFARE_RECOVERY_KEY .*openssl") as refused:
        runs.Keys.of(text)
    assert "short" not in str(refused.value)


def test_a_key_shows_nowhere() -> None:
    assert "f" * 8 not in repr(OTHER)
    assert "f" * 8 not in str(OTHER)
