"""A Switchover between two operators, each with an API server of its own: requests, and the end."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.catchup.databases import tables
from tests.operator.conftest import Cluster
from tests.operator.recovery.outages import assert_each_step_made_once, moments, outages
from tests.operator.recovery.place import KEY, STATEMENT, Place, placed
from tests.servers.apiserver import ApiServer
from tests.servers.control import ControlApi
from tests.servers.operating import Operating, operating
from tests.servers.wait import until
from wayfare_engine import runs
from wayfare_engine.clock import now
from wayfare_engine.lease import highest
from wayfare_engine.resources import RunKind
from wayfare_engine.runs import Keys

pytestmark = [pytest.mark.contract, pytest.mark.timeout(900)]

REQUESTS = (
    "runs.request.before_put",
    "runs.request.put",
)
ANSWERS = ("runs.answer.before_put", "runs.answer.put")
TAKING_BACK = (
    "runs.attempt.before_put",
    "runs.attempt.put",
    "operator.job.before_create",
    "operator.job.created",
)


@dataclass
class Both:
    """The place at each site, and its operator."""

    west: Place
    east: Place
    west_operator: Operating
    east_operator: Operating

    def start(self, **east: str) -> None:
        """Both operators; `east`: settings of that one."""
        self.east_operator.start(**east)
        self.west_operator.start()

    def move_until(self, step: str, *, at: Place, job: str) -> None:
        """A Switchover to west that comes to `step`, the Job of which does not run at `at`."""
        at.jobs.alone = True
        at.jobs.held = lambda name: name.startswith(f"move-{job}")
        self.west.run("move", "Switchover")
        until(
            lambda: self.west.steps("move").get(step) == "Running",
            seconds=120,
            what=f"the move comes to {step}",
        )

    def held(self) -> tuple[str, int]:
        """Who holds the highest epoch, and which that is."""
        found = highest(self.west.store, self.west.plan)
        assert found is not None
        return found.site, found.epoch

    def east_stands(self) -> tuple[bool, str]:
        """Whether east's database holds its epoch, and what is asked of it."""
        with psycopg.connect(self.east.databases["east"].dsn, autocommit=True) as connection:
            row = connection.execute("SELECT held, state FROM wayfare.site_epoch").fetchone()
        assert row is not None
        return row

    def requests(self, number: int = 1) -> list[str]:
        """What was asked, in order; each asked once."""
        run = runs.read_run(self.west.store, self.west.plan, number)
        assert run is not None
        keys = Keys.of(KEY)
        return [each.request.what for each in runs.requests(self.west.store, keys, run)]


@pytest.fixture
def both(
    place: Place,
    control: ControlApi,
    east_api: ApiServer,
    tmp_path: Path,
) -> Iterator[Both]:
    """West's place, and one like it at east; east acts and says that it lives."""
    cluster = Cluster(east_api, east_api.make_namespace(place.cluster.namespace))
    folder = tmp_path / "east"
    folder.mkdir()
    east = Place(
        cluster,
        control,
        place.objects,
        place.databases,
        folder,
        site="east",
        url=place.url,
    )
    east.serving.site = "east"
    with (
        placed(east),
        living(place),
        operating(place.operator(tmp_path / "west-operator")) as at_west,
        operating(east.operator(tmp_path / "east-operator")) as at_east,
    ):
        east.make_engine()
        yield Both(place, east, at_west, at_east)


def reasons(place: Place) -> set[str]:
    """Of the events at a site."""
    path = place.cluster.path("events", "", "/apis/events.k8s.io/v1")
    found = place.cluster.server.send("GET", path).body["items"]
    return {each["reason"] for each in found}


