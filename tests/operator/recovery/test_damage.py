"""A segment of the lost site's journal is damaged: the run stops in CatchUp, names it, and goes on
from a snapshot past it, or once the object is whole again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.catchup.databases import random_rows, tables
from tests.operator.recovery.place import STATEMENT, Place
from tests.servers.emptying import empty
from tests.servers.operating import Operating, operating
from wayfare_engine import runs
from wayfare_engine.clock import now
from wayfare_engine.facts import record
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.chain import objects
from wayfare_engine.journal.snapshot import take

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]

SAID = {"text": STATEMENT}


@pytest.fixture
def stopped_operator(place: Place, tmp_path: Path) -> Iterator[Operating]:
    """One that has not started yet."""
    with operating(place.operator(tmp_path / "operator")) as made:
        yield made


def more_segments(place: Place, *seeds: int) -> None:
    """East ships as many segments more."""
    dsn = place.databases["east"].dsn
    for seed in seeds:
        with psycopg.connect(dsn, autocommit=True) as connection:
            record(connection, [row._replace(site="east") for row in random_rows(20, seed)])
        place.east_ships()


def damage(place: Place) -> tuple[str, bytes]:
    """Bytes in the middle of east's second segment are others now; its path, and what it was."""
    path = objects(place.store, "east", 1)[1].path
    whole = place.store.get(path)
    assert whole is not None
    place.store.put(path, whole[: len(whole) // 2] + b"XXXX" + whole[len(whole) // 2 + 4 :])
    return path, whole


def failed_in_catch_up(place: Place) -> str:
    """A failover stops there, and nobody acts; what the step says."""
    place.run("take-over", statement=SAID)
    status = place.wait_state("take-over", "Failed", "Succeeded")
    assert status["step"] == "CatchUp"
    assert status["state"] == "Failed"
    assert place.steps("take-over")["TakeEpoch"] == "Pending"
    return str(step(status)["message"])


def step(status: dict[str, Any]) -> dict[str, Any]:
    """The step CatchUp in a run's status."""
    return next(dict(each) for each in status["steps"] if each["name"] == "CatchUp")


def again(place: Place) -> dict[str, Any]:
    """Somebody has it tried again; the run's status where it ends or waits."""
    place.approve("again", "take-over", "CatchUp", "Retry")
    status = place.wait_state("take-over", "Succeeded", "WaitingForApproval")
    assert step(status)["attempt"] == 2
    return status


def succeeded(place: Place) -> runs.StepResult:
    """The run succeeded, with all rows of east; the result of CatchUp."""
    place.wait_state("take-over", "Succeeded")
    assert tables(place.databases["west"].dsn) == tables(place.databases["east"].dsn)
    result = runs.read_result(place.store, place.plan, 1, "CatchUp")
    assert result is not None
    return result


def test_a_run_stops_at_a_damaged_segment_and_goes_on_with_the_other_copy(
    place: Place, stopped_operator: Operating
) -> None:
    more_segments(place, 2, 3)
    path, whole = damage(place)
    stopped_operator.start()
    said = failed_in_catch_up(place)
    assert path in said
    assert "put the object back from the bucket's versions or a copy, then try again" in said
    place.store.put(path, whole)
    again(place)
    assert succeeded(place).figures["snapshot"] is None


def test_a_run_goes_on_from_a_snapshot_past_a_damaged_segment(
    place: Place, stopped_operator: Operating
) -> None:
    more_segments(place, 2, 3)
    west = place.databases["west"].dsn
    catch_up(west, place.store, plan=place.plan)
    take(west, place.store, plan=place.plan, snapshot="20261128T120000Z-s1", clock=now)
    more_segments(place, 4)
    # Its database is behind the snapshot, and cannot get past what is damaged.
    empty(west)
    catch_up(west, place.store, plan=place.plan, upto={("east", 1): 5}, from_snapshot=False)
    path, _ = damage(place)
    stopped_operator.start()
    said = failed_in_catch_up(place)
    assert path in said
    assert "another attempt goes on from there" in said
    waiting = again(place)
    assert waiting["state"] == "WaitingForApproval"
    # The journal is not whole, which a gate guards: somebody who knows has to say so.
    (check,) = (each for each in waiting["checks"] if each["name"] == "ChainUnbroken")
    assert check["verdict"] == "Failed"
    assert path in check["message"]
    place.approve("go-on", "take-over", waiting["step"], "Approve")
    assert succeeded(place).figures["snapshot"] == "20261128T120000Z-s1"
    # By the rate at which what comes after it was sealed.
    assert place.status("take-over")["rpo"]["basis"] == "Estimated"
