"""Lag, lease and checks, as a plan tells them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.operator.recovery_objects import at, standing
from wayfare_engine.resources import CheckLevel, RunKind, Verdict
from wayfare_engine.runs import CheckResult, Outcome, Run, StepResult
from wayfare_engine.runs.authority import SeenBeat
from wayfare_operator.control import ToldFollow
from wayfare_operator.recovery import conditions
from wayfare_operator.recovery.conditions import Heard
from wayfare_operator.recovery.consistency import levels, stale_after_schedule, status_of
from wayfare_operator.recovery.lag import at_risk, lag_of
from wayfare_operator.recovery.plan_windows import caught_up
from wayfare_operator.recovery.record import CaughtUp


def beat(**more: Any) -> SeenBeat:
    """East's newest beat."""
    fields: dict[str, Any] = {
        "site": "east",
        "epoch": 3,
        "awake": True,
        "at": at(12),
        "writer": "w",
        "number": 1,
        "sealed_seq": 5000,
        "unsealed": 10,
        "oldest_unsealed_at": at(12) - timedelta(seconds=4),
    }
    return SeenBeat(**{**fields, **more})


def test_the_lag_of_a_site_that_sleeps_is_what_the_other_has_less_what_was_applied() -> None:
    came = CaughtUp(watermark={"east/3": 4000, "east/2": 99}, at=at(2))
    found = lag_of(beat(), came, None, at(13))
    assert found is not None
    assert (found.rows, found.seconds, found.as_of) == (1010, 11 * 3600, at(12))
    level = lag_of(beat(sealed_seq=4000, unsealed=0), came, None, at(13))
    assert level is not None
    assert (level.rows, level.seconds) == (0, 0)
    assert lag_of(None, came, None, at(13)) is None
    assert lag_of(beat(), None, None, at(13)) is None
    follow = ToldFollow(lag_rows=7, lag_seconds=0.5, as_of=at(13))
    said = lag_of(beat(), None, follow, at(13))
    assert said is not None
    assert said.rows == 7
    assert at_risk(beat()) == 4
    assert at_risk(beat(unsealed=0)) == 0
    assert at_risk(None) is None


def result(step: str = "CatchUp", **more: Any) -> StepResult:
    """A result of a window's Job."""
    fields: dict[str, Any] = {
        "run": 1,
        "step": step,
        "attempt": 1,
        "outcome": Outcome.SUCCEEDED,
        "began_at": at(1),
        "ended_at": at(1.1),
        "summary": "",
        "by": "pod",
    }
    return StepResult(**{**fields, **more})


def test_a_rate_is_taken_from_a_catch_up_that_was_long_enough() -> None:
    figures = {"watermark": {"east/1": 50}, "rows": 50, "seconds": 5.0}
    known = caught_up(standing(), result(figures=figures))
    assert (known.rate, known.caught_up) == (10, CaughtUp(watermark={"east/1": 50}, at=at(1.1)))
    long = {"watermark": {"east/1": 9050}, "rows": 9000, "seconds": 0.3}
    known = caught_up(known, result(figures=long, ended_at=at(2)))
    assert known.rate == pytest.approx(30_000)
    short = {"watermark": {"east/1": 9051}, "rows": 1, "seconds": 0.5}
    known = caught_up(known, result(figures=short, ended_at=at(3)))
    assert known.rate == pytest.approx(30_000)
    # An older result that is read later does not take anything back.
    assert caught_up(known, result(figures=figures, ended_at=at(2.5))) == known


