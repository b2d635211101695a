"""A Drill by the real operator: the copy, the isolated engine, and that nothing of it is left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.catchup.databases import tables
from tests.operator.recovery.outages import assert_each_step_made_once, moments, outages
from tests.operator.recovery.place import Place
from tests.operator.recovery.test_kills import DRILL
from tests.operator.recovery.test_switchover import living
from tests.servers.canaries import OPEN, SHUT, Canaries, singing
from tests.servers.emptying import empty, remember
from tests.servers.operating import Operating, operating
from tests.servers.postgresql import PostgresqlServer, running_postgresql
from tests.servers.wait import until
from wayfare_engine import runs
from wayfare_engine.lease import highest
from wayfare_engine.resources import RunKind

pytestmark = [pytest.mark.contract, pytest.mark.timeout(600)]

NAME = "rehearse"
SECRET = f"{NAME}-drill"
GATES = ["ChainUnbroken", "OutwardSends"]


@dataclass
class Rehearsal:
    """West's place, with an instance for the copy and what the cluster does with a drill's pods."""

    place: Place
    copy: PostgresqlServer
    canaries: Canaries
    operator: Operating

    def left(self) -> list[str]:
        """Whatever of the drill the API server still has."""
        return self.place.left_of_drill(NAME)

    def result(self, step: str) -> runs.StepResult:
        """What the store says of a step."""
        found = runs.read_result(self.place.store, self.place.plan, 1, step)
        assert found is not None, f"{step} has no result"
        return found


@pytest.fixture(scope="module")
def copy_server() -> Iterator[PostgresqlServer]:
    """An instance of its own."""
    with running_postgresql() as started:
        with psycopg.connect(started.database(), autocommit=True) as connection:
            remember(connection)
        yield started


@pytest.fixture
def rehearsal(place: Place, copy_server: PostgresqlServer, tmp_path: Path) -> Iterator[Rehearsal]:
    """East acts and lives; no operator has started at west."""
    empty(copy_server.dsn)
    keys = {"postgresql-password": "x", "api-key": f"wf_{'0' * 16}_{'a' * 43}"}
    place.jobs.secrets = {**place.jobs.secrets, SECRET: keys}
    place.jobs.extra = {**place.jobs.extra, "WAYFARE_FORK_DSN": copy_server.dsn}
    place.make_engine(checks={"gates": GATES})
    canaries = Canaries(place.cluster.server, place.cluster.namespace)
    with (
        living(place),
        singing(canaries),
        operating(place.operator(tmp_path / "operator")) as operator,
    ):
        yield Rehearsal(place, copy_server, canaries, operator)


def test_a_drill_from_one_resource(rehearsal: Rehearsal) -> None:
    place = rehearsal.place
    rehearsal.operator.start()
    place.run(NAME, "Drill")
    status = place.wait_state(NAME, "Succeeded", "Failed", "WaitingForApproval", seconds=120)
    assert status["state"] == "Succeeded", json.dumps(status, indent=1)
    assert place.jobs.commands() == ["CatchUp", "Fork", "ReplayDecisions", "Verify", "Measure"]
    held = highest(place.store, place.plan)
    assert held is not None
    assert (held.site, held.epoch) == ("east", 1)
    assert tables(rehearsal.copy.dsn) == tables(place.databases["east"].dsn)
    started = rehearsal.result("StartIsolated").figures
    isolated = {each["what"]: each["how"] for each in started["isolated"]}
    assert "from outside the drill it was reached" in isolated["the object store"]
    assert "instance" in isolated["database"]
    measured = rehearsal.result("Measure").figures
    assert measured["outwardSends"] == 0
    assert measured["scenario"]["lost"] == "Site"
    assert measured["rtoSeconds"] == pytest.approx(status["rto"]["seconds"])
    assert rehearsal.result("Cleanup").figures["left"] == []
    assert rehearsal.left() == []


def test_a_canary_that_gets_out_ends_the_drill_before_its_engine_starts(
    rehearsal: Rehearsal,
) -> None:
    place = rehearsal.place
    rehearsal.canaries.say = dict(OPEN)
    rehearsal.operator.start()
    place.run(NAME, "Drill")
    status = place.wait_state(NAME, "Failed", "Succeeded", seconds=120)
    (step,) = (each for each in status["steps"] if each["name"] == "StartIsolated")
    assert "the object store could be reached from its pod" in step["message"]
    assert place.jobs.commands() == ["CatchUp", "Fork"]
    until(
        lambda: f"deployments/{NAME}-drill-engine" not in rehearsal.left(),
        what="the engine's Deployment is gone",
    )
    rehearsal.canaries.say = dict(SHUT)
    place.approve("again", NAME, "StartIsolated", "Retry")
    status = place.wait_state(NAME, "Succeeded", seconds=120)
    assert len(rehearsal.canaries.seen) == 2
    assert rehearsal.left() == []


@pytest.mark.more
def test_the_store_is_gone_in_each_step(rehearsal: Rehearsal) -> None:
    rehearsal.place.run(NAME, "Drill")
    with outages(west=rehearsal.place) as away:
        away.start(rehearsal.operator, "west")
        status = away.go_through(NAME, moments(RunKind.DRILL, skipped=("Wake", "Sleep")))
        rehearsal.operator.kill()
    assert_each_step_made_once(status)
    commands = rehearsal.place.jobs.commands()
    assert commands == ["CatchUp", "Fork", "ReplayDecisions", "Verify", "Measure"]
    assert len(rehearsal.canaries.seen) == 1
    assert rehearsal.left() == []


def test_an_abandoned_drill_leaves_nothing(rehearsal: Rehearsal) -> None:
    place = rehearsal.place
    place.jobs.held = lambda job: job.startswith(f"{NAME}-replay-decisions")
    rehearsal.operator.start()
    place.run(NAME, "Drill")
    until(
        lambda: place.steps(NAME).get("ReplayDecisions") == "Running",
        seconds=120,
        what="decisions are to be replayed",
    )
    assert rehearsal.left() != []
    place.approve("stop", NAME, "ReplayDecisions", "Abandon")
    place.wait_state(NAME, "Abandoned", seconds=120)
    assert rehearsal.left() == []


def test_a_drill_whose_run_is_deleted_leaves_nothing(rehearsal: Rehearsal) -> None:
    place = rehearsal.place
    place.jobs.held = lambda job: job.startswith(f"{NAME}-replay-decisions")
    rehearsal.operator.start()
    place.run(NAME, "Drill")
    until(
        lambda: place.steps(NAME).get("ReplayDecisions") == "Running",
        seconds=120,
        what="decisions are to be replayed",
    )
    place.cluster.delete("recoveryruns", NAME)
    until(lambda: rehearsal.left() == [], seconds=120, what="nothing of the drill is left")
    end = until(lambda: runs.read_end(place.store, place.plan, 1), what="the run has ended")
    assert end.state == "Abandoned"


def test_the_operator_dies_around_each_object_of_a_drill(rehearsal: Rehearsal) -> None:
    place = rehearsal.place
    place.run(NAME, "Drill")
    for point in DRILL:
        rehearsal.operator.start(point)
        rehearsal.operator.wait_killed(seconds=120)
    rehearsal.operator.start()
    status = place.wait_state(NAME, "Succeeded", "Failed", seconds=120)
    assert status["state"] == "Succeeded", json.dumps(status, indent=1)
    assert place.jobs.commands() == ["CatchUp", "Fork", "ReplayDecisions", "Verify", "Measure"]
    assert rehearsal.left() == []


def test_the_wall_goes_last(rehearsal: Rehearsal) -> None:
    """While a pod of the drill is there, so is its policy."""
    place, seen = rehearsal.place, _Seen(rehearsal)
    rehearsal.operator.start()
    place.run(NAME, "Drill")
    until(seen.look, seconds=120, what="the drill has come and gone")
    assert seen.without_wall == []


class _Seen:
    """Looks at a drill until it is over."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._rehearsal = rehearsal
        self.without_wall: list[list[str]] = []

    def look(self) -> bool:
        left = self._rehearsal.left()
        pods = [each for each in left if each.startswith(("pods/", "deployments/"))]
        if pods and f"networkpolicies/{NAME}-drill" not in left:
            # The two lists were not of one moment: only what stays so counts.
            left = self._rehearsal.left()
            if [each for each in left if each.startswith("pods/")] and not any(
                each.startswith("networkpolicies/") for each in left
            ):
                self.without_wall.append(left)
        return self._rehearsal.place.status(NAME).get("state") == "Succeeded"
