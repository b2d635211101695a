"""A cold standby: it sleeps, wakes in its windows, catches up, is checked and sleeps again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.operator.conftest import Cluster
from tests.operator.standby import APPS, CORE, Site, command_of, now
from tests.servers.control import ControlApi
from tests.servers.objects import ObjectServer, running_objects
from tests.servers.wait import until
from tests.servers.workloads import rolling_out
from wayfare_engine.resources import Verdict
from wayfare_engine.runs import Outcome
from wayfare_operator.recovery.record import (
    KEY,
    CaughtUp,
    Stage,
    Standing,
    WindowRecord,
    decode,
    encode,
)

pytestmark = [pytest.mark.contract, pytest.mark.timeout(240)]

ASLEEP = {"bank-postgresql": 0, "bank-valkey": 0, "bank-worker": 0, "bank-serve": 0}
FAR = [{"name": "yearly", "schedule": "0 3 1 1 *", "duration": "1h"}]
"""A window that is not now."""


@pytest.fixture(scope="module")
def objects() -> Iterator[ObjectServer]:
    """A real S3 server."""
    with running_objects() as server:
        yield server


@pytest.fixture
def site(cluster: Cluster, objects: ObjectServer, control: ControlApi) -> Iterator[Site]:
    """A site whose controllers bring up at once what is to be up."""
    with rolling_out(cluster.server, cluster.namespace):
        yield Site(cluster, objects, control)


def standing(site: Site) -> Standing | None:
    """What the operator remembers."""
    found = site.cluster.get("configmaps", "bank-standby", CORE)
    return decode(found["data"][KEY]) if found is not None else None


def remember(site: Site, plan: dict[str, Any], known: Standing) -> None:
    """Let the operator remember this from before."""
    metadata = plan["metadata"]
    owner = {
        "apiVersion": plan["apiVersion"],
        "kind": plan["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    answer = site.cluster.server.apply(
        site.cluster.path("configmaps", "bank-standby", CORE),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "bank-standby", "ownerReferences": [owner]},
            "data": {KEY: encode(known)},
        },
        manager="wayfare",
    )
    assert answer.status in (200, 201), answer.message


def through_a_window(site: Site, **figures: Any) -> None:
    """Be the Jobs of a window until the site sleeps."""
    wanted = {"watermark": {"east/1": 5000}, "rows": 5000, "seconds": 0.5, **figures}
    site.result(site.wait_job("CatchUp"), figures=wanted)
    job = site.wait_job("Check")
    assert all(site.replicas().values())
    site.result(job, took=3.0, **site.checks())
    until(lambda: site.replicas() == ASLEEP, what="the site sleeps")


def test_a_new_standby_catches_up_at_once_then_sleeps_and_says_what_that_saves(
    site: Site, tmp_path: Path
) -> None:
    site.taken("east")
    site.beat("east", sealed=5000)
    site.engine()
    site.plan(
        standby={"windows": FAR, "prices": {"currency": "EUR", "podHour": 0.1, "volumeHour": 0.01}}
    )
    with site.operator(tmp_path) as operator:
        job = site.wait_job("CatchUp")
        window = int(command_of(job)[5])
        assert command_of(job) == [
            "wayfare",
            "recovery",
            "task",
            "CatchUp",
            "--window",
            str(window),
            "--attempt",
            "1",
        ]
        assert abs(window * 60 - now().timestamp()) < 120
        # For that the stores are enough; the rest wakes to be checked.
        assert site.replicas() == {
            "bank-postgresql": 1,
            "bank-valkey": 1,
            "bank-worker": 0,
            "bank-serve": 0,
        }
        site.wait_condition("ReadyToTakeOver", "False", "NeverCaughtUp")
        site.wait_status("awake", lambda it: it["sites"][1]["state"] == "Standby")
        through_a_window(site)
        told = site.wait_condition("ReadyToTakeOver", "True", "WithinObjectives")
        assert "lag 0 rows + verify 3.0 s" in told["message"]
        assert "objective 600.0 s" in told["message"]
        site.wait_condition("WindowMissed", "False", "WindowDone")
        found = site.wait_status("asleep", lambda it: it["sites"][1]["state"] == "Asleep")
        assert (found["phase"], found["actingSite"], found["epoch"]) == ("Production", "east", 1)
        assert found["consistency"]["business"]["verdict"] == "Passed"
        assert found["consistency"]["data"]["evidence"].startswith("sha256:")
        assert found["nextWindow"].endswith("-01-01T03:00:00Z")
        until(
            lambda: site.cluster.condition("engines", "bank", "Ready").get("reason") == "Asleep",
            what="the engine says that it is asleep",
        )
        known = standing(site)
        assert known is not None
        [record] = known.windows
        assert record.stage is Stage.DONE
        assert record.name == "extra"
        assert known.rate == pytest.approx(10_000)
        assert known.awake[-1].ended is not None
        until(lambda: site.jobs() == [], what="the Jobs are gone")
        assert operator.stop() == 0
    # What is told of awake hours comes from what was recorded, by another operator too.
    with site.operator(tmp_path / "again") as operator:
        found = site.wait_status("awake hours", lambda it: "savedShare" in (it.get("awake") or {}))
        awake = found["awake"]
        assert awake["podHours"]["drill"] == awake["podHours"]["emergency"] == 0
        assert 0 < awake["share"] <= 1
        assert awake["alwaysOn"] == [
            "the operator",
            "1 volume of StatefulSet bank-postgresql",
            "1 volume of StatefulSet bank-valkey",
        ]
        assert " EUR in " in awake["saving"]
        assert standing(site) is not None
        assert site.replicas() == ASLEEP
        assert operator.stop() == 0


def test_nothing_fights_a_sleeping_engine(site: Site, tmp_path: Path) -> None:
    site.taken("east")
    site.beat("east")
    site.engine()
    plan = site.plan(standby={"windows": FAR})
    remember(site, plan, _slept())
    with site.operator(tmp_path) as operator:
        until(lambda: site.replicas() == ASLEEP, what="the site sleeps")
        serve = site.workload("deployments", "bank-serve")
        assert serve["metadata"]["annotations"]["wayfare.dev/awake-replicas"] == "2"
        # A new spec rolls out to no pods, and a Deployment that is made anew has none.
        site.engine(image="localhost/wayfare:other")
        site.cluster.delete("deployments", "bank-worker", APPS)

        def image(name: str) -> str:
            pod = site.workload("deployments", name).get("spec", {}).get("template", {})
            return str(pod.get("spec", {}).get("containers", [{}])[0].get("image"))

        for name in ("bank-serve", "bank-worker"):
            until(lambda name=name: image(name) == "localhost/wayfare:other", what=name)  # type: ignore[misc]
        until(lambda: site.replicas() == ASLEEP, what="nothing is up")
        # Somebody wakes a workload by hand: it is put to sleep again, and what it had is kept.
        answer = site.cluster.server.http.patch(
            site.cluster.path("deployments", "bank-serve/scale", APPS),
            json={"spec": {"replicas": 3}},
            headers={"Content-Type": "application/merge-patch+json"},
        )
        assert answer.status_code == 200
        until(lambda: site.replicas() == ASLEEP, what="it sleeps again")
        serve = site.workload("deployments", "bank-serve")
        assert serve["metadata"]["annotations"]["wayfare.dev/awake-replicas"] == "3"
        for each in serve["metadata"]["managedFields"]:
            if each["manager"] == "wayfare":
                assert "f:replicas" not in each["fieldsV1"].get("f:spec", {})
        assert operator.stop() == 0


def _slept() -> Standing:
    """A site that has caught up before."""
    return Standing(
        since=now(),
        caught_up=CaughtUp(watermark={"east/1": 0}, at=now()),
        rate=10_000.0,
        wakes=(5.0,),
        verifies=(3.0,),
    )


def test_a_window_goes_on_where_a_killed_operator_left_it(site: Site, tmp_path: Path) -> None:
    site.taken("east")
    site.beat("east", sealed=5000)
    site.engine()
    began = now() - timedelta(minutes=2)
    schedule = f"{began.minute} {began.hour} * * *"
    site.plan(standby={"windows": [{"name": "now", "schedule": schedule, "duration": "1h"}]})
    made: set[str] = set()

    def seen() -> None:
        made.update(each["metadata"]["uid"] for each in site.jobs())

    def waking() -> bool:
        known = standing(site)
        return known is not None and known.current is not None

    with site.operator(tmp_path / "1") as operator:
        until(waking, what="a window is worked on")
        first = standing(site)
        operator.kill()
    with site.operator(tmp_path / "2") as operator:
        job = site.wait_job("CatchUp")
        seen()
        operator.kill()
    site.result(job, figures={"watermark": {"east/1": 5000}, "rows": 5000, "seconds": 0.5})
    with site.operator(tmp_path / "3") as operator:
        job = site.wait_job("Check")
        seen()
        operator.kill()
    site.result(job, took=3.0, **site.checks())
    with site.operator(tmp_path / "4") as operator:
        until(
            lambda: (known := standing(site)) is not None and known.windows[0].stage.ended,
            what="the window is over",
        )
        known = standing(site)
        assert first is not None
        assert first.current is not None
        assert known is not None
        assert known.windows[0].id == first.current.id
        assert known.windows[0].stage is Stage.DONE
        assert len(made) == 2
        operator.kill()


def test_a_failed_catch_up_is_tried_again_and_what_it_says_is_told(
    site: Site, tmp_path: Path
) -> None:
    site.taken("east")
    site.beat("east", sealed=5000)
    site.engine()
    site.plan(standby={"windows": FAR})
    with site.operator(tmp_path) as operator:
        first = site.wait_job("CatchUp")
        site.result(first, outcome=Outcome.FAILED, summary="segment 17 is damaged")
        second = until(
            lambda: next((j for j in site.jobs() if command_of(j)[7] == "2"), None),
            seconds=60,
            what="a second attempt",
        )
        known = standing(site)
        assert known is not None
        assert known.current is not None
        assert known.current.message == "segment 17 is damaged"
        site.result(second, figures={"watermark": {"east/1": 5000}, "rows": 5000, "seconds": 1})
        site.result(site.wait_job("Check"), **site.checks(Data=Verdict.FAILED))
        found = site.wait_status("the verdict", lambda it: "consistency" in it)
        assert found["consistency"]["data"]["verdict"] == "Failed"
        assert found["consistency"]["data"]["message"] == "DataCheck: looked at Data"
        assert operator.stop() == 0


@pytest.mark.parametrize(
    ("stage", "reason"),
    [(Stage.WAKE, "EndedBeforeCatchUp"), (Stage.VERIFY, "EndedBeforeVerify")],
)
def test_a_window_that_is_over_too_soon_puts_the_site_to_sleep_and_is_told(
    site: Site, tmp_path: Path, stage: Stage, reason: str
) -> None:
    site.taken("east")
    site.beat("east")
    site.engine()
    plan = site.plan(standby={"windows": FAR})
    begins = (now() - timedelta(hours=2)).replace(microsecond=0)
    record = WindowRecord(
        id=f"{begins:%Y%m%dT%H%M%SZ}-nightly",
        name="nightly",
        begins=begins,
        ends=begins + timedelta(hours=1),
        stage=stage,
        began=begins,
        awake=begins,
        caught_up=begins if stage is Stage.VERIFY else None,
    )
    remember(site, plan, replace(_slept(), standby_since=begins, windows=(record,)))
    with site.operator(tmp_path) as operator:
        told = site.wait_condition("WindowMissed", "True", reason)
        assert "window nightly" in told["message"]
        until(lambda: site.replicas() == ASLEEP, what="the site sleeps")
        until(lambda: reason in [each for each, _ in site.events()], what="the Event")
        assert operator.stop() == 0


def test_a_window_in_which_nobody_woke_the_site_is_told(site: Site, tmp_path: Path) -> None:
    site.taken("east")
    site.beat("east")
    site.engine()
    began = (now() - timedelta(minutes=90)).replace(second=0, microsecond=0)
    window = {"name": "early", "schedule": f"{began.minute} {began.hour} * * *", "duration": "30m"}
    plan = site.plan(standby={"windows": [window]})
    since = began - timedelta(minutes=5)
    remember(site, plan, replace(_slept(), since=since, standby_since=since))
    with site.operator(tmp_path) as operator:
        told = site.wait_condition("WindowMissed", "True", "WindowMissed")
        assert f"window early of {began:%Y-%m-%d %H:%M} UTC passed" in told["message"]
        assert operator.stop() == 0


def test_a_store_that_is_away_wakes_and_puts_to_sleep_nothing(site: Site, tmp_path: Path) -> None:
    site.taken("east")
    site.beat("east")
    site.engine()
    plan = site.plan(standby={"windows": FAR})
    remember(site, plan, _slept())
    with site.operator(tmp_path) as operator:
        until(lambda: site.replicas() == ASLEEP, what="the site sleeps")
        site.objects.kill()
        try:
            site.cluster.not_ready("recoveryplans", "bank", "StoreUnreadable")
            told = site.wait_condition("ReadyToTakeOver", "Unknown", "StoreUnreadable")
            assert "nobody can take over" in told["message"]
            site.wait_condition("LeaseLapsed", "Unknown", "StoreUnreadable")
            found = site.status()
            assert found["sites"][0]["state"] == "Unknown"
            # A window that comes now is not opened: who acts is not known.
            began = now() - timedelta(minutes=1)
            window = {
                "name": "now",
                "schedule": f"{began.minute} {began.hour} * * *",
                "duration": "1h",
            }
            site.plan(standby={"windows": [window]})
            generation = (site.cluster.get("recoveryplans", "bank") or {})["metadata"]["generation"]
            site.wait_status("a look", lambda it: it["observedGeneration"] == generation)
            assert site.replicas() == ASLEEP
        finally:
            site.objects.start()
        site.wait_job("CatchUp", seconds=60)
        site.cluster.ready("recoveryplans", "bank")
        assert operator.stop() == 0
