"""What comes next in a run, and which decisions of people count."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.operator.recovery.runs import (
    AT,
    approval,
    begun,
    check,
    decided,
    done,
    failed,
    view_of,
)
from tests.unit.operator.recovery.test_jobs import plan
from wayfare_engine.resources import RunKind, RunState, Verdict
from wayfare_engine.runs import Decision
from wayfare_operator.recovery.run_approvals import judge
from wayfare_operator.recovery.run_ending import rpo, rto
from wayfare_operator.recovery.run_machine import (
    DRILL_PATIENCE,
    UNDO_AGAIN,
    Finish,
    Next,
    PassOver,
    Perform,
    Wait,
    next_of,
    table_of,
)
from wayfare_operator.recovery.run_view import RunView

FAILOVER = [str(step.name) for step in table_of(RunKind.FAILOVER).steps]
SOON = AT + timedelta(seconds=11)


def following(view: RunView, *, after: timedelta = timedelta(seconds=11)) -> Next:
    return next_of(view, table_of(view.run.kind), AT + after)


def parts(view: RunView) -> list[tuple[str, int]]:
    found = following(view)
    assert isinstance(found, Perform), found
    return [(part.step, part.attempt) for part in found.parts]


@pytest.mark.parametrize("kind", list(RunKind))
def test_every_step_is_made_in_the_order_of_the_table(kind: RunKind) -> None:
    view, made = view_of(kind), []
    while isinstance(found := following(view), Perform):
        made += [part.step for part in found.parts]
        view = done(view, *(part.step for part in found.parts))
    assert sorted(made) == sorted(step.name for step in table_of(kind).steps)
    assert found == Finish(RunState.SUCCEEDED, "every step succeeded")


def test_the_first_step_is_begun_once_and_gone_on_with() -> None:
    assert parts(view_of()) == [("Precheck", 1)]
    assert parts(begun(view_of(), "Precheck")) == [("Precheck", 1)]


def test_the_wait_and_the_rest_of_the_chain_are_made_at_the_same_time() -> None:
    view = done(view_of(), *FAILOVER[: FAILOVER.index("FenceWait")])
    assert parts(view) == [("FenceWait", 1), ("CatchUpFinal", 1)]
    assert parts(done(view, "CatchUpFinal")) == [("FenceWait", 1)]
    assert parts(done(view, "FenceWait")) == [("CatchUpFinal", 1)]
    assert parts(done(view, "FenceWait", "CatchUpFinal")) == [("Activate", 1)]


def test_one_of_two_steps_that_failed_does_not_stop_the_other() -> None:
    view = done(view_of(), *FAILOVER[: FAILOVER.index("FenceWait")])
    found = following(failed(begun(view, "FenceWait"), "CatchUpFinal"))
    assert isinstance(found, Perform)
    assert [part.step for part in found.parts] == ["FenceWait"]
    assert found.waiting == ("CatchUpFinal",)


def test_a_failed_step_waits_until_somebody_has_it_tried_again() -> None:
    view = failed(done(view_of(), "Precheck", "Wake"), "CatchUp")
    assert following(view) == Wait(("CatchUp",))
    assert following(view, after=timedelta(days=3)) == Wait(("CatchUp",))
    assert parts(decided(view, "CatchUp", Decision.RETRY)) == [("CatchUp", 2)]


def test_a_retry_is_of_one_attempt() -> None:
    view = failed(done(view_of(), "Precheck", "Wake"), "CatchUp")
    view = failed(decided(view, "CatchUp", Decision.RETRY), "CatchUp")
    assert following(view) == Wait(("CatchUp",))
    assert parts(decided(view, "CatchUp", Decision.RETRY, 2)) == [("CatchUp", 3)]


def test_a_gate_waits_and_can_be_approved() -> None:
    view = failed(done(view_of(), "Precheck", "Wake", "CatchUp"), "Verify", check())
    assert following(view) == Wait(("Verify",))
    assert following(decided(view, "Verify", Decision.APPROVE)) == PassOver("Verify", 1)


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.UNKNOWN])
def test_what_is_not_known_has_not_passed(verdict: Verdict) -> None:
    view = failed(done(view_of(), "Precheck", "Wake", "CatchUp"), "Verify", check(verdict))
    assert judge(approval("Verify", "Approve"), view, table_of(RunKind.FAILOVER)).counted


def test_a_step_that_failed_otherwise_cannot_be_approved() -> None:
    view = failed(done(view_of(), "Precheck", "Wake", "CatchUp"), "Verify")
    said = judge(approval("Verify", "Approve"), view, table_of(RunKind.FAILOVER))
    assert not said.counted
    assert "not something to approve" in said.message


def test_nothing_is_approved_past_the_taking_of_the_epoch() -> None:
    view = done(view_of(), *FAILOVER[: FAILOVER.index("TakeEpoch")])
    view = failed(view, "TakeEpoch", check())
    assert not judge(approval("TakeEpoch", "Approve"), view, table_of(RunKind.FAILOVER)).counted
    assert judge(approval("TakeEpoch", "Retry"), view, table_of(RunKind.FAILOVER)).counted


def test_who_asked_for_the_run_does_not_approve_it() -> None:
    view = failed(done(view_of(), "Precheck", "Wake", "CatchUp"), "Verify", check())
    own = approval("Verify", "Approve", approver="ana")
    assert not judge(own, view, table_of(RunKind.FAILOVER)).counted
    assert judge(approval("Verify", "Approve"), view, table_of(RunKind.FAILOVER)).counted


@pytest.mark.parametrize(
    ("step", "attempt", "more"),
    [
        ("CatchUp", 1, {}),
        ("Verify", 2, {}),
        ("Quiesce", 1, {}),
        ("Verify", 1, {"evidence": "sha256:" + "00" * 32}),
    ],
)
def test_a_decision_is_about_where_the_run_is(
    step: str, attempt: int, more: dict[str, str]
) -> None:
    view = failed(done(view_of(), "Precheck", "Wake", "CatchUp"), "Verify", check())
    said = judge(approval(step, "Retry", attempt, **more), view, table_of(RunKind.FAILOVER))
    assert not said.counted
    assert said.message


def test_before_the_point_of_no_return_a_run_can_be_abandoned_and_takes_back_what_it_did() -> None:
    view = begun(done(view_of(), "Precheck", "Wake"), "CatchUp")
    assert judge(approval("CatchUp", "Abandon"), view, table_of(RunKind.FAILOVER)).counted
    view = decided(view, "CatchUp", Decision.ABANDON)
    assert parts(view) == [("Sleep", 1)]
    found = following(done(view, "Sleep"))
    assert isinstance(found, Finish)
    assert found.state is RunState.ABANDONED


def test_an_abandoned_switchover_lets_the_other_site_go_on_before_it_sleeps() -> None:
    view = done(view_of(RunKind.SWITCHOVER), "Precheck", "Wake", "CatchUp", "Verify", "Quiesce")
    view = decided(view, "Seal", Decision.ABANDON)
    assert parts(view) == [("Resume", 1)]
    assert parts(done(view, "Resume")) == [("Sleep", 1)]


def test_taking_back_is_tried_until_it_succeeds() -> None:
    view = decided(done(view_of(), "Precheck", "Wake"), "CatchUp", Decision.ABANDON)
    view = failed(view, "Sleep")
    assert following(view) == Perform(())
    found = following(view, after=UNDO_AGAIN + timedelta(seconds=11))
    assert isinstance(found, Perform)
    assert [(part.step, part.attempt) for part in found.parts] == [("Sleep", 2)]


def test_after_the_point_of_no_return_nothing_is_abandoned_and_the_reason_is_told() -> None:
    view = begun(done(view_of(), *FAILOVER[: FAILOVER.index("TakeEpoch")]), "TakeEpoch")
    said = judge(approval("TakeEpoch", "Abandon"), view, table_of(RunKind.FAILOVER))
    assert not said.counted
    assert "no way back" in said.message


def test_a_drill_goes_on_past_a_gate_and_ends_as_failed() -> None:
    view = view_of(RunKind.DRILL)
    for step in table_of(RunKind.DRILL).steps:
        view = failed(view, step.name, check()) if step.name == "Verify" else done(view, step.name)
    found = following(view)
    assert isinstance(found, Finish)
    assert found.state is RunState.FAILED
    assert "ChainUnbroken" in found.summary


def test_a_drill_that_failed_is_cleaned_up_when_nobody_comes() -> None:
    view = done(view_of(RunKind.DRILL), "Precheck", "Wake", "CatchUp", "Fork")
    view = failed(view, "StartIsolated")
    assert following(view) == Wait(("StartIsolated",))
    later = DRILL_PATIENCE + timedelta(seconds=11)
    found = following(view, after=later)
    assert isinstance(found, Perform)
    assert [part.step for part in found.parts] == ["Cleanup"]
    ended = following(done(view, "Cleanup", "Sleep"), after=later)
    assert isinstance(ended, Finish)
    assert ended.state is RunState.FAILED


def test_nothing_that_was_spooled_is_nothing_to_merge() -> None:
    view = view_of(RunKind.SWITCHOVER)
    for step in table_of(RunKind.SWITCHOVER).steps:
        if step.name in ("MergeSpooled", "Standby"):
            break
        view = done(view, step.name, **({"rows": 0} if step.name == "StandDown" else {}))
    assert parts(view) == [("Standby", 1)]


def test_the_recovery_time_is_no_shorter_than_what_the_site_itself_measured() -> None:
    """The fault was told by a clock that is ahead of the one that tells the end."""
    told = (AT + timedelta(seconds=30)).isoformat()
    view = done(view_of(RunKind.FAILOVER), "Precheck", fromAt=told)
    view = done(view, "VerifyServing")
    found = rto(view, table_of(RunKind.FAILOVER), plan())
    assert found is not None
    assert found.seconds == 10
    earlier = (AT - timedelta(seconds=30)).isoformat()
    view = done(done(view_of(RunKind.FAILOVER), "Precheck", fromAt=earlier), "VerifyServing")
    found = rto(view, table_of(RunKind.FAILOVER), plan())
    assert found is not None
    assert found.seconds == 40


def test_what_was_lost_is_as_old_as_the_lost_site_says_not_as_its_failback_is_late() -> None:
    """The failback began an hour after the fault; the rows are of its last two seconds."""
    fault = AT - timedelta(hours=1)
    told = {
        "rows": 4,
        "basis": "Exact",
        "oldestAt": (fault - timedelta(seconds=2)).isoformat(),
        "newestAt": fault.isoformat(),
    }
    view = done(view_of(RunKind.FAILBACK), "Precheck", fromAt=AT.isoformat())
    found = rpo(done(view, "RecoverStranded", rpo=told), plan())
    assert found is not None
    assert (found.rows, found.met) == (4, True)
    late = told | {"oldestAt": (fault - timedelta(hours=2)).isoformat()}
    found = rpo(done(view, "RecoverStranded", rpo=late), plan())
    assert found is not None
    assert found.met is False
