"""What a RecoveryPlan says, starts and compares, on a real API server with a real store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.operator.conftest import Cluster, foreign_kind, journey_spec
from tests.operator.standby import CORE, Site, command_of, now
from tests.operator.test_recovery_standby import FAR, remember
from tests.servers.apiserver import ApiServer
from tests.servers.audit import requests
from tests.servers.control import ControlApi
from tests.servers.objects import ObjectServer, running_objects
from tests.servers.operator import USER, OperatorProcess
from tests.servers.wait import until
from tests.servers.workloads import rolling_out
from wayfare_engine.objectstore.marker import claim
from wayfare_engine.resources import RunKind, RunState, Verdict
from wayfare_engine.runs import (
    Beacon,
    Digests,
    Rpo,
    Rto,
    RunEnd,
    beacons,
    bundle,
    bundles,
    evidence,
    lock,
)
from wayfare_operator.recovery.record import CaughtUp, Standing

pytestmark = [pytest.mark.contract, pytest.mark.timeout(240)]

WEST_FIRST = [{"name": "west"}, {"name": "east"}]


@pytest.fixture(scope="module")
def objects() -> Iterator[ObjectServer]:
    """A real S3 server."""
    with running_objects() as server:
        yield server


@pytest.fixture(scope="module")
def west(
    server: ApiServer,
    objects: ObjectServer,
    control: ControlApi,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OperatorProcess]:
    """One operator of site west for all tests."""
    anything = Site(Cluster(server, "none"), objects, control)
    with anything.operator(tmp_path_factory.mktemp("west")) as replica:
        yield replica
        assert replica.process.poll() is None, replica.log.read_text()[-4000:]
        assert replica.stop() == 0


@pytest.fixture
def site(
    cluster: Cluster, objects: ObjectServer, control: ControlApi, west: OperatorProcess
) -> Iterator[Site]:
    """A namespace whose controllers bring up at once what is to be up."""
    with rolling_out(cluster.server, cluster.namespace):
        yield Site(cluster, objects, control)


def slept(**more: Any) -> Standing:
    """A site that has caught up before."""
    fields: dict[str, Any] = {
        "since": now() - timedelta(hours=30),
        "caught_up": CaughtUp(watermark={"east/1": 1000}, at=now() - timedelta(hours=22)),
        "rate": 1000.0,
        "wakes": (14.0,),
        "verifies": (6.0,),
        **more,
    }
    return Standing(**fields)


def standby(site: Site, known: Standing | None = None, **plan: Any) -> dict[str, Any]:
    """Apply a plan of which west stands by, with what it remembers before its first look."""
    made = site.plan(**{"standby": {"windows": FAR}, **plan})
    remember(site, made, known or slept())
    # The Engine is what a look needs: before it is there nothing was read.
    site.engine()
    return made


def test_a_silent_acting_site_is_told_loudly_with_what_to_do(site: Site) -> None:
    site.taken("east")
    site.beat("east", sealed=1000)
    standby(site, lease={"ttl": "6s", "handOver": "1s"})
    told = site.wait_condition("LeaseLapsed", "True", "ActingSiteSilent")
    for words in (
        "east holds epoch 1",
        "its operator was heard of never",
        "ended after at most 7.0 s",
        "create a RecoveryRun of kind Failover at west",
        "docs/runbooks/failover.md",
    ):
        assert words in told["message"]
    until(lambda: "ActingSiteSilent" in [reason for reason, _ in site.events()], what="the Event")
    # Its operator alone is heard of: not lost, and not well.
    site.beacon("east")
    site.wait_condition("LeaseLapsed", "Unknown", "EngineSilent")
    site.beat("east", sealed=1001)
    site.wait_condition("LeaseLapsed", "False", "ActingSiteHeard")
    found = site.status()
    assert found["sites"][0]["name"] == "east"
    assert found["sites"][1]["versions"]["kubernetes"].startswith("v1.")

    def asleep() -> Beacon | None:
        found = beacons.newest(site.store, site.plan_id, "west")
        return found if found is not None and found.figures["state"] == "Asleep" else None

    mine = until(asleep, what="the beacon of a site that sleeps")
    assert mine.figures["needs"]["pods"] == 5
    assert mine.figures["needs"]["cpu"] == "950m"


def test_the_estimate_of_a_site_that_sleeps_has_its_arithmetic(site: Site) -> None:
    site.taken("east")
    site.beat("east", sealed=81_000)
    standby(site, objectives={"rto": "3m", "rpo": "5m"})
    told = site.wait_condition("ReadyToTakeOver", "True", "WithinObjectives")
    assert told["message"].endswith(
        "+ wake 14.0 s + restore 0.0 s + lag 80,000 rows ÷ 1,000 rows/s = 80.0 s + verify 6.0 s = "
        "102.0 s; objective 180.0 s"
    )
    found = site.status()
    assert found["takeover"]["estimatedSeconds"] == 102
    assert found["lag"]["rows"] == 80_000
    assert found["lag"]["seconds"] == pytest.approx(22 * 3600, abs=60)
    assert site.jobs() == []
    # More lag than fits is told, and opens a window by itself.
    site.beat("east", sealed=200_000)
    site.wait_condition("ReadyToTakeOver", "False", "OverObjective")
    assert command_of(site.wait_job("CatchUp"))[3] == "CatchUp"
    until(
        lambda: (
            site.cluster.get("configmaps", "bank-standby", CORE) is not None
            and "-extra" in str(site.cluster.get("configmaps", "bank-standby", CORE))
        ),
        what="an extra window",
    )


def test_records_that_are_not_in_the_journal_for_too_long_are_told(site: Site) -> None:
    site.taken("east")
    site.beat("east", sealed=1000, unsealed=7, oldest=now() - timedelta(minutes=6))
    standby(site)
    told = site.wait_condition("ReadyToTakeOver", "False", "RecordsAtRisk")
    assert "is 360 s old, and the objective is 300 s" in told["message"]


def test_a_store_that_is_lost_with_a_site_is_told(site: Site) -> None:
    site.taken("east")
    sites = [{"name": "east", "failureDomain": "dc-1"}, {"name": "west", "failureDomain": "dc-2"}]
    standby(site, sites=sites, objectStore={"failureDomain": "dc-1"})
    told = site.wait_condition("WitnessShared", "True", "SameFailureDomain")
    assert "when that is lost, west cannot take over" in told["message"]


def test_where_it_acts_it_says_what_the_standby_says_of_itself(site: Site) -> None:
    site.taken("west")
    site.engine()
    site.plan(sites=WEST_FIRST)
    found = site.wait_status("acts", lambda it: it["sites"][0]["state"] == "Acting")
    assert found["sites"][1] == {"name": "east", "state": "Unknown"}
    site.wait_condition("ReadyToTakeOver", "Unknown", "StandbySilent")
    site.wait_condition("LeaseLapsed", "False", "ThisSiteActs")
    ready = {"status": "False", "reason": "OverObjective", "message": "too slow: 700 s"}
    lag = {"rows": 12, "seconds": 30, "asOf": "2026-01-01T00:00:00Z"}
    site.beacon("east", figures={"state": "Asleep", "ready": ready, "lag": lag})
    told = site.wait_condition("ReadyToTakeOver", "False", "OverObjective")
    assert told["message"] == "east: too slow: 700 s"
    found = site.wait_status("the lag", lambda it: "lag" in it)
    assert found["lag"] == lag
    assert found["sites"][1]["state"] == "Asleep"
    until(lambda: None not in site.replicas().values(), what="all workloads are made")
    # Nobody is put to sleep where the site acts.
    assert all(site.replicas().values())


def test_a_beacon_tells_the_plan_that_was_published_while_no_worker_answers(site: Site) -> None:
    """What is compiled then lacks the attributes that only an import declared."""
    site.taken("west")
    worker = site.control.engine(site.cluster.namespace, "bank")
    worker.attributes = [{"name": "colour", "type": "string"}]
    site.engine()
    site.plan(sites=WEST_FIRST)

    def beacon() -> Beacon | None:
        return beacons.newest(site.store, site.plan_id, "west")

    def told() -> str | None:
        found = beacon()
        return found.digests.plan if found is not None else None

    until(lambda: worker.wanted is not None and told() == worker.wanted, what="the plan is told")
    # What the beacon says while no worker answers is what the engine's status said last.
    until(
        lambda: (
            (site.cluster.status("engines", "bank").get("plan") or {}).get("digest")
            == worker.wanted
        ),
        what="the engine's status tells it",
    )
    site.control.available = False
    try:
        site.cluster.apply("Journey", "late", journey_spec("customer.age > 30"))
        site.cluster.not_ready("journeys", "late", "WaitingForEngine")
        seen = beacon()
        assert seen is not None

        def another() -> bool:
            found = beacon()
            return found is not None and found.number > seen.number

        until(another, what="another beacon")
        assert told() == worker.wanted
    finally:
        site.control.available = True


def test_only_the_primary_takes_the_first_epoch_and_the_plan_gives_the_terms(site: Site) -> None:
    site.taken("east")
    standby(site)

    def environment() -> dict[str, str]:
        pod = site.workload("deployments", "bank-worker").get("spec", {}).get("template", {})
        containers = pod.get("spec", {}).get("containers", [{}])
        return {each["name"]: each.get("value", "") for each in containers[0].get("env", [])}

    until(lambda: environment().get("WAYFARE_LEASE_TAKE_FIRST") == "false", what="the worker")
    assert environment()["WAYFARE_LEASE_TTL_SECONDS"] == "1"
    assert environment()["WAYFARE_HAND_OVER_SECONDS"] == "1"
    assert environment()["WAYFARE_CLOCK_ERROR"] == "0.001"
    assert environment()["WAYFARE_STANDBY_FOLLOW"] == "true"
    site.cluster.delete("recoveryplans", "bank")
    until(lambda: environment().get("WAYFARE_LEASE_TAKE_FIRST") == "true", what="without a plan")


def test_a_plan_that_cannot_be_followed_here_says_why(site: Site) -> None:
    site.plan()
    not_ready = site.cluster.not_ready
    not_ready("recoveryplans", "bank", "EngineNotFound")
    site.cluster.apply("Engine", "bank", {"stores": {"managed": {}}})
    not_ready("recoveryplans", "bank", "NoObjectStore")
    claim(site.store, "somebody.else")
    site.engine()
    told = not_ready("recoveryplans", "bank", "StoreForeign")
    assert "it belongs to plan 'somebody.else'" in told["message"]
    site.plan(name="second")
    told = not_ready("recoveryplans", "second", "EngineTaken")
    assert "RecoveryPlan bank is older" in told["message"]
    third = [{"name": "north"}, {"name": "south"}]
    site.cluster.apply(
        "RecoveryPlan",
        "third",
        {
            "engineRef": {"name": "bank"},
            "sites": third,
            "objectives": {"rto": "10m", "rpo": "5m"},
        },
    )
    told = not_ready("recoveryplans", "third", "SiteUnknown")
    assert "this operator's site is west" in told["message"]


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


def test_drift_between_the_sites_is_told_by_object_and_field(site: Site) -> None:
    site.taken("east")
    standby(site)
    site.cluster.apply("Journey", "welcome", journey_spec("customer.age > 30"))
    site.wait_condition("ConfigurationDrift", "Unknown", "NotCompared")

    def exported() -> list[dict[str, Any]]:
        found = beacons.newest(site.store, site.plan_id, "west")
        digest = found.digests.configuration if found is not None else None
        return [] if digest is None else list(bundles.get(site.store, digest))

    objects = until(lambda: exported() if len(exported()) == 2 else None, what="the journey")
    assert [each["kind"] for each in objects] == ["Engine", "Journey"]
    other = [dict(each) for each in objects]
    other[1] = {**other[1], "spec": {**other[1]["spec"], "audience": "customer.age > 40"}}
    site.beacon("east", digests=Digests(configuration=bundles.put(site.store, other)))
    told = site.wait_condition("ConfigurationDrift", "True", "ConfigurationDiffers")
    assert "differs in spec.audience" in told["message"]
    assert site.status()["drift"][0]["object"] == f"Journey {site.cluster.namespace}/welcome"
    site.wait_condition("ReadyToTakeOver", "False", "ConfigurationDiffers")
    # What a site has otherwise by its overrides is no drift.
    same = bundles.put(site.store, objects)
    site.beacon("east", digests=Digests(configuration=same))
    site.wait_condition("ConfigurationDrift", "False", "SameConfiguration")
    assert "drift" not in site.status()


def test_a_bundle_is_applied_exactly_at_the_standby(site: Site) -> None:
    site.taken("east")
    overrides = [{"kind": "Journey", "name": "welcome", "spec": {"priority": 7}}]
    sites = [{"name": "east"}, {"name": "west", "overrides": overrides}]
    standby(site, configuration="Bundle", sites=sites)
    namespace = site.cluster.namespace
    site.cluster.apply("Journey", "welcome", journey_spec("customer.age > 1", description="old"))
    site.cluster.apply("Journey", "gone", journey_spec("true"))

    def objects(audience: str) -> list[dict[str, Any]]:
        engine = site.cluster.get("engines", "bank") or {}
        made = [
            {
                "apiVersion": "wayfare.dev/v1alpha1",
                "kind": "Journey",
                "metadata": {"name": name, "namespace": namespace},
                "spec": journey_spec(audience),
            }
            for name in ("welcome", "fresh")
        ]
        return bundle.export([{**engine, "kind": "Engine"}, *made])

    digest = bundles.put(site.store, objects("customer.age > 2"))
    bundles.put_current(
        site.store, site.plan_id, bundles.Current(digest=digest, at=now(), site="east")
    )

    def spec(name: str) -> dict[str, Any]:
        return (site.cluster.get("journeys", name) or {}).get("spec") or {}

    until(lambda: spec("welcome").get("audience") == "customer.age > 2", what="the journey")
    assert spec("welcome")["priority"] == 7
    assert "description" not in spec("welcome")
    until(lambda: spec("fresh").get("audience") == "customer.age > 2", what="the new one")
    until(lambda: site.cluster.get("journeys", "gone") is None, what="the old one is gone")
    # An object that a GitOps tool keeps is not fought over.
    labels = {"kustomize.toolkit.fluxcd.io/name": "bank"}
    site.cluster.apply("Journey", "fresh", journey_spec("customer.age > 2"), labels=labels)
    digest = bundles.put(site.store, objects("customer.age > 3"))
    bundles.put_current(
        site.store, site.plan_id, bundles.Current(digest=digest, at=now(), site="east")
    )
    told = site.cluster.not_ready("recoveryplans", "bank", "ConfigConflict")
    assert "Flux" in told["message"]
    assert spec("welcome")["audience"] == "customer.age > 2"


def test_the_phase_and_what_was_proven_come_from_the_runs_in_the_store(site: Site) -> None:
    site.taken("east")
    site.taken("west", 2)
    run = lock.take(
        site.store,
        plan=site.plan_id,
        kind=RunKind.FAILOVER,
        target="west",
        name="run-1",
        uid="uid-1",
        requested_by="rita",
        reason="fire",
        at=now(),
    )
    end = RunEnd(
        run=run.number,
        state=RunState.SUCCEEDED,
        verdict=Verdict.PASSED,
        at=now(),
        summary="done",
        rto=Rto(seconds=41.4, met=True),
        rpo=Rpo(rows=12, basis="Estimated"),
    )
    lock.put_end(site.store, site.plan_id, end)
    site.engine()
    site.plan()
    found = site.wait_status("the phase", lambda it: it.get("phase") == "Emergency")
    assert (found["actingSite"], found["epoch"]) == ("west", 2)
    assert found["lastProven"]["rtoSeconds"] == 41
    assert found["lastProven"]["rpoRows"] == 12
    # It acts in an emergency: its hours are counted as such, though its plan is Cold.
    found = site.wait_status("hours", lambda it: "awake" in it, seconds=90)
    site.wait_condition("LeaseLapsed", "False", "ThisSiteActs")


def test_ended_runs_beyond_the_limits_go(site: Site) -> None:
    site.taken("east")
    digest = evidence.put(site.store, {"a": "run"})
    for number in range(4):
        name = f"run-{number}"
        made = site.cluster.apply(
            "RecoveryRun",
            name,
            {"planRef": {"name": "bank"}, "kind": "Drill", "reason": "test"},
            annotations={"wayfare.dev/author": "tests"},
        )
        run = lock.take(
            site.store,
            plan=site.plan_id,
            kind=RunKind.DRILL,
            target="west",
            name=name,
            uid=made["metadata"]["uid"],
            requested_by="tests",
            reason="test",
            at=now(),
        )
        end = RunEnd(
            run=run.number,
            state=RunState.SUCCEEDED if number % 2 else RunState.ABANDONED,
            verdict=Verdict.PASSED,
            at=now(),
            summary="over",
            evidence=digest,
        )
        lock.put_end(site.store, site.plan_id, end)
    standby(site, history={"succeeded": 1, "failed": 1})

    def left() -> list[str]:
        items = site.cluster.server.send("GET", site.cluster.path("recoveryruns")).body["items"]
        return sorted(each["metadata"]["name"] for each in items)

    until(lambda: left() == ["run-2", "run-3"], what="the newest of each are left")


def test_a_cluster_of_cloudnativepg_is_hibernated_by_its_annotation(
    site: Site, server: ApiServer
) -> None:
    foreign_kind(server, "postgresql.cnpg.io", "Cluster")
    path = site.cluster.path("clusters", "ledger", "/apis/postgresql.cnpg.io/v1")
    cluster = {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": "ledger", "namespace": site.cluster.namespace},
        "spec": {"instances": 3},
    }
    assert server.apply(path, cluster, manager="tests").status == 201
    site.taken("east")
    workloads = [{"kind": "Cluster", "name": "ledger"}]
    standby(site, standby={"windows": FAR, "workloads": workloads})

    def hibernation() -> str | None:
        metadata = server.send("GET", path).body["metadata"]
        return str((metadata.get("annotations") or {}).get("cnpg.io/hibernation"))

    until(lambda: hibernation() == "on", what="it is hibernated")
    until(lambda: site.replicas()["bank-serve"] == 0, what="the engine sleeps")
    site.beat("east", sealed=10_000_000)
    until(lambda: hibernation() == "off", what="the extra window wakes it")


def test_figures_that_move_all_the_time_are_written_once_a_minute(
    site: Site, server: ApiServer
) -> None:
    site.taken("east")
    site.beat("east", sealed=1000)
    standby(site, lease={"ttl": "60s", "handOver": "5s"})
    site.wait_condition("ReadyToTakeOver", "True")
    site.wait_status("asleep", lambda it: it["sites"][1]["state"] == "Asleep")
    site.beat("east", sealed=1001)
    site.wait_condition("LeaseLapsed", "False")

    def written(since: int) -> int:
        return sum(
            each.verb == "patch"
            and each.resource == "recoveryplans/status"
            and each.namespace == site.cluster.namespace
            for each in requests(server.audit_log, USER, since=since)
        )

    def look(sealed: int) -> None:
        site.beat("east", sealed=sealed)
        number = until(lambda: _number(site, "west"), what="a beacon")
        until(lambda: _number(site, "west") > number, what="the next look")

    def settled() -> bool:
        """Nothing else is left to be told for the first time."""
        start = server.audit_log.stat().st_size
        look(1002)
        return written(start) == 0

    until(settled, seconds=120, what="a look that writes nothing")
    start, began = server.audit_log.stat().st_size, time.monotonic()
    for sealed in (1100, 1200, 1300):
        look(sealed)
    # A minute may have come meanwhile.
    assert written(start) <= 1 + (time.monotonic() - began) // 60


def _number(site: Site, of: str) -> int:
    found = beacons.newest(site.store, site.plan_id, of)
    return found.number if found is not None else 0
