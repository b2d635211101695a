"""A Failover by the real operator: on a real API server, with real Jobs over real databases."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.catchup.databases import tables
from tests.operator.conftest import journey_spec
from tests.operator.recovery.outages import assert_each_step_made_once, moments, outages
from tests.operator.recovery.place import GATES, STATEMENT, Place
from tests.servers.control import PROBE_KEY
from tests.servers.operating import Operating, operating
from tests.servers.wait import until
from wayfare_engine import runs
from wayfare_engine.lease import highest
from wayfare_engine.resources import RunKind

pytestmark = pytest.mark.contract

SAID = {"text": STATEMENT}
NEEDS = {"figures": {"needs": {"cpu": "8", "memory": "1Gi", "pods": 4}}}


@pytest.fixture
def operator_of_west(place: Place, tmp_path: Path) -> Iterator[Operating]:
    """An operator that runs."""
    with operating(place.operator(tmp_path / "operator")) as made:
        made.start()
        yield made


def ended(status: dict[str, Any]) -> str:
    """The state, and what it says while it has not ended."""
    said = "" if status.get("evidence") else f": {status['conditions'][0]['message']}"
    return f"{status['state']}{said}"


def test_a_failover_from_one_resource(place: Place, operator_of_west: Operating) -> None:
    place.cluster.apply("Journey", "welcome", journey_spec("customer.age > 30"))
    place.cluster.wait_ready("engines", "bank", "True", "Serving", seconds=30)
    place.run("take-over", statement=SAID)
    status = place.wait_state("take-over", "Succeeded", "Failed", "WaitingForApproval")
    assert ended(status) == "Succeeded"
    assert place.jobs.commands() == ["CatchUp", "FenceWait"], "the first went on with the rest"
    assert status["number"] == 1
    assert status["requestedBy"] == "ana@bank.example"
    assert status["rto"]["met"] is True
    assert status["rto"]["from"] == "LastBeat"
    assert status["rpo"]["rows"] == 0
    assert {"Wake", "Route"} == {n for n, s in place.steps("take-over").items() if s == "Skipped"}
    (decided,) = (each for each in status["checks"] if each["name"] == "Decision")
    assert decided["verdict"] == "Passed", decided
    (timed,) = (each for each in status["checks"] if each["name"] == "Latency")
    assert timed["verdict"] in {"Passed", "Failed"}, "its bar is a time"
    assert "50 ms are the objective" in timed["message"]
    assert set(place.serving.keys) == {f"Bearer {PROBE_KEY}"}
    held = highest(place.store, place.plan)
    assert held is not None
    assert (held.site, held.epoch) == ("west", 2)
    assert tables(place.databases["west"].dsn) == tables(place.databases["east"].dsn)
    whole = runs.evidence.get(place.store, status["evidence"])
    assert whole["steps"]["TakeEpoch"]["result"]["figures"]["epoch"] == 2
    reasons = [
        each["reason"]
        for each in place.cluster.server.send(
            "GET", place.cluster.path("events", base="/apis/events.k8s.io/v1")
        ).body["items"]
        if each["regarding"]["name"] == "take-over"
    ]
    assert reasons.count("StepSucceeded") >= 8
    assert "RunSucceeded" in reasons

    place.run("again", statement=SAID)
    again = place.wait_state("again", "Failed", "Succeeded")
    assert again["step"] == "Precheck"
    assert "holds epoch 2 already" in json.dumps(again)
    place.approve("stop", "again", "Precheck", "Abandon")
    place.wait_state("again", "Abandoned")


def test_a_failover_from_a_healthy_site_needs_a_statement(
    place: Place, operator_of_west: Operating
) -> None:
    stop = threading.Event()

    def live() -> None:
        number = 2
        while not stop.wait(0.2):
            place.beat(number)
            number += 1

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    try:
        place.run("too-early")
        status = place.wait_state("too-early", "Failed", "Succeeded", seconds=60)
    finally:
        stop.set()
        thread.join()
    (step,) = (each for each in status["steps"] if each["name"] == "Precheck")
    assert "is healthy" in step["message"]
    assert "spec.statement" in step["message"]
    assert place.jobs.ran == []
    place.approve("go-on", "too-early", "Precheck", "Approve")
    place.cluster.not_ready("approvals", "go-on", "NotCounted")


def test_a_switchover_from_a_silent_site_does_not_become_a_failover(
    place: Place, operator_of_west: Operating
) -> None:
    place.silence()
    place.run("move", "Switchover")
    status = place.wait_state("move", "Failed", "Succeeded", seconds=60)
    (step,) = (each for each in status["steps"] if each["name"] == "Precheck")
    assert "does not become one by itself" in step["message"]
    place.approve("stop", "move", "Precheck", "Abandon")
    place.wait_state("move", "Abandoned")
    assert place.jobs.ran == []


def test_a_site_that_is_too_small_bars_the_way_until_somebody_else_approves(
    place: Place, operator_of_west: Operating
) -> None:
    place.make_engine(checks={"gates": [*GATES, "Capacity"]})
    place.beacon("east", **NEEDS)
    place.run("take-over", statement=SAID)
    status = place.wait_state("take-over", "WaitingForApproval", "Failed", "Succeeded")
    (capacity,) = (each for each in status["checks"] if each["name"] == "Capacity")
    assert (capacity["verdict"], capacity["gate"]) == ("Failed", True)
    assert "cpu: 8 needed, 0 there" in capacity["message"]  # an API server without nodes
    stalled = place.cluster.condition("recoveryruns", "take-over", "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "WaitingForApproval")

    place.approve("mine", "take-over", "Precheck", "Approve", approver="ana@bank.example")
    place.cluster.not_ready("approvals", "mine", "NotCounted")
    place.approve("theirs", "take-over", "Precheck", "Approve")
    place.cluster.ready("approvals", "theirs")
    # The Job looks at it as well, nearer to the point of no return.
    until(
        lambda: place.steps("take-over").get("Verify") == "WaitingForApproval",
        seconds=60,
        what="Verify waits",
    )
    place.approve("once-more", "take-over", "Verify", "Approve")
    status = place.wait_state("take-over", "Succeeded", "Failed")
    assert ended(status) == "Succeeded"
    assert status["verdict"] == "Failed"
    assert [each["step"] for each in status["approvals"]] == ["Precheck", "Verify"]
    assert [each.approver for each in runs.approvals(place.store, place.plan, 1)] == [
        "ben@bank.example",
        "ben@bank.example",
    ]


def test_a_second_run_ends_at_once_with_the_others_name(
    place: Place, operator_of_west: Operating
) -> None:
    place.jobs.held = lambda job: True
    place.run("first", statement=SAID)
    until(lambda: place.status("first").get("step") == "CatchUp", what="the first catches up")
    place.run("second", statement=SAID)
    status = place.wait_state("second", "Rejected")
    assert "first" in place.cluster.condition("recoveryruns", "second", "Ready")["message"]
    assert "number" not in status

    place.approve("stop", "first", "CatchUp", "Abandon")
    status = place.wait_state("first", "Abandoned")
    jobs = "/apis/batch/v1"
    until(
        lambda: place.cluster.get("jobs", "first-catch-up-1", jobs) is None,
        what="the Job of the abandoned run is gone",
    )
    assert place.status("second")["state"] == "Rejected"


def test_a_job_that_fails_is_tried_again_when_somebody_says_so(
    place: Place, operator_of_west: Operating
) -> None:
    place.jobs.alone = True
    place.jobs.held = lambda job: job == "take-over-verify-1"
    place.run("take-over", statement=SAID)
    until(lambda: place.steps("take-over").get("Verify") == "Running", what="Verify runs")
    until(lambda: place.cluster.get("jobs", "take-over-verify-1", "/apis/batch/v1"), what="its Job")
    place.jobs.fail("take-over-verify-1", "BackoffLimitExceeded", "the pod was killed")
    status = place.wait_state("take-over", "Failed")
    (step,) = (each for each in status["steps"] if each["name"] == "Verify")
    assert (step["state"], step["attempt"]) == ("Failed", 1)
    assert "the pod was killed" in step["message"]

    place.approve("go-past", "take-over", "Verify", "Approve")
    place.cluster.not_ready("approvals", "go-past", "NotCounted")
    place.approve("again", "take-over", "Verify", "Retry")
    status = place.wait_state("take-over", "Succeeded")
    (step,) = (each for each in status["steps"] if each["name"] == "Verify")
    assert (step["state"], step["attempt"]) == ("Succeeded", 2)
    assert place.jobs.commands().count("Verify") == 1


def test_after_the_epoch_is_taken_abandoning_is_refused_and_says_why(
    place: Place, operator_of_west: Operating
) -> None:
    place.jobs.held = lambda job: job.startswith("take-over-fence-wait")
    place.run("take-over", statement=SAID)
    until(lambda: place.steps("take-over").get("FenceWait") == "Running", what="the wait")
    place.approve("stop", "take-over", "FenceWait", "Abandon")
    said = place.cluster.not_ready("approvals", "stop", "NotCounted")
    assert "no way back" in said["message"]
    place.jobs.held = lambda job: False
    assert ended(place.wait_state("take-over", "Succeeded", "Failed")) == "Succeeded"


def test_a_run_that_is_deleted_before_the_epoch_is_taken_is_abandoned(
    place: Place, operator_of_west: Operating
) -> None:
    place.jobs.held = lambda job: True
    place.run("take-over", statement=SAID)
    until(lambda: place.status("take-over").get("step") == "CatchUp", what="it catches up")
    place.cluster.delete("recoveryruns", "take-over")
    end = until(lambda: runs.read_end(place.store, place.plan, 1), what="the run has an end")
    assert end.state == "Abandoned"
    place.jobs.held = lambda job: False
    place.run("another", statement=SAID)
    assert ended(place.wait_state("another", "Succeeded", "Failed")) == "Succeeded"
    assert place.status("another")["number"] == 2


def test_the_store_may_be_away_for_a_while(place: Place, operator_of_west: Operating) -> None:
    place.jobs.held = lambda job: True
    place.run("take-over", statement=SAID)
    until(lambda: place.status("take-over").get("step") == "CatchUp", what="it catches up")
    place.objects.kill()
    place.cluster.not_ready("recoveryruns", "take-over", "ObjectStoreUnavailable")
    assert place.status("take-over")["step"] == "CatchUp"
    place.objects.start()
    place.jobs.held = lambda job: False
    assert ended(place.wait_state("take-over", "Succeeded", "Failed")) == "Succeeded"


def test_the_store_is_gone_in_each_step(place: Place, tmp_path: Path) -> None:
    place.run("take-over", statement=SAID)
    with outages(west=place) as away, operating(place.operator(tmp_path / "operator")) as operator:
        away.start(operator, "west")
        skipped = ("Wake", "Route")
        status = away.go_through("take-over", moments(RunKind.FAILOVER, skipped=skipped))
    assert_each_step_made_once(status)
    held = highest(place.store, place.plan)
    assert held is not None
    assert (held.site, held.epoch) == ("west", 2)
    assert len(place.jobs.commands()) == len(set(place.jobs.commands()))
    assert tables(place.databases["west"].dsn) == tables(place.databases["east"].dsn)


def test_traffic_is_moved_and_seen_at_the_front_door(
    place: Place, operator_of_west: Operating
) -> None:
    url = place.serving.url
    traffic = {"type": "Webhook", "webhook": {"url": f"{url}/moved"}, "frontDoor": url}
    place.make_engine(traffic=traffic)
    place.serving.site = "east"
    place.jobs.held = lambda job: job.startswith("take-over-catch-up-1")
    place.run("take-over", statement=SAID)
    until(lambda: place.status("take-over").get("step") == "CatchUp", what="it catches up")
    place.serving.site = "west"
    place.jobs.held = lambda job: False
    assert ended(place.wait_state("take-over", "Succeeded", "Failed")) == "Succeeded"
    bodies = [body for body, _ in place.serving.posted]
    assert bodies[0] == {"plan": place.plan, "run": 1, "site": "west", "epoch": 2}
    assert all(signature.startswith("sha256=") for _, signature in place.serving.posted)
    assert place.steps("take-over")["Route"] == "Succeeded"


def test_pods_that_are_up_and_may_not_act_are_not_taken_for_a_site_that_serves(
    place: Place, tmp_path: Path
) -> None:
    place.serving.active = False
    with operating(
        place.operator(tmp_path / "operator", WAYFARE_RECOVERY_STEP_SECONDS="40")
    ) as operator:
        operator.start()
        place.run("take-over", statement=SAID)
        status = place.wait_state("take-over", "WaitingForApproval", "Succeeded", "Failed")
        assert status["state"] == "WaitingForApproval"
        assert status["step"] == "VerifyServing"
        assert "rto" not in status
        (active,) = (each for each in status["checks"] if each["name"] == "Active")
        assert "may not act" in active["message"]
        place.serving.active = True
        place.approve("again", "take-over", "VerifyServing", "Retry")
        status = place.wait_state("take-over", "Succeeded")
    assert status["rto"]["seconds"] > 0
