"""What a RecoveryPlan does at its times: windows, drills and checks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.operator.plans.conftest import WEST_FIRST, slept, standby
from tests.operator.standby import Site, now
from tests.operator.test_recovery_standby import remember
from tests.servers.wait import until
from wayfare_engine.resources import CheckLevel, Verdict
from wayfare_engine.runs import Outcome
from wayfare_operator.recovery.record import Level, Standing

pytestmark = [pytest.mark.contract, pytest.mark.timeout(240)]


def test_a_window_in_a_blocked_time_is_told_with_both(site: Site) -> None:
    site.taken("east")
    site.beat("east", sealed=1000)
    blocked = [{"name": "month-end", "schedule": "0 0 1 * *", "duration": "12h"}]
    windows = [{"name": "nightly", "schedule": "0 1 * * *", "duration": "2h"}]
    standby(site, standby={"windows": windows}, blockedWindows=blocked)
    told = site.cluster.not_ready("recoveryplans", "bank", "WindowBlocked")
    assert "window nightly (" in told["message"]
    assert "overlaps blocked window month-end (" in told["message"]
    # Everything else goes on.
    site.wait_condition("ReadyToTakeOver", "True")


def test_a_schedule_that_is_none_is_told_by_its_place(site: Site) -> None:
    site.taken("east")
    standby(site, drill={"schedule": "0 0 31 2 *", "timeZone": "Europe/Lisbon"})
    told = site.cluster.not_ready("recoveryplans", "bank", "InvalidSpec")
    assert told["message"].startswith("spec.drill.schedule: '0 0 31 2 *'")


def test_a_drill_that_is_due_is_started_once_and_others_are_told(site: Site) -> None:
    site.taken("east")
    site.beat("east", sealed=1000)
    came = now().replace(second=0, microsecond=0)
    schedule = f"{came.minute} {came.hour} {came.day} {came.month} *"
    known = slept(drills_until=came - timedelta(minutes=1))
    standby(
        site, known, drill={"schedule": schedule, "timeZone": "UTC", "scenario": {"lost": "Valkey"}}
    )
    name = f"bank-{came:%Y%m%d%H%M}"
    run = until(lambda: site.cluster.get("recoveryruns", name), what="the run")
    assert run["spec"]["kind"] == "Drill"
    assert run["spec"]["scenario"] == {"lost": "Valkey"}
    assert run["metadata"]["annotations"]["wayfare.dev/author"] == (
        "system:serviceaccount:wayfare-system:wayfare-operator"
    )
    until(lambda: "DrillStarted" in [reason for reason, _ in site.events()], what="the Event")
    found = site.wait_status("the next one", lambda it: "nextDrill" in it)
    assert found["nextDrill"].startswith(f"{came.year + 1}-")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"drill": {"suspended": True}}, "spec.drill.suspended is true"),
        ({"blockedWindows": True}, "blocked window close is open until"),
        ({"late": 30}, "could not start within 10 minutes"),
    ],
)
def test_a_drill_that_does_not_start_says_why(site: Site, more: dict[str, Any], said: str) -> None:
    site.taken("east")
    came = now().replace(second=0, microsecond=0) - timedelta(minutes=more.get("late", 0))
    schedule = f"{came.minute} {came.hour} {came.day} {came.month} *"
    blocked = [{"name": "close", "schedule": schedule, "duration": "1h"}]
    standby(
        site,
        slept(drills_until=came - timedelta(minutes=1)),
        drill={"schedule": schedule, "timeZone": "UTC", **more.get("drill", {})},
        **({"blockedWindows": blocked} if "blockedWindows" in more else {}),
    )
    until(
        lambda: any(r == "DrillSkipped" and said in note for r, note in site.events()),
        what="the Event",
    )
    assert site.cluster.server.send("GET", site.cluster.path("recoveryruns")).body["items"] == []
    if "blockedWindows" in more:
        told = site.cluster.not_ready("recoveryplans", "bank", "WindowBlocked")
        assert "no drill ever starts" in told["message"]


def test_checks_by_schedule_are_told_by_level(site: Site) -> None:
    site.taken("west")
    made = site.plan(sites=WEST_FIRST, consistency={"schedule": "* * * * *"})
    remember(site, made, Standing(since=now() - timedelta(minutes=5)))
    site.engine()
    job = site.wait_job("Check")
    site.result(job, **site.checks(Business=Verdict.FAILED, Service=Verdict.UNKNOWN))
    found = site.wait_status("the verdicts", lambda it: "consistency" in it)["consistency"]
    assert {name: each["verdict"] for name, each in found.items()} == {
        "system": "Passed",
        "data": "Passed",
        "service": "Unknown",
        "business": "Failed",
    }
    assert found["business"]["message"] == "BusinessCheck: looked at Business"


def test_a_check_that_came_to_no_result_is_unknown_at_all_levels(site: Site) -> None:
    site.taken("west")
    made = site.plan(sites=WEST_FIRST, consistency={"schedule": "* * * * *"})
    passed = Level(verdict="Passed", as_of=now(), message="5 checks passed")
    before = {str(level): passed for level in CheckLevel}
    remember(site, made, Standing(since=now() - timedelta(minutes=5), consistency=before))
    site.engine()
    found = site.wait_status("what was found before", lambda it: "consistency" in it)
    assert found["consistency"]["data"]["verdict"] == "Passed"
    job = site.wait_job("Check")
    site.result(job, outcome=Outcome.FAILED, summary="the database did not answer")
    found = site.wait_status(
        "the failure",
        lambda it: it.get("consistency", {}).get("data", {}).get("verdict") == "Unknown",
    )["consistency"]
    assert {each["verdict"] for each in found.values()} == {"Unknown"}
    assert "came to no result: the database did not answer" in found["data"]["message"]


def test_a_warm_standby_measures_its_checks_before_the_first_is_due(site: Site) -> None:
    site.taken("east")
    site.beat("east", sealed=1000)
    known = slept(verifies=(), since=now() - timedelta(minutes=6))
    standby(site, known, standby={"mode": "Warm"}, consistency={"schedule": "0 3 1 1 *"})
    told = site.wait_condition("ReadyToTakeOver", "Unknown", "NotMeasured")
    assert "verify unknown" in told["message"]
    site.result(site.wait_job("Check"), took=3.0, **site.checks())
    told = site.wait_condition("ReadyToTakeOver", "True", "WithinObjectives")
    assert "verify 3.0 s" in told["message"]
