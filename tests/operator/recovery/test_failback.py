"""A Failback between two operators: the lost site has rows that it never shipped; the store goes
away in each step, and operators die everywhere."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from tests.catchup.databases import random_rows, tables
from tests.operator.recovery.outages import ENDED, assert_each_step_made_once, moments, outages
from tests.operator.recovery.place import STATEMENT
from tests.operator.recovery.test_kills import EACH_STEP, LAST
from tests.operator.recovery.test_switchover import ANSWERS, REQUESTS, Both, both
from tests.servers.wait import until
from wayfare_engine import runs
from wayfare_engine.clock import now
from wayfare_engine.facts import record
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.lease import highest
from wayfare_engine.resources import RunKind

__all__ = ["both"]

pytestmark = [pytest.mark.contract, pytest.mark.timeout(600)]

STRANDED = 25
DRIVING = EACH_STEP[:6]
ENDING = LAST[2:]
"""The plan moves no traffic."""


@contextlib.contextmanager
def sealing(both: Both) -> Iterator[None]:
    """West's worker seals what is decided about there."""
    place, stop = both.west, threading.Event()
    made = Sealer(
        place.databases["west"].dsn,
        place.store,
        plan=place.plan,
        site="west",
        clock=now,
        seconds=0.1,
        max_rows=40,
    )
    thread = threading.Thread(target=made.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def lose_and_take_over(both: Both) -> None:
    """East has rows that are in no segment; west acts in its place."""
    with psycopg.connect(both.west.databases["east"].dsn, autocommit=True) as connection:
        record(
            connection,
            [row._replace(site="east") for row in random_rows(STRANDED, 2, epoch=1)],
        )
    both.west_operator.start()
    both.west.run("take-over", statement={"text": STATEMENT})
    status = both.west.wait_state("take-over", "Succeeded", "Failed", "WaitingForApproval")
    assert status["state"] == "Succeeded", json.dumps(status, indent=1)
    both.west_operator.kill()


@pytest.mark.more
def test_the_store_is_gone_in_each_step_at_the_site_that_makes_it(both: Both) -> None:
    lose_and_take_over(both)
    both.east.run("give-back", "Failback")
    with sealing(both), outages(driver="east", east=both.east, west=both.west) as away:
        away.start(both.west_operator, "west")
        away.start(both.east_operator, "east")
        found = moments(RunKind.FAILBACK, driver="east", other="west", skipped=("Wake", "Route"))
        found |= {f"requests/{number:04d}/answer": "west" for number in range(1, 6)}
        status = away.go_through("give-back", found, number=2)
        both.east_operator.kill()
        both.west_operator.kill()
    assert_each_step_made_once(status)
    assert both.requests(2) == ["Reconcile", "Quiesce", "Seal", "RecoverSpooled", "Standby"]
    assert both.west.jobs.commands()[-3:] == ["Reconcile", "Quiesce", "RecoverSpooled"]
    held = highest(both.west.store, both.west.plan)
    assert held is not None
    assert (held.site, held.epoch) == ("east", 3)
    reconciled = runs.read_result(both.west.store, both.west.plan, 2, "Reconcile")
    assert reconciled is not None
    stranded = reconciled.figures["stranded"]
    assert (stranded["rows"], stranded["accounted"]) == (STRANDED, STRANDED)
    west, east = (tables(both.west.databases[site].dsn) for site in ("west", "east"))
    assert west == east


def test_a_failback_whose_operators_die_everywhere_ends_as_one_whose_operators_live(
    both: Both,
) -> None:
    lose_and_take_over(both)
    for place in (both.east, both.west):
        place.jobs.alone = True
    both.west.jobs.held = lambda job: job.startswith("give-back-recover-spooled")
    both.east.run("give-back", "Failback")
    died: Counter[str] = Counter()

    def last_step() -> bool:
        return both.east.steps("give-back").get("StandDown") == "Running"

    with sealing(both):
        both.west_operator.start()
        for point in itertools.cycle((*DRIVING, *REQUESTS)):
            if last_step():
                break
            both.east_operator.start(point)
            until(
                lambda: not both.east_operator.alive or last_step(),
                seconds=90,
                what=f"an operator dies at {point}",
            )
            if both.east_operator.alive:
                both.east_operator.kill()
                break
            died[point] += 1
        both.east_operator.start()
        both.west_operator.kill()
        both.west.jobs.held = lambda job: False
        both.west_operator.start(ANSWERS[0])
        both.west_operator.wait_killed(seconds=90)
        both.east_operator.kill()
        both.west_operator.start()
        for point in ENDING:
            both.east_operator.start(point)
            both.east_operator.wait_killed(seconds=90)
            died[point] += 1
        both.east_operator.start()
        status = both.east.wait_state("give-back", *ENDED, seconds=90)
    missed = {*DRIVING, *REQUESTS, *ENDING} - died.keys()
    assert not missed, f"nobody died at {missed}"
    assert_each_step_made_once(status)
    assert both.requests(2) == ["Reconcile", "Quiesce", "Seal", "RecoverSpooled", "Standby"]
    ran = Counter(each.job for place in (both.east, both.west) for each in place.jobs.ran)
    assert set(ran.values()) == {1}, "a pod for each attempt"
    held = highest(both.west.store, both.west.plan)
    assert held is not None
    assert (held.site, held.epoch) == ("east", 3)
    reconciled = runs.read_result(both.west.store, both.west.plan, 2, "Reconcile")
    assert reconciled is not None
    stranded = reconciled.figures["stranded"]
    assert (stranded["rows"], stranded["accounted"]) == (STRANDED, STRANDED)
    west, east = (tables(both.west.databases[site].dsn) for site in ("west", "east"))
    assert west == east