@contextlib.contextmanager
def living(place: Place) -> Iterator[None]:
    """East's workers say that they live."""
    stop = threading.Event()

    def live() -> None:
        number = 2
        while not stop.wait(0.3):
            place.beat(number)
            number += 1

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_switchover_asks_the_other_site_and_moves_the_work(both: Both) -> None:
    both.start()
    both.west.run("move", "Switchover")
    status = both.west.wait_state("move", "Succeeded", "Failed", "WaitingForApproval", seconds=120)
    assert status["state"] == "Succeeded", json.dumps(status, indent=1)
    assert both.requests() == ["Quiesce", "Seal", "RecoverSpooled", "Standby"]
    assert both.east.jobs.commands() == ["Quiesce", "RecoverSpooled"]
    owner = both.east.cluster.get("jobs", "move-quiesce-1", "/apis/batch/v1")
    assert owner is not None
    assert owner["metadata"]["ownerReferences"][0]["kind"] == "RecoveryPlan"
    assert both.held() == ("west", 2)
    assert status["rpo"]["rows"] == 0
    west, east = (tables(both.west.databases[site].dsn) for site in ("west", "east"))
    assert west == east


def test_both_operators_die_around_each_request_and_answer(both: Both) -> None:
    both.west.run("move", "Switchover")
    died: Counter[str] = Counter()
    both.east_operator.start()
    for point in REQUESTS:
        both.west_operator.start(point)
        both.west_operator.wait_killed(seconds=120)
        died[point] += 1
    both.west_operator.start()
    for point in ANSWERS:
        both.east_operator.kill()
        both.east_operator.start(point)
        both.east_operator.wait_killed(seconds=120)
        died[point] += 1
    both.east_operator.start()
    status = both.west.wait_state("move", "Succeeded", "Failed", seconds=120)
    assert status["state"] == "Succeeded", json.dumps(status, indent=1)
    assert both.requests() == ["Quiesce", "Seal", "RecoverSpooled", "Standby"]
    assert both.east.jobs.commands() == ["Quiesce", "RecoverSpooled"]
    assert sum(died.values()) == len(REQUESTS) + len(ANSWERS)


@pytest.mark.more
def test_the_store_is_gone_in_each_step_at_the_site_that_makes_it(both: Both) -> None:
    both.west.run("move", "Switchover")
    with outages(west=both.west, east=both.east) as away:
        away.start(both.east_operator, "east")
        away.start(both.west_operator, "west")
        found = moments(RunKind.SWITCHOVER, other="east", skipped=("Wake", "Route"))
        found |= {f"requests/{number:04d}/answer": "east" for number in range(1, 5)}
        found |= {f"RecoverSpooled/{put}": "east" for put in ("attempts/0*1/begun", "result")}
        status = away.go_through("move", found)
        both.east_operator.kill()
        both.west_operator.kill()
    assert_each_step_made_once(status)
    assert both.requests() == ["Quiesce", "Seal", "RecoverSpooled", "Standby"]
    assert both.east.jobs.commands() == ["Quiesce", "RecoverSpooled"]
    west, east = (tables(both.west.databases[site].dsn) for site in ("west", "east"))
    assert west == east


def test_an_abandoned_switchover_lets_the_old_site_go_on(both: Both) -> None:
    both.start()
    both.move_until("CatchUpFinal", at=both.west, job="catch-up-final")
    both.west.approve("stop", "move", "CatchUpFinal", "Abandon")
    both.west.wait_state("move", "Abandoned")
    assert both.requests() == ["Quiesce", "Seal", "Resume"]
    assert both.held() == ("east", 1)
    assert both.east_stands() == (True, "Normal")


def test_a_site_that_is_lost_while_it_hands_over_can_be_taken_over_from(both: Both) -> None:
    """It was told to stop, and is never to be told to go on: nobody waits for that."""
    both.start()
    both.move_until("Seal", at=both.east, job="seal")
    both.east_operator.kill()
    both.west.approve("stop", "move", "Seal", "Abandon")
    until(lambda: "Resume" in both.requests(), what="east is asked to go on")
    both.west.run("without", "Failover")
    assert both.west.wait_state("without", "Rejected", "Succeeded")["state"] == "Rejected"
    both.west.run("take-over", "Failover", statement={"text": STATEMENT})
    status = both.west.wait_state("take-over", "Succeeded", "Failed", "Rejected", seconds=120)
    assert status["state"] == "Succeeded", json.dumps(status, indent=1)
    moved = both.west.wait_state("move", "Abandoned")
    assert moved["verdict"] == "Failed"
    assert both.held() == ("west", 2)


SOON = {"WAYFARE_RECOVERY_TAKE_BACK_SECONDS": "4"}