@pytest.mark.parametrize(
    ("beat_age", "came", "beacon_age", "status", "reason"),
    [
        (30.0, True, 40.0, "True", "ActingSiteSilent"),
        (30.0, False, None, "True", "ActingSiteSilent"),
        (30.0, True, 3.0, "Unknown", "EngineSilent"),
        (2.0, True, 40.0, "False", "ActingSiteHeard"),
        (2.0, False, 40.0, "Unknown", "Listening"),
        (None, False, None, "Unknown", "Listening"),
        (None, False, 3.0, "Unknown", "Listening"),
    ],
)
def test_only_silence_of_both_for_longer_than_the_wait_is_a_lapsed_lease(
    beat_age: float | None, came: bool, beacon_age: float | None, status: str, reason: str
) -> None:
    heard = Heard("east", beat_age, came, beacon_age, beacon_age is not None)
    told = conditions.lease_lapsed(
        "Standby", heard, epoch=3, wait=17.0, takeover="Lease", here="west"
    )
    assert (told.status, told.reason) == (status, reason)
    by_statement = conditions.lease_lapsed(
        "Standby", heard, epoch=3, wait=17.0, takeover="Statement", here="west"
    )
    assert ("with spec.statement" in by_statement.message) == (reason == "ActingSiteSilent")
    unknown = conditions.lease_lapsed(
        "Unknown", heard, epoch=3, wait=17.0, takeover="Lease", here="west"
    )
    assert unknown.status == "Unknown"


def test_sends_are_held_for_a_reason_that_is_told() -> None:
    def told(role: Any, **more: Any) -> tuple[str, str]:
        fields: dict[str, Any] = {"waiting": False, "store_problem": None, "channels": []}
        found = conditions.sends_held(role, **{**fields, **more})
        return found.status, found.reason

    assert told("Standby") == ("False", "OtherSiteActs")
    assert told("Acting") == ("False", "SendsOpen")
    assert told("Acting", waiting=True) == ("True", "LeaseWait")
    assert told("Acting", channels=["channel sms: …"]) == ("True", "SendsHeld")
    assert told("Acting", store_problem="away") == ("Unknown", "StoreUnreadable")
    assert told("Unknown", store_problem="away") == ("Unknown", "StoreUnreadable")


def test_a_drill_that_goes_on_for_too_long_is_told() -> None:
    run = Run(
        plan="p",
        number=1,
        kind=RunKind.DRILL,
        target="west",
        name="drill-1",
        uid="u",
        requested_by="r",
        reason="x",
        at=at(0),
    )
    limit = timedelta(hours=2)
    assert conditions.window_missed(None, run, limit, at(1.9)).status == "Unknown"
    told = conditions.window_missed(None, run, limit, at(2.5))
    assert (told.status, told.reason) == ("True", "DrillOverran")
    assert "drill-1 has gone on for 2.5 h" in told.message


def test_the_worst_verdict_of_a_level_is_the_level_s_and_stale_is_unknown() -> None:
    def check(level: CheckLevel, verdict: Verdict, name: str) -> CheckResult:
        return CheckResult(
            name=name, level=level, verdict=verdict, gate=True, message="m", as_of=at(1)
        )

    checks = (
        check(CheckLevel.DATA, Verdict.PASSED, "A"),
        check(CheckLevel.DATA, Verdict.UNKNOWN, "B"),
        check(CheckLevel.DATA, Verdict.FAILED, "C"),
        check(CheckLevel.SYSTEM, Verdict.PASSED, "D"),
        check(CheckLevel.SYSTEM, Verdict.PASSED, "E"),
    )
    found = levels(result("Check", checks=checks, evidence="sha256:1"))
    assert {name: each.verdict for name, each in found.items()} == {
        "Data": "Failed",
        "System": "Passed",
    }
    assert found["Data"].message == "C: m"
    assert found["System"].message == "2 checks passed"
    stale = dict.fromkeys(found, stale_after_schedule(at(1), "*/30 * * * *"))
    assert stale["Data"] == at(2) + timedelta(minutes=10)
    fresh = status_of(found, at(2), stale)
    assert fresh is not None
    assert fresh["system"]["verdict"] == "Passed"
    old = status_of(found, at(2.2), stale)
    assert old is not None
    assert old["system"]["verdict"] == "Unknown"
    assert old["system"]["message"] == "stale, it was Passed: 2 checks passed"
    assert status_of({}, at(2), {}) is None
    some = status_of({"Data": found["Data"]}, at(2), stale)
    assert some is not None
    assert {level: told["verdict"] for level, told in some.items()} == {
        "system": "Unknown",
        "data": "Failed",
        "service": "Unknown",
        "business": "Unknown",
    }
