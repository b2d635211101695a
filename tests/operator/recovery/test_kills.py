"""The operator is killed before and after each side effect of a run, and the run ends the same.

The points come from the registry: whatever is imported by the operator and declared there has to be
in the table below, and every point of the table is really died at.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.catchup.databases import tables
from tests.operator.recovery.place import STATEMENT, Place
from tests.operator.recovery.test_failover import NEEDS
from tests.servers.operating import Operating, operating
from tests.servers.wait import until
from wayfare_engine import runs
from wayfare_engine.crashpoints import registered
from wayfare_engine.lease import highest
from wayfare_operator import operate  # noqa: F401 - declares the points

pytestmark = [pytest.mark.contract, pytest.mark.timeout(900)]

EACH_STEP = (
    "runs.attempt.before_put",
    "runs.attempt.put",
    "runs.result.before_put",
    "runs.result.put",
    "operator.job.before_create",
    "operator.job.created",
    "operator.wake.before",
    "operator.wake.scaled",
)
"""Passed again and again: died at by one operator after the other, until the run has ended."""

FIRST = ("runs.take.before_put", "runs.take.put")
LAST = (
    "operator.route.before",
    "operator.route.moved",
    "runs.evidence.before_put",
    "runs.evidence.put",
    "runs.end.before_put",
    "runs.end.put",
)
GATE = (
    "runs.failure.before_put",
    "runs.failure.put",
    "runs.approval.before_put",
    "runs.approval.put",
)
HANG = ("operator.job.before_delete", "operator.job.deleted")
DRILL = (
    "operator.drill.before_make",
    "operator.drill.made",
    "operator.drill.before_delete",
    "operator.drill.deleted",
)
"""Died at in test_drill.py."""
CUSTOM_JOB = ("operator.custom_job.before_create", "operator.custom_job.created")
"""Died at in test_own_checks.py."""
SLEEP = ("operator.sleep.before", "operator.sleep.scaled")
BETWEEN_SITES = (
    "runs.request.before_put",
    "runs.request.put",
    "runs.answer.before_put",
    "runs.answer.put",
)


def test_every_point_of_the_operator_is_in_the_table() -> None:
    ours = {name for name in registered() if name.startswith(("runs.", "operator."))}
    assert ours == {
        *EACH_STEP,
        *FIRST,
        *LAST,
        *GATE,
        *HANG,
        *SLEEP,
        *BETWEEN_SITES,
        *DRILL,
        *CUSTOM_JOB,
    }


def die_at(place: Place, operator: Operating, point: str, *, seconds: float = 60) -> None:
    """One more operator, which dies at its first pass of a point, or lives until the run ended."""
    operator.start(point)
    operator.wait_killed(seconds=seconds)


def effects(place: Place) -> dict[str, Any]:
    """What a run leaves behind that must not be there twice, or otherwise."""
    number = 1
    whole = [each.path for each in place.store.list(f"runs/{place.plan}/")]
    return {
        "jobs": sorted(each.job for each in place.jobs.ran),
        "runs": sorted({path.split("/")[2] for path in whole}),
        "attempts": {
            path.split("/")[3]: len(
                runs.attempts(place.store, place.plan, number, path.split("/")[3])
            )
            for path in whole
            if path.endswith("/begun")
        },
        "epoch": getattr(highest(place.store, place.plan), "epoch", None),
        "routed": {json.dumps(body, sort_keys=True) for body, _ in place.serving.posted},
        "rows": tables(place.databases["west"].dsn),
    }


def test_a_failover_whose_operator_dies_everywhere_ends_as_one_whose_operator_lives(
    place: Place, tmp_path: Path
) -> None:
    url = place.serving.url
    place.make_engine(
        traffic={"type": "Webhook", "webhook": {"url": f"{url}/moved"}, "frontDoor": url}
    )
    place.jobs.alone = True
    place.run("take-over", statement={"text": STATEMENT})
    with operating(place.operator(tmp_path / "operator")) as operator:
        died: Counter[str] = Counter()
        for point in FIRST:
            die_at(place, operator, point)
            died[point] += 1
        # Until the last of the Jobs, so that the points of the end are still ahead.
        place.jobs.held = lambda job: job.startswith("take-over-catch-up-final")
        while place.steps("take-over").get("CatchUpFinal") != "Running":
            for point in EACH_STEP[:6]:
                operator.start(point)
                until(
                    lambda: (
                        not operator.alive
                        or place.steps("take-over").get("CatchUpFinal") == "Running"
                    ),
                    seconds=90,
                    what=f"an operator dies at {point}",
                )
                if operator.alive:
                    operator.kill()
                    break
                died[point] += 1
        place.jobs.held = lambda job: False
        for point in ("operator.wake.before", "operator.wake.scaled", *LAST):
            die_at(place, operator, point)
            died[point] += 1
        operator.start()
        status = place.wait_state("take-over", "Succeeded", "Failed")
    assert status["state"] == "Succeeded", json.dumps(status, indent=1)
    missed = {*EACH_STEP, *FIRST, *LAST} - died.keys()
    assert not missed, f"nobody died at {missed}"
    seen = effects(place)
    assert seen["jobs"] == [
        f"take-over-{each}-1"
        for each in ("catch-up", "catch-up-final", "fence-wait", "take-epoch", "verify")
    ]
    assert seen["runs"] == ["00000001"]
    assert set(seen["attempts"].values()) == {1}
    assert seen["epoch"] == 2
    assert len(seen["routed"]) == 1
    assert seen["rows"] == tables(place.databases["east"].dsn)
    assert set(place.steps("take-over").values()) <= {"Succeeded", "Skipped"}


def test_a_gate_and_its_approval_survive_the_operator(place: Place, tmp_path: Path) -> None:
    place.make_engine(checks={"gates": ["Capacity"]})
    place.beacon("east", **NEEDS)
    place.run("take-over", statement={"text": STATEMENT})
    with operating(place.operator(tmp_path / "operator")) as operator:
        for point in GATE[:2]:
            die_at(place, operator, point)
        operator.start()
        place.wait_state("take-over", "WaitingForApproval")
        operator.kill()
        place.approve("go-on", "take-over", "Precheck", "Approve")
        for point in GATE[2:]:
            die_at(place, operator, point)
        operator.start()
        place.cluster.ready("approvals", "go-on")
        until(lambda: "CatchUp" in place.jobs.commands(), what="the run goes on")
    assert len(runs.approvals(place.store, place.plan, 1)) == 1
    assert effects(place)["attempts"]["Precheck"] == 1


def test_a_job_that_hangs_is_removed_once_and_the_attempt_has_failed(
    place: Place, tmp_path: Path
) -> None:
    place.jobs.held = lambda job: job == "take-over-catch-up-1"
    place.run("take-over", statement={"text": STATEMENT})
    short = {"WAYFARE_RECOVERY_STEP_SECONDS": "4"}
    with operating(place.operator(tmp_path / "operator", **short)) as operator:
        for point in HANG:
            die_at(place, operator, point, seconds=90)
        operator.start()
        status = place.wait_state("take-over", "Failed")
        (step,) = (each for each in status["steps"] if each["name"] == "CatchUp")
        assert "did not end within 4 s" in step["message"]
        assert place.cluster.get("jobs", "take-over-catch-up-1", "/apis/batch/v1") is None
        operator.kill()
        place.approve("again", "take-over", "CatchUp", "Retry")
        operator.start(WAYFARE_RECOVERY_STEP_SECONDS="600")
        place.wait_state("take-over", "Succeeded")
    assert effects(place)["attempts"]["CatchUp"] == 2


def test_an_abandoned_run_is_taken_back_whoever_does_it(place: Place, tmp_path: Path) -> None:
    place.make_engine(standby={"mode": "Cold"})
    place.jobs.held = lambda job: True
    with operating(place.operator(tmp_path / "operator")) as operator:
        operator.start()
        place.falls_asleep(operator)
        place.run("take-over", statement={"text": STATEMENT})
        operator.start()
        until(
            lambda: place.status("take-over").get("step") == "CatchUp",
            seconds=90,
            what="it catches up",
        )
        operator.kill()
        place.approve("stop", "take-over", "CatchUp", "Abandon")
        for point in SLEEP:
            die_at(place, operator, point)
        operator.start()
        place.wait_state("take-over", "Abandoned")
    deployment = place.cluster.get("deployments", "bank-worker", "/apis/apps/v1")
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 0
    assert place.jobs.ran == []
    end = runs.read_end(place.store, place.plan, 1)
    assert end is not None
    assert end.state == "Abandoned"
