"""Windows: which is next, how one goes from step to step, and what is remembered of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.operator.recovery_objects import NIGHTLY, at, record, standing
from wayfare_engine.resources.standby import CronWindow
from wayfare_operator.recovery import conditions
from wayfare_operator.recovery.choosing import choose, stands_by
from wayfare_operator.recovery.plan_windows import woke_in
from wayfare_operator.recovery.procedure import Do, JobState, Seen, advance, superseded
from wayfare_operator.recovery.record import CaughtUp, Stage, Standing, WindowKind, decode, encode


def look(hours: float, **more: Any) -> Seen:
    """A look in which everything is up."""
    return Seen(**{"now": at(hours), "stored": True, "ready": True, "asleep": False, **more})


def test_a_window_wakes_catches_up_is_checked_and_sleeps() -> None:
    first = advance(record(), look(1, stored=False, waiting_for="not ready yet: the database"))
    assert (first.do, first.record.stage, first.record.began) == (Do.WAKE, Stage.WAKE, at(1))
    second = advance(first.record, look(1.1, ready=False))
    assert (second.record.stage, second.record.awake) == (Stage.CATCH_UP, at(1.1))
    third = advance(second.record, look(1.1))
    assert (third.do, third.record.tried) == (Do.START, at(1.1))
    assert advance(third.record, look(1.2, job=JobState.RUNNING)).do is Do.WAIT
    fourth = advance(third.record, look(1.3, job=JobState.DONE))
    assert (fourth.record.stage, fourth.record.caught_up) == (Stage.VERIFY, at(1.3))
    assert fourth.record.tried is None
    # Only now the rest of it wakes; the checks wait for that, and not for ever.
    assert advance(fourth.record, look(1.31, ready=False)).do is Do.WAKE
    late = advance(fourth.record, look(1.39, ready=False))
    assert late.record.serving == at(1.39)
    awake = advance(fourth.record, look(1.35))
    assert awake.record.serving == at(1.35)
    assert woke_in(awake.record) == pytest.approx((0.1 + 0.05) * 3600)
    checking = advance(awake.record, look(1.35))
    assert checking.do is Do.START
    fifth = advance(checking.record, look(1.4, job=JobState.DONE))
    assert (fifth.do, fifth.record.stage) == (Do.SLEEP, Stage.SLEEP)
    assert advance(fifth.record, look(1.4)).do is Do.SLEEP
    last = advance(fifth.record, look(1.5, asleep=True))
    assert (last.record.stage, last.record.ended) == (Stage.DONE, at(1.5))


@pytest.mark.parametrize("stage", [Stage.WAKE, Stage.CATCH_UP, Stage.VERIFY])
def test_at_its_end_it_is_given_up_wherever_it_is(stage: Stage) -> None:
    known = record(stage=stage, caught_up=at(2) if stage is Stage.VERIFY else None)
    over = advance(
        known, look(3, stored=False, ready=False, waiting_for="not there: db", failure="too slow")
    )
    assert (over.do, over.stop_job, over.record.stage) == (Do.SLEEP, True, Stage.SLEEP)
    assert over.record.message.startswith(f"it ended at {stage.value}")
    ended = advance(over.record, look(3.1, asleep=True))
    assert ended.record.stage is Stage.UNFINISHED
    assert ended.record.message == over.record.message


def test_a_failed_attempt_is_followed_by_another_after_a_pause() -> None:
    known = record(stage=Stage.CATCH_UP, tried=at(1))
    failed = advance(known, look(1.5, job=JobState.FAILED, failure="segment 17 is damaged"))
    assert (failed.record.attempt, failed.record.message) == (2, "segment 17 is damaged")
    assert advance(failed.record, look(1.5)).do is Do.WAIT
    assert advance(failed.record, look(1.6)).do is Do.START


def test_what_a_run_ends_is_neither_missed_nor_unfinished() -> None:
    ended = superseded(record(stage=Stage.CATCH_UP), at(2), "a Drill began")
    assert (ended.stage, ended.message) == (Stage.SUPERSEDED, "a Drill began")
    told = conditions.window_missed(ended, None, timedelta(hours=2), at(2))
    assert (told.status, told.reason) == ("False", "WindowDone")


def chosen(
    known: Standing,
    hours: float,
    *,
    extra: bool = False,
    windows: tuple[CronWindow, ...] = (NIGHTLY,),
    blocked: tuple[CronWindow, ...] = (),
) -> Standing:
    """What is chosen at an hour."""
    return choose(known, windows, blocked, at(hours), extra=extra)


def test_a_window_begins_at_its_time_and_late_when_the_operator_was_away() -> None:
    assert chosen(standing(), 0.9).current is None
    for hours in (1, 2.9):
        current = chosen(standing(), hours).current
        assert current is not None
        assert (current.begins, current.ends) == (at(1), at(3))


def test_windows_that_passed_are_missed_each_once() -> None:
    known = chosen(standing(standby_since=at(-50)), 12)
    assert [(each.stage, each.begins) for each in known.windows] == [
        (Stage.MISSED, at(-47)),
        (Stage.MISSED, at(-23)),
        (Stage.MISSED, at(1)),
    ]
    assert chosen(known, 12.5) == known


def test_while_the_site_did_not_stand_by_no_window_was_missed() -> None:
    known = stands_by(standing(standby_since=None), at(12), sleeping=True)
    assert known.standby_since == at(12)
    assert chosen(known, 13).windows == ()
    assert stands_by(known, at(14), sleeping=None) == known
    assert stands_by(known, at(14), sleeping=False).standby_since is None


def test_a_window_that_another_covered_is_neither_due_nor_missed() -> None:
    late = CronWindow(name="late", schedule="0 2 * * *", duration="2h")
    current = chosen(standing(), 2.5, windows=(NIGHTLY, late)).current
    assert current is not None
    assert current.name == "late"
    done = replace(current, stage=Stage.DONE, began=at(2.5), ended=at(2.6))
    known = standing().with_window(done)
    assert chosen(known, 2.7, windows=(NIGHTLY, late)) == known
    assert chosen(known, 12, windows=(NIGHTLY, late)) == known


def test_an_extra_window_opens_once_and_pauses_after_it() -> None:
    known = chosen(standing(), 12, extra=True)
    # The missed window of the night is told before.
    assert known.current is not None
    assert (known.current.kind, known.current.ends) == (WindowKind.EXTRA, at(14))
    assert chosen(known, 12.1, extra=True) == known
    over = known.with_window(replace(known.current, stage=Stage.UNFINISHED, ended=at(14)))
    assert chosen(over, 14.1, extra=True).current is None
    assert chosen(over, 14.2, extra=True).current is not None


def test_no_extra_window_opens_in_a_blocked_time() -> None:
    close = CronWindow(name="close", schedule="0 11 * * *", duration="2h")
    assert chosen(standing(), 12, extra=True, blocked=(close,)).current is None
    assert chosen(standing(), 13, extra=True, blocked=(close,)).current is not None


def test_what_is_remembered_is_read_back_and_what_is_not_understood_is_not() -> None:
    known = chosen(standing(caught_up=CaughtUp(watermark={"east/1": 7}, at=at(0))), 1)
    assert decode(encode(known)) == known
    assert decode("{}") is None
    assert decode(encode(replace(known, format=2))) is None
