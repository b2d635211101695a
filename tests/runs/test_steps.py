"""Attempts, results and failures of steps: each is written once, and the first stands."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runs.making import AT, PLAN, approval, attempt, result, taken
from tests.servers.faultstore import Drop, FaultStore, Hold
from wayfare_engine import runs
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable, open_store, paths
from wayfare_engine.resources import CheckLevel, Verdict

FAILED: dict[str, Any] = {"outcome": runs.Outcome.FAILED, "summary": "the segment at 40 is damaged"}


def test_attempts_are_kept_in_their_order(direct: ObjectStore) -> None:
    made = tuple(runs.begin(direct, PLAN, attempt(n)) for n in (1, 2, 3))
    runs.begin(direct, PLAN, attempt(1, step="Verify"))
    assert runs.attempts(direct, PLAN, 1, "CatchUp") == made
    assert runs.attempts(direct, PLAN, 2, "CatchUp") == ()


def test_of_two_who_begin_one_attempt_the_first_has_it(direct: ObjectStore) -> None:
    first = runs.begin(direct, PLAN, attempt(by="operator-1"))
    assert runs.begin(direct, PLAN, attempt(by="operator-2")) == first


def test_a_result_has_checks_figures_and_evidence(direct: ObjectStore) -> None:
    evidence = runs.evidence.put(direct, {"rows": [1, 2]})
    check = runs.CheckResult(
        name="Lag",
        level=CheckLevel.DATA,
        verdict=Verdict.UNKNOWN,
        gate=True,
        message="no beat",
        as_of=AT,
        figures={"seconds": None},
        evidence=evidence,
    )
    made = runs.put_result(direct, PLAN, result(checks=(check,), evidence=evidence))
    assert runs.read_result(direct, PLAN, 1, "CatchUp") == made
    assert made.checks == (check,)


def test_a_result_that_is_written_twice_is_the_first(direct: ObjectStore) -> None:
    first = runs.put_result(direct, PLAN, result(1))
    assert runs.put_result(direct, PLAN, result(1, summary="again")) == first
    assert runs.put_result(direct, PLAN, result(2)) == first, "also by another attempt"
    assert runs.read_result(direct, PLAN, 1, "CatchUp") == first


def test_a_failure_is_its_attempts_own_and_no_result(direct: ObjectStore) -> None:
    failed = runs.put_result(direct, PLAN, result(1, **FAILED))
    assert runs.read_result(direct, PLAN, 1, "CatchUp") is None
    assert runs.read_failure(direct, PLAN, 1, "CatchUp", 1) == failed
    assert runs.read_failure(direct, PLAN, 1, "CatchUp", 2) is None
    done = runs.put_result(direct, PLAN, result(2))
    late = runs.put_result(direct, PLAN, result(1, **(FAILED | {"summary": "late"})))
    assert late == failed
    assert runs.read_result(direct, PLAN, 1, "CatchUp") == done, "a failure changes no success"


def test_a_lost_answer_leaves_one_result(store: ObjectStore, faults: FaultStore) -> None:
    dropped = faults.rule("a", Drop(), methods="PUT", times=3)
    assert runs.begin(store, PLAN, attempt()) == attempt()
    assert runs.put_result(store, PLAN, result()) == result()
    assert runs.put_result(store, PLAN, result(**FAILED)) == result(**FAILED)
    assert dropped.used == 3


def test_a_result_that_arrives_late_does_not_replace_a_later_attempts(
    store: ObjectStore, faults: FaultStore
) -> None:
    faults.rule("a", Hold(), methods="PUT", times=1)
    with pytest.raises(StoreUnavailable, match=r"CatchUp/result was written is not known"):
        runs.put_result(store, PLAN, result(1))
    second = runs.put_result(store, PLAN, result(2))
    faults.release()
    assert runs.put_result(store, PLAN, result(1)) == second


@pytest.mark.parametrize("scheme", ["s3", "file"])
def test_paths_are_as_written_and_none_is_a_folder_of_another(
    scheme: str, direct: ObjectStore, tmp_path: object
) -> None:
    store = direct if scheme == "s3" else open_store(f"file://{tmp_path}")
    taken(store)
    runs.begin(store, PLAN, attempt())
    runs.put_result(store, PLAN, result(**FAILED))
    runs.put_result(store, PLAN, result())
    runs.put_approval(store, PLAN, approval("a"))
    folder = "runs/bank.retail/00000001"
    assert [one.path for one in store.list(paths.RUNS)] == [
        f"{folder}/CatchUp/attempts/0001/begun",
        f"{folder}/CatchUp/attempts/0001/failure",
        f"{folder}/CatchUp/result",
        f"{folder}/approvals/0001",
        f"{folder}/run.json",
    ]


def test_approvals_are_kept_in_the_order_in_which_they_were_obeyed(
    store: ObjectStore, faults: FaultStore
) -> None:
    faults.rule("a", Drop(), methods="PUT", times=1)
    made = [runs.put_approval(store, PLAN, approval(uid)) for uid in ("x", "y", "x", "z", "y")]
    assert [one.number for one in made] == [1, 2, 1, 3, 2]
    kept = runs.approvals(store, PLAN, 1)
    assert [(one.number, one.uid, one.approver) for one in kept] == [
        (1, "x", "ben"),
        (2, "y", "ben"),
        (3, "z", "ben"),
    ]
