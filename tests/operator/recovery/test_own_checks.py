"""A plan's own checks in a run: requests to a real server, and Jobs whose programs really run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.operator.recovery.place import GATES, STATEMENT, Place
from tests.operator.recovery.test_kills import CUSTOM_JOB, die_at
from tests.servers.operating import Operating, operating
from wayfare_engine import runs
from wayfare_engine.lease import highest

pytestmark = pytest.mark.contract

SAID = {"text": STATEMENT}


@pytest.fixture
def operator_of_west(place: Place, tmp_path: Path) -> Iterator[Operating]:
    """An operator that runs."""
    with operating(place.operator(tmp_path / "operator")) as made:
        made.start()
        yield made


def job(name: str, level: str, script: str, **more: Any) -> dict[str, Any]:
    """A check that is a Job with a shell's script."""
    container = {"name": "look", "image": "busybox", "command": ["/bin/sh", "-c", script]}
    template = {"metadata": {"labels": {"team": "books"}}, "spec": {"containers": [container]}}
    return {"name": name, "level": level, "job": {"template": template, **more}}


def request(name: str, level: str, url: str, site: str = "west") -> dict[str, Any]:
    """A check that is a request: which site answers."""
    wanted = {"url": f"{url}/which", "field": {"path": "site", "equals": site}}
    return {"name": name, "level": level, "http": wanted}


def found(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The run's checks by name."""
    return {each["name"]: each for each in status["checks"]}


def its_jobs(place: Place) -> list[dict[str, Any]]:
    """Jobs of checks that are there."""
    response = place.cluster.server.send(
        "GET", f"/apis/batch/v1/namespaces/{place.cluster.namespace}/jobs"
    )
    return [
        each
        for each in response.body["items"]
        if "wayfare.dev/recovery-check" in each["metadata"]["labels"]
        and not each["metadata"].get("deletionTimestamp")
    ]


def test_own_checks_are_made_at_their_step_with_evidence_and_leave_nothing(
    place: Place, operator_of_west: Operating
) -> None:
    url = place.serving.url
    told = '[ "$WAYFARE_SITE" = west ] && [ "$WAYFARE_RUN" = take-over ]'
    custom = [
        request("books-answer", "Data", url),
        job("books-total", "Data", told),
        request("front-page", "Service", url),
        job("smoke", "Business", told),
        job("slow", "Service", "sleep 60", timeout="2s"),
    ]
    gates = [*GATES, "books-answer", "books-total", "front-page", "smoke"]
    place.make_engine(checks={"gates": gates, "custom": custom})
    place.run("take-over", statement=SAID)
    status = place.wait_state("take-over", "Succeeded", "Failed", "WaitingForApproval")
    checks = found(status)
    assert status["state"] == "Succeeded", status
    levels = {name: (checks[name]["level"], checks[name]["verdict"]) for name in gates[-4:]}
    assert levels == {
        "books-answer": ("Data", "Passed"),
        "books-total": ("Data", "Passed"),
        "front-page": ("Service", "Passed"),
        "smoke": ("Business", "Passed"),
    }
    assert all(checks[name]["gate"] for name in gates[-4:])
    assert checks["slow"]["verdict"] == "Unknown"
    assert checks["slow"]["gate"] is False
    assert "did not end within 2 s" in checks["slow"]["message"]
    for name in ("books-answer", "books-total", "front-page", "smoke", "slow"):
        kept = runs.evidence.get(place.store, checks[name]["evidence"])
        assert (kept["check"], kept["verdict"]) == (name, checks[name]["verdict"])
    for step, names in (
        ("Verify", {"books-answer", "books-total"}),
        ("VerifyServing", {"front-page", "smoke", "slow"}),
    ):
        result = runs.read_result(place.store, place.plan, 1, step)
        assert result is not None
        own = {each.name for each in result.checks} & set(checks) - set(GATES)
        assert own >= names
        assert not own & {each["name"] for each in custom} - names
    assert its_jobs(place) == []
    assert sum(each.command[0] == "/bin/sh" for each in place.jobs.ran) == 3


def test_own_checks_that_gate_hold_a_run_up_until_they_pass_or_somebody_approves(
    place: Place, operator_of_west: Operating
) -> None:
    switch = place.folder / "open"
    custom = [
        job("books-total", "Data", f'[ -e "{switch}" ]'),
        request("books-answer", "System", place.serving.url, site="nowhere"),
        job("smoke", "Service", "exit 3"),
    ]
    gates = [*GATES, "books-total", "smoke"]
    place.make_engine(checks={"gates": gates, "custom": custom})
    place.run("take-over", statement=SAID)
    status = place.wait_state("take-over", "WaitingForApproval", "Succeeded", "Failed")
    assert (status["state"], status["step"]) == ("WaitingForApproval", "Verify")
    assert found(status)["books-total"]["verdict"] == "Failed"
    held = highest(place.store, place.plan)
    assert held is not None
    assert held.epoch == 1, "nothing is taken before the plan's own gate"
    assert its_jobs(place) == []

    switch.touch()
    place.approve("again", "take-over", "Verify", "Retry")

    def serving_is_barred() -> dict[str, Any]:
        while True:
            seen = place.wait_state("take-over", "WaitingForApproval", "Succeeded", "Failed")
            if seen["step"] != "Verify":
                return seen

    status = serving_is_barred()
    assert (status["state"], status["step"]) == ("WaitingForApproval", "VerifyServing")
    assert found(status)["books-total"]["verdict"] == "Passed"
    answer = found(status)["books-answer"]
    assert (answer["verdict"], answer["gate"]) == ("Failed", False)
    assert "site is not 'nowhere'" in answer["message"]
    assert found(status)["smoke"]["verdict"] == "Failed"
    place.approve("go-on", "take-over", "VerifyServing", "Approve")
    assert place.wait_state("take-over", "Succeeded", "Failed")["state"] == "Succeeded"


def test_an_operator_that_dies_around_a_checks_job_makes_it_once(
    place: Place, tmp_path: Path
) -> None:
    count = place.folder / "count"
    custom = [job("books-total", "Data", f'echo once >> "{count}"')]
    place.make_engine(checks={"gates": [*GATES, "books-total"], "custom": custom})
    place.run("take-over", statement=SAID)
    with operating(place.operator(tmp_path / "operator")) as operator:
        for point in CUSTOM_JOB:
            die_at(place, operator, point)
        operator.start()
        status = place.wait_state("take-over", "Succeeded", "Failed", "WaitingForApproval")
    assert status["state"] == "Succeeded", status
    assert found(status)["books-total"]["verdict"] == "Passed"
    assert count.read_text() == "once\n"
