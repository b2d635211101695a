"""What a RecoveryPlan says of the sites and of itself, on a real API server with a real store."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from tests.operator.conftest import foreign_kind, journey_spec
from tests.operator.plans.conftest import WEST_FIRST, standby
from tests.operator.standby import APPS, CORE, Site, command_of, now
from tests.operator.test_recovery_standby import FAR
from tests.servers.apiserver import ApiServer
from tests.servers.audit import requests
from tests.servers.operator import USER
from tests.servers.wait import until
from wayfare_engine.objectstore.marker import claim
from wayfare_engine.resources import RunKind, RunState, Verdict
from wayfare_engine.runs import (
    Beacon,
    Rpo,
    Rto,
    RunEnd,
    beacons,
    evidence,
    lock,
)

pytestmark = [pytest.mark.contract, pytest.mark.timeout(240)]


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
    # Soon, because of the Engine's event: it does not wait for its next look.
    told = not_ready("recoveryplans", "bank", "StoreForeign", seconds=10)
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


def test_a_named_workload_sleeps_too_unless_a_gitops_tool_would_wake_it(
    site: Site, server: ApiServer
) -> None:
    path = site.cluster.path("statefulsets", "ledger-db", APPS)
    labels = {"app": "ledger-db"}
    database = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": "ledger-db",
            "namespace": site.cluster.namespace,
            "annotations": {"argocd.argoproj.io/tracking-id": "bank:apps/StatefulSet:x/ledger-db"},
        },
        "spec": {
            "replicas": 2,
            "serviceName": "ledger-db",
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "db", "image": "db"}]},
            },
        },
    }
    assert server.apply(path, database, manager="argocd-controller").status == 201

    def replicas() -> int:
        return int(server.send("GET", path).body["spec"]["replicas"])

    site.taken("east")
    named = {"kind": "StatefulSet", "name": "ledger-db"}
    standby(site, standby={"windows": FAR, "workloads": [named]})
    told = site.cluster.not_ready("recoveryplans", "bank", "ConfigConflict")
    assert "StatefulSet ledger-db (Argo CD)" in told["message"]
    assert "replicasExcluded: true" in told["message"]
    until(lambda: site.replicas()["bank-serve"] == 0, what="the engine sleeps")
    assert replicas() == 2, "nobody fights about it"
    standby(site, standby={"windows": FAR, "workloads": [named | {"replicasExcluded": True}]})
    until(lambda: replicas() == 0, what="it sleeps as well")
    site.beat("east", sealed=10_000_000)
    until(lambda: replicas() == 2, what="the extra window wakes it with what it had")


def test_figures_that_move_all_the_time_are_written_once_a_minute(
    site: Site, server: ApiServer
) -> None:
    site.taken("east")
    site.beat("east", sealed=1000)
    standby(site, lease={"ttl": "60s", "handOver": "5s"})
    site.wait_condition("ReadyToTakeOver", "True")
    until(lambda: set(site.replicas().values()) == {0}, what="all of the engine is made, with none")
    site.wait_status(
        "asleep, with the operator and two volumes that stay",
        lambda it: it["sites"][1]["state"] == "Asleep" and len(it["awake"]["alwaysOn"]) == 3,
    )
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


@pytest.mark.parametrize("mode", ["Cold", "Warm"])
def test_a_drill_that_goes_on_for_too_long_is_told(site: Site, mode: str) -> None:
    site.taken("east")
    site.beat("east", sealed=1000)
    made = site.cluster.apply(
        "RecoveryRun",
        "stuck",
        {"planRef": {"name": "bank"}, "kind": "Drill", "reason": "test"},
        annotations={"wayfare.dev/author": "tests"},
    )
    lock.take(
        site.store,
        plan=site.plan_id,
        kind=RunKind.DRILL,
        target="west",
        name="stuck",
        uid=made["metadata"]["uid"],
        requested_by="tests",
        reason="test",
        at=now() - timedelta(hours=3),
    )
    standby(site, standby={"mode": mode})
    told = site.wait_condition("WindowMissed", "True", "DrillOverran")
    assert (
        "drill stuck has gone on for 3.0 h, longer than the longest window (2.0 h)"
        in told["message"]
    )
    until(lambda: "DrillOverran" in [reason for reason, _ in site.events()], what="the Event")
