"""A run's number is the lock between the sites: one taker, one open run, also over lost answers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.runs.making import AT, PLAN, ended, taken
from tests.servers.faultstore import Answer, Drop, FaultStore, Hold
from tests.servers.objects import ObjectServer
from wayfare_engine import runs
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable, open_store, paths
from wayfare_engine.resources import RunKind, RunState, Verdict


def test_runs_of_a_plan_are_numbered_from_one(direct: ObjectStore) -> None:
    assert runs.newest(direct, PLAN) is None
    assert runs.open_run(direct, PLAN) is None
    for number in (1, 2, 3):
        run = taken(direct, f"u{number}")
        assert run.number == number
        assert runs.newest(direct, PLAN) == runs.open_run(direct, PLAN) == run
        ended(direct, number)
        assert runs.open_run(direct, PLAN) is None
    assert runs.read_run(direct, PLAN, 4) is None


def test_everything_that_was_asked_for_is_kept(direct: ObjectStore) -> None:
    lost = runs.LostPart(lost="Channel", channel="sms", at_position=7)
    run = taken(direct, kind=RunKind.DRILL, fault_at=AT, statement="it burns", scenario=lost)
    kept = runs.read_run(direct, PLAN, 1)
    assert kept == run
    assert (run.kind, run.fault_at, run.statement, run.scenario) == (
        RunKind.DRILL,
        AT,
        "it burns",
        lost,
    )


def test_a_second_run_is_refused_while_one_is_open_and_named(direct: ObjectStore) -> None:
    taken(direct, "first")
    with pytest.raises(
        runs.RunInProgress, match=r"run-first \(number 1\) at site west.*abandon it"
    ) as refused:
        taken(direct, "second", target="east")
    assert (refused.value.number, refused.value.name) == (1, "run-first")
    ended(direct, 1)
    assert taken(direct, "second", target="east").number == 2


def test_a_repeat_is_the_same_run_whatever_happened_since(direct: ObjectStore) -> None:
    first = taken(direct, "a")
    assert taken(direct, "a", at=AT + timedelta(1), reason="other") == first
    ended(direct, 1)
    assert taken(direct, "a") == first, "also when it has ended"
    taken(direct, "b")
    assert taken(direct, "a") == first, "and when another is open"


def test_plans_do_not_meet(direct: ObjectStore) -> None:
    taken(direct, "a")
    assert taken(direct, "b", plan="bank.other").number == 1
    assert taken(direct, "c", plan="bank.retail2").number == 1


def test_of_two_takers_at_once_one_wins_and_the_other_names_it(
    objects: ObjectServer, url: str
) -> None:
    def attempt(uid: str, ready: threading.Barrier) -> runs.Run | runs.RunInProgress:
        store = open_store(url, options=objects.options)
        ready.wait(30)
        try:
            return taken(store, uid, target=uid)
        except runs.RunInProgress as refused:
            return refused

    store = open_store(url, options=objects.options)
    for number in range(1, 21):
        ready = threading.Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            found = [
                w.result(30) for w in [pool.submit(attempt, f"{s}{number}", ready) for s in "ew"]
            ]
        (won,) = (one for one in found if isinstance(one, runs.Run))
        (lost,) = (one for one in found if isinstance(one, runs.RunInProgress))
        assert won.number == number
        assert (lost.number, lost.name, lost.target) == (number, won.name, won.target)
        assert runs.open_run(store, PLAN) == won
        ended(store, number)


def test_an_answer_that_is_lost_after_the_write_is_settled_by_reading(
    store: ObjectStore, faults: FaultStore
) -> None:
    dropped = faults.rule("a", Drop(), methods="PUT", times=1)
    run = taken(store)
    assert dropped.used == 1
    assert runs.read_run(store, PLAN, 1) == run
    assert taken(store) == run


def test_a_write_that_arrives_late_takes_what_its_taker_asks_for_again(
    store: ObjectStore, faults: FaultStore
) -> None:
    faults.rule("a", Hold(), methods="PUT", times=1)
    with pytest.raises(StoreUnavailable, match=r"whether runs/.*/run.json was written is not know"):
        taken(store)
    faults.release()
    assert taken(store).number == 1
    assert runs.read_run(store, PLAN, 2) is None


def test_a_late_write_does_not_take_what_another_has_by_then(
    objects: ObjectServer, faults: FaultStore, url: str
) -> None:
    east, west = (
        open_store(url, options=faults.options(one), retries=0, timeout_seconds=1.0)
        for one in ("a", "b")
    )
    faults.rule("a", Hold(), methods="PUT", times=1)
    with pytest.raises(StoreUnavailable):
        taken(east, "e", target="east")
    won = taken(west, "w")
    faults.release()
    assert runs.read_run(west, PLAN, 1) == won
    with pytest.raises(runs.RunInProgress, match="run-w"):
        taken(east, "e", target="east")


def test_a_store_that_is_away_takes_nothing(store: ObjectStore, faults: FaultStore) -> None:
    faults.rule("a", Answer(503, "SlowDown"))
    for call in (
        lambda: taken(store),
        lambda: runs.newest(store, PLAN),
        lambda: runs.open_run(store, PLAN, seen=1),
        lambda: ended(store, 1),
    ):
        with pytest.raises(StoreUnavailable):
            call()
    faults.heal()
    assert runs.newest(store, PLAN) is None


def test_an_end_that_cannot_be_read_opens_no_way(store: ObjectStore, faults: FaultStore) -> None:
    taken(store, "a")
    ended(store, 1)
    faults.rule("a", Answer(503, "SlowDown"), methods="GET", path="/end")
    with pytest.raises(StoreUnavailable):
        taken(store, "b")
    faults.heal()
    assert runs.read_run(store, PLAN, 2) is None


def test_the_first_end_stands(store: ObjectStore, faults: FaultStore) -> None:
    taken(store)
    faults.rule("a", Drop(), methods="PUT", times=1)
    rto = runs.Rto(seconds=41.5, objective_seconds=60.5, met=True, from_="FaultAt")
    rpo = runs.Rpo(rows=12, oldest_at=AT, basis="Exact")
    first = ended(store, 1, rto=rto, rpo=rpo)
    assert ended(store, 1, state=RunState.ABANDONED, verdict=Verdict.UNKNOWN) == first
    assert runs.read_end(store, PLAN, 1) == first
    assert b'"rto":{"seconds":41.5,"objectiveSeconds":60.5,"met":true,"from":"FaultAt"}' in (
        store.get(paths.run_end(PLAN, 1)) or b""
    )


def test_who_knows_a_number_lists_nothing(store: ObjectStore, faults: FaultStore) -> None:
    for number in (1, 2, 3):
        taken(store, f"u{number}")
        ended(store, number)
    before = len(faults.seen("a"))
    assert runs.open_run(store, PLAN, seen=2) is None
    later = [one.path.partition(f"{PLAN}/")[2] for one in faults.seen("a")[before:]]
    assert later == ["00000002/run.json", "00000003/run.json", "00000004/run.json", "00000003/end"]


def test_a_store_that_forgot_a_run_is_named(direct: ObjectStore) -> None:
    with pytest.raises(runs.NotAsRecorded, match=r"run 2 of plan bank.retail was taken.*another b"):
        runs.newest(direct, PLAN, seen=2)


def test_a_folder_that_is_named_on_after_its_removal_is_no_run(tmp_path: object) -> None:
    store = open_store(f"file://{tmp_path}")
    taken(store, "a")
    ended(store, 1)
    taken(store, "b")
    store.delete(paths.run_record(PLAN, 2))
    assert PLAN in store.folders(paths.RUNS)
    assert taken(store, "c").number == 2