def until_taken_back(both: Both) -> None:
    until(
        lambda: runs.read_result(both.west.store, both.west.plan, 1, "TakeBack"),
        seconds=60,
        what="east goes on",
    )
    assert both.held() == ("east", 2)
    assert both.east_stands() == (True, "Normal")


def test_a_site_whose_moves_target_is_lost_goes_on_by_itself(both: Both) -> None:
    """Nobody has to be there for that; the run ends when its operator is back, and the next one
    moves the work."""
    both.start(**SOON)
    both.move_until("TransferEpoch", at=both.west, job="transfer-epoch")
    both.west_operator.kill()
    until_taken_back(both)
    until(
        lambda: {"TakingBack", "TookBack"} <= reasons(both.east),
        what="the plan's events say so",
    )

    both.west.jobs.held = lambda job: False
    both.west_operator.start()
    status = both.west.wait_state("move", "Succeeded", "Failed", "Abandoned", seconds=120)
    assert status["state"] == "Failed", json.dumps(status, indent=1)
    assert "taken back" in json.dumps(status["conditions"])
    assert both.requests() == ["Quiesce", "Seal"]
    both.west.run("again", "Switchover")
    status = both.west.wait_state("again", "Succeeded", "Failed", "WaitingForApproval", seconds=120)
    assert status["state"] == "Succeeded", json.dumps(status, indent=1)
    west, east = (tables(both.west.databases[site].dsn) for site in ("west", "east"))
    assert west == east


def test_an_operator_that_dies_as_it_takes_back_does_it_once(both: Both) -> None:
    both.start(**SOON)
    both.move_until("TransferEpoch", at=both.west, job="transfer-epoch")
    both.west_operator.kill()
    both.east_operator.kill()
    for point in TAKING_BACK:
        both.east_operator.start(point, **SOON)
        both.east_operator.wait_killed(seconds=60)
    both.east_operator.start(**SOON)
    until_taken_back(both)
    assert len(runs.attempts(both.west.store, both.west.plan, 1, "TakeBack")) == 1
    assert both.east.jobs.commands().count("TakeBack") == 1


def test_a_target_that_is_lost_once_it_has_the_epoch_can_be_taken_over_from(both: Both) -> None:
    """Its run would go on for ever: a Failover with a statement at the old site ends it, as soon
    as the target has been silent for a while; until then it is rejected."""
    both.start()
    both.west.jobs.alone = True
    both.west.run("move", "Switchover")
    until(
        lambda: runs.read_result(both.west.store, both.west.plan, 1, "TransferEpoch"),
        seconds=120,
        what="west has the epoch",
    )
    both.west_operator.kill()
    names = (f"take-over-{number}" for number in itertools.count(1))

    def begun() -> str | None:
        name = next(names)
        both.east.run(name, "Failover", statement={"text": STATEMENT})
        status = both.east.wait_state(name, "Rejected", "Running", "Succeeded")
        return None if status["state"] == "Rejected" else name

    name = until(begun, seconds=60, every=1.0, what="a Failover is not rejected")
    assert name != "take-over-1", "west had been heard of just before"
    status = both.east.wait_state(name, "Succeeded", "Failed", seconds=120)
    assert status["state"] == "Succeeded", json.dumps(status, indent=1)
    assert both.held() == ("east", 3)
    both.west_operator.start()
    moved = both.west.wait_state("move", "Failed", seconds=60)
    assert f"{name} goes on instead" in json.dumps(moved["conditions"])


def test_what_is_not_signed_with_the_key_is_not_obeyed(both: Both) -> None:
    both.east_operator.start()
    forged = Keys.of("another key that is also long enough to be one")
    run = runs.take(
        both.west.store,
        plan=both.west.plan,
        kind=runs.procedure("Switchover").kind,
        target="west",
        name="forged",
        uid="nobody",
        requested_by="mallory",
        reason="mischief",
        at=now(),
    )
    runs.ask(
        both.west.store,
        forged,
        run,
        to_site="east",
        step="Quiesce",
        attempt=1,
        what="Quiesce",
        at=now(),
    )
    until(
        lambda: "is not obeyed" in both.east_operator.tail(),
        what="east's operator says that it does not obey",
    )
    assert both.east.jobs.ran == []
