"""What a plan's look decides, function by function."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from wayfare_engine.resources import (
    Channel,
    CheckLevel,
    Engine,
    Phase,
    RecoveryPlan,
    RunKind,
    Verdict,
    parse,
)
from wayfare_engine.resources.standby import CronWindow
from wayfare_engine.runs import Capacity, CheckResult, Outcome, Run, StepResult, Versions
from wayfare_engine.runs.authority import SeenBeat
from wayfare_operator.control import ToldFollow
from wayfare_operator.recovery import conditions, drills
from wayfare_operator.recovery.choosing import choose, stands_by
from wayfare_operator.recovery.conditions import Heard
from wayfare_operator.recovery.consistency import levels, stale_after_schedule, status_of
from wayfare_operator.recovery.desire import Situation, desire
from wayfare_operator.recovery.lag import at_risk, lag_of
from wayfare_operator.recovery.memory import SiteFacts
from wayfare_operator.recovery.plan_windows import caught_up, woke_in
from wayfare_operator.recovery.procedure import Do, JobState, Seen, advance, superseded
from wayfare_operator.recovery.record import (
    CaughtUp,
    Stage,
    Standing,
    WindowKind,
    WindowRecord,
    decode,
    encode,
)
from wayfare_operator.recovery.secret_digests import with_digests
from wayfare_operator.recovery.site_facts import capacity, needs, with_schema
from wayfare_operator.recovery.workloads import (
    AWAKE_REPLICAS,
    State,
    Tier,
    Workload,
    all_asleep,
    all_ready,
    state_of,
    to_sleep,
    to_wake,
    workloads_of,
)

MIDNIGHT = datetime(2026, 1, 10, tzinfo=UTC)
NIGHTLY = CronWindow(name="nightly", schedule="0 1 * * *", duration="2h")


def at(hours: float) -> datetime:
    """So many hours after midnight."""
    return MIDNIGHT + timedelta(hours=hours)


def record(**more: Any) -> WindowRecord:
    """A window from 1:00 to 3:00."""
    fields: dict[str, Any] = {"id": "w", "name": "nightly", "begins": at(1), "ends": at(3)}
    return WindowRecord(**{**fields, **more})


# -- the procedure of a window ----


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


# -- which window ----


def standing(**more: Any) -> Standing:
    """A site that has stood by since the day before."""
    return Standing(**{"since": at(-48), "standby_since": at(-12), **more})


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


# -- awake or asleep ----


def situation(**more: Any) -> Situation:
    """West stands by, cold, and east acts."""
    fields: dict[str, Any] = {
        "site": "west",
        "primary": "east",
        "mode": "Cold",
        "known": True,
        "holder": "east",
        "emergency": False,
        "window": False,
    }
    return Situation(**{**fields, **more})


@pytest.mark.parametrize(
    ("more", "awake", "cause"),
    [
        ({}, False, None),
        ({"window": True}, True, "window"),
        ({"mode": "Warm"}, True, None),
        ({"holder": "west"}, True, None),
        ({"holder": "west", "emergency": True}, True, "emergency"),
        ({"holder": None}, False, None),
        ({"holder": None, "site": "east"}, True, None),
        # Unknown is never a reason to wake, and never one to sleep.
        ({"known": False, "holder": None}, None, None),
        ({"known": False, "holder": None, "window": True}, None, None),
        ({"known": False, "holder": None, "mode": "Warm"}, None, None),
        # Nothing falls asleep under a run, wherever it is.
        ({"run": RunKind.DRILL, "run_here": True, "run_step": None}, None, "drill"),
        ({"run": RunKind.DRILL, "run_here": True, "run_step": "Precheck"}, None, "drill"),
        ({"run": RunKind.DRILL, "run_here": True, "run_step": "Fork"}, True, "drill"),
        ({"run": RunKind.DRILL, "run_here": True, "run_step": "Sleep"}, None, "drill"),
        ({"run": RunKind.FAILOVER, "run_here": True, "run_step": "TakeEpoch"}, True, "emergency"),
        ({"run": RunKind.FAILBACK, "run_here": False, "run_step": "Seal"}, None, "emergency"),
        ({"run": RunKind.DRILL, "run_here": False}, False, None),
    ],
)
def test_a_site_is_awake_for_a_reason(
    more: dict[str, Any], awake: bool | None, cause: str | None
) -> None:
    wanted = desire(situation(**more))
    assert (wanted.awake, wanted.cause) == (awake, cause)
    assert wanted.why


def test_a_window_that_does_not_get_on_says_why() -> None:
    told = "CatchUp, attempt 3 after: the object store is away"
    assert told in desire(situation(window=True, window_at=told)).why


# -- what sleeps ----


def workload(name: str, tier: Tier = Tier.ENGINE) -> Workload:
    """A Deployment, or a StatefulSet that holds data."""
    kind = "StatefulSet" if tier is Tier.STORE else "Deployment"
    return Workload(tier, kind, "bank", name)


def state(name: str, tier: Tier = Tier.ENGINE, **more: Any) -> State:
    """One that is up and ready."""
    fields: dict[str, Any] = {"present": True, "wanted": 2, "ready": True, "up": 2, "always": 2}
    return State(workload(name, tier), **{**fields, **more})


def test_stores_wake_first_and_sleep_last() -> None:
    down: dict[str, Any] = {"wanted": 0, "ready": False, "up": 0, "remembered": 3}
    both = [state("db", Tier.STORE, **down), state("serve", **down)]
    assert [(str(c.state.workload), c.replicas) for c in to_wake(both)] == [("StatefulSet db", 3)]
    both = [state("db", Tier.STORE), state("serve", **down)]
    assert [str(c.state.workload) for c in to_wake(both)] == ["Deployment serve"]
    assert not all_ready(both)
    assert to_wake(both, only_stores=True) == ()
    up = [state("db", Tier.STORE), state("serve")]
    assert [str(c.state.workload) for c in to_sleep(up)] == ["Deployment serve"]
    leaving = [state("db", Tier.STORE), state("serve", wanted=0, up=1, ready=False)]
    assert to_sleep(leaving) == ()
    gone = [state("db", Tier.STORE), state("serve", wanted=0, up=0, ready=False)]
    assert [str(c.state.workload) for c in to_sleep(gone)] == ["StatefulSet db"]
    assert not all_asleep(gone)


def test_pods_are_counted_from_the_order_to_be_until_they_are_gone() -> None:
    deployment: dict[str, Any] = {
        "metadata": {
            "uid": "u",
            "generation": 3,
            "annotations": {AWAKE_REPLICAS: "4"},
        },
        "spec": {"replicas": 0},
        "status": {"replicas": 2, "readyReplicas": 2, "observedGeneration": 3},
    }
    found = state_of(workload("serve"), deployment)
    assert (found.awake, found.up, found.remembered, found.always) == (False, 2, 4, 4)
    deployment["spec"]["replicas"] = 5
    found = state_of(workload("serve"), deployment)
    assert (found.up, found.ready) == (5, False)
    deployment["status"].update(readyReplicas=5, observedGeneration=2)
    assert not state_of(workload("serve"), deployment).ready
    assert not state_of(workload("serve"), None).present


def test_everything_that_sleeps_is_named_with_its_tier() -> None:
    plan, engine, channel = (
        _plan(standby={"workloads": [{"kind": "Cluster", "name": "pg"}]}),
        (_engine()),
        _channel("http"),
    )
    found = [(each.tier.name, str(each)) for each in workloads_of(plan, engine, [channel])]
    assert found == [
        ("STORE", "Cluster pg"),
        ("STORE", "StatefulSet bank-postgresql"),
        ("STORE", "StatefulSet bank-valkey"),
        ("ENGINE", "Deployment bank-serve"),
        ("ENGINE", "Deployment bank-worker"),
        ("ENGINE", "Deployment sms-channel"),
    ]


def test_capacity_is_what_ready_nodes_have_within_the_quota() -> None:
    def node(cpu: str, ready: str = "True", **spec: Any) -> dict[str, Any]:
        allocatable = {"cpu": cpu, "memory": "8Gi", "pods": "110"}
        conditions_ = [{"type": "Ready", "status": ready}]
        return {"spec": spec, "status": {"allocatable": allocatable, "conditions": conditions_}}

    nodes = [node("3500m"), node("4"), node("16", "False"), node("16", unschedulable=True)]
    found = capacity(nodes, [])
    assert (found.cpu, found.memory, found.pods) == ("7500m", "16384Mi", 220)
    quota = {"spec": {"hard": {"requests.cpu": "6", "pods": "50"}}}
    found = capacity(nodes, [quota])
    assert (found.cpu, found.memory, found.pods) == ("6", "16384Mi", 50)
    found = capacity(None, [])
    assert (found.cpu, found.memory, found.pods) == (None, None, None)
    asked = needs([state("serve", cpu=Decimal("0.25"), memory=Decimal(2**29))])
    assert asked == {"cpu": "500m", "memory": "1024Mi", "pods": 2}


# -- lag, lease, checks ----


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


# -- drills ----


def _plan(**more: Any) -> RecoveryPlan:
    found = parse(
        {
            "apiVersion": "wayfare.dev/v1alpha1",
            "kind": "RecoveryPlan",
            "metadata": {"name": "bank-of-the-north-east", "namespace": "bank"},
            "spec": {
                "engineRef": {"name": "bank"},
                "sites": [{"name": "east"}, {"name": "west"}],
                "objectives": {"rto": "10m", "rpo": "1m"},
                **more,
            },
        }
    )
    assert isinstance(found, RecoveryPlan)
    return found


def _engine() -> Engine:
    found = parse(
        {
            "apiVersion": "wayfare.dev/v1alpha1",
            "kind": "Engine",
            "metadata": {"name": "bank", "namespace": "bank"},
            "spec": {"stores": {"managed": {}}},
        }
    )
    assert isinstance(found, Engine)
    return found


def _channel(plugin: str) -> Channel:
    found = parse(
        {
            "apiVersion": "wayfare.dev/v1alpha1",
            "kind": "Channel",
            "metadata": {"name": "sms", "namespace": "bank"},
            "spec": {
                "engineRef": {"name": "bank"},
                "medium": "SMS",
                "plugin": {"name": plugin},
            },
        }
    )
    assert isinstance(found, Channel)
    return found


def test_a_scheduled_drill_is_due_once_in_its_zone() -> None:
    plan = _plan(drill={"schedule": "0 4 * * 6", "timeZone": "Europe/Lisbon"})
    known = standing(drills_until=at(0))

    def due(hours: float, **more: Any) -> drills.Due | None:
        fields: dict[str, Any] = {"phase": Phase.PRODUCTION, "busy": None, **more}
        return drills.due(plan, known, at(hours), **fields)

    assert due(3.9) is None  # 2026-01-10 is a Saturday
    found = due(4.1)
    assert found is not None
    assert (found.at, found.skip) == (at(4), None)
    late = due(5)
    assert late is not None
    assert late.skip is not None
    assert "10 minutes" in late.skip
    other = due(4.1, phase=Phase.EMERGENCY)
    assert other is not None
    assert other.skip == "the plan is in phase Emergency, and drills begin in Production"
    busy = due(4.1, busy="run x of west is open")
    assert busy is not None
    assert busy.skip == "run x of west is open"
    assert drills.due(_plan(), known, at(4.1), phase=Phase.PRODUCTION, busy=None) is None


def test_the_name_of_a_scheduled_run_fits_and_is_the_same_whoever_makes_it() -> None:
    name = drills.name_of("bank-of-the-north-east", at(4))
    assert name == "bank-of-the-nort-202601100400"
    assert len(name) <= 30
    run = drills.run_of(
        _plan(drill={"schedule": "0 4 * * 6", "timeZone": "UTC"}), at(4), author="op"
    )
    assert isinstance(parse(run), object)
    assert run["spec"]["scenario"] == {"lost": "Site"}


def test_a_check_tells_digests_of_the_plan_s_secrets_by_a_container_that_mounts_them() -> None:
    plan = _plan(secrets=[{"name": "keys"}, {"name": "tls", "compare": "Present"}])
    check = {
        "name": "task",
        "command": ["wayfare", "recovery", "task", "Check"],
        "env": [{"name": "A", "value": "b"}],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    volumes = [{"name": "tmp", "emptyDir": {}}]
    made = with_digests({"spec": {"containers": [check], "volumes": volumes}}, plan, "bank-key")
    [told] = made["spec"]["initContainers"]
    folder = "/etc/wayfare/planned-secrets"
    assert told["command"] == ["wayfare", "recovery", "secrets", folder, "--present", "tls"]
    assert [each["mountPath"] for each in told["volumeMounts"][1:]] == [
        f"{folder}/keys",
        f"{folder}/tls",
    ]
    assert told["env"][-1]["valueFrom"]["secretKeyRef"] == {"name": "bank-key", "key": "key"}
    assert [each.get("secret") for each in made["spec"]["volumes"][1:]] == [
        {"secretName": "keys", "optional": True},
        {"secretName": "tls", "optional": True},
    ]
    assert made["spec"]["containers"] == [check]


def test_a_site_that_sleeps_still_says_the_schema_of_its_image() -> None:
    def versions(image: str, schema: str | None) -> Versions:
        return Versions(operator="1", image=image, schema=schema, kubernetes="v1")

    found = SiteFacts(versions("a:2", None), Capacity(cpu=None, memory=None, pods=None))
    same, other = versions("a:2", "r20"), versions("a:1", "r19")
    assert with_schema(found, None, other, same).versions.schema == "r20"
    assert with_schema(found, "r21", same).versions.schema == "r21"
    assert with_schema(found, None, other, None).versions.schema is None
