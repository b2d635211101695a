"""The procedures are those of the protocol."""

from __future__ import annotations

import pytest

from wayfare_engine.resources import RunKind
from wayfare_engine.runs.procedures import PROCEDURES, By, StepName, Undo, procedure

#: docs/recovery-records.md and the protocol have them in this order.
STEPS = {
    "Drill": "Precheck, Wake, CatchUp, Fork, StartIsolated, ReplayDecisions, Verify, Measure, "
    "Cleanup, Sleep",
    "Switchover": "Precheck, Wake, CatchUp, Verify, Quiesce, Seal, CatchUpFinal, TransferEpoch, "
    "Activate, VerifyServing, Route, StandDown",
    "Failover": "Precheck, Wake, CatchUp, Verify, TakeEpoch, FenceWait, CatchUpFinal, Activate, "
    "VerifyServing, Route",
    "Failback": "Precheck, Wake, RecoverStranded, Reconcile, CatchUp, Verify, Quiesce, Seal, "
    "CatchUpFinal, TransferEpoch, Activate, VerifyServing, Route, StandDown",
}


@pytest.mark.parametrize("kind", list(RunKind))
def test_steps_are_in_the_protocols_order(kind: RunKind) -> None:
    assert ", ".join(step.name for step in procedure(kind).steps) == STEPS[kind]


def test_an_unknown_kind_has_none() -> None:
    with pytest.raises(ValueError, match="Rehearsal"):
        procedure("Rehearsal")
    with pytest.raises(KeyError):
        procedure("Drill").step("TakeEpoch")


def test_what_the_other_site_has_to_do_is_asked_of_it() -> None:
    asked = {
        kind: [step.name for step in found.steps if step.by is By.OTHER_SITE]
        for kind, found in PROCEDURES.items()
    }
    assert asked == {
        RunKind.DRILL: [],
        RunKind.SWITCHOVER: [StepName.QUIESCE, StepName.SEAL, StepName.STAND_DOWN],
        RunKind.FAILOVER: [],
        RunKind.FAILBACK: [
            StepName.RECONCILE,
            StepName.QUIESCE,
            StepName.SEAL,
            StepName.STAND_DOWN,
        ],
    }, "nothing of a drill or of a failover needs the other site"


def test_the_recovery_time_stops_once() -> None:
    for kind, found in PROCEDURES.items():
        (step,) = (one for one in found.steps if one.rto)
        wanted = StepName.START_ISOLATED if kind is RunKind.DRILL else StepName.VERIFY_SERVING
        assert step.name is wanted


def test_a_run_can_be_abandoned_until_its_point_of_no_return_was_begun() -> None:
    failover = procedure("Failover")
    before = ["Precheck", "Wake", "CatchUp", "Verify"]
    assert failover.may_abandon(before)
    assert not failover.may_abandon([*before, "TakeEpoch"])
    assert not procedure("Switchover").may_abandon(["TransferEpoch"])
    drill = procedure("Drill")
    assert drill.may_abandon([step.name for step in drill.steps])


def test_what_is_abandoned_is_taken_back_last_first_and_once() -> None:
    switchover, drill = procedure("Switchover"), procedure("Drill")
    assert switchover.to_undo(["Precheck"]) == ()
    assert switchover.to_undo(["Precheck", "Wake", "CatchUp"]) == (Undo.SLEEP,)
    assert switchover.to_undo(["Wake", "Quiesce", "Seal"]) == (Undo.RESUME, Undo.SLEEP)
    assert drill.to_undo(["Wake", "Fork", "StartIsolated"]) == (Undo.CLEANUP, Undo.SLEEP)


@pytest.mark.parametrize("kind", list(RunKind))
def test_steps_come_one_after_the_other_to_the_end(kind: RunKind) -> None:
    found = procedure(kind)
    done: list[str] = []
    while ready := found.ready(done):
        first = found.steps[len(done)]
        assert ready[0] is first
        assert {step.name for step in ready[1:]} <= {"CatchUpFinal"}
        done += [step.name for step in ready]
    assert done == [step.name for step in found.steps]


def test_the_wait_and_the_last_catch_up_of_a_failover_run_at_once() -> None:
    failover = procedure("Failover")
    before = ["Precheck", "Wake", "CatchUp", "Verify", "TakeEpoch"]

    def ready(*done: str) -> list[str]:
        return [step.name for step in failover.ready([*before, *done])]

    assert ready() == ["FenceWait", "CatchUpFinal"]
    assert ready("FenceWait") == ["CatchUpFinal"]
    assert ready("CatchUpFinal") == ["FenceWait"]
    assert ready("CatchUpFinal", "FenceWait") == ["Activate"]


def test_a_step_that_is_skipped_is_over() -> None:
    (step,) = procedure("Drill").ready(["Precheck"], ["Wake"])
    assert step.name == "CatchUp"
