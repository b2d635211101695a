"""SIGKILL at every crash point; then nothing acknowledged is lost and nothing applied twice."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from tests.crash.children import Children
from tests.crash.scenario import Place, Run
from tests.crash.table import CASES, Case
from tests.servers.receivers import Dedupe, Receiver

#: Kills in a run of all cases: each of them is asserted to have happened.
AT_LEAST = 300


@pytest.mark.parametrize("case", CASES, ids=str)
def test_killed_again_and_again(
    case: Case,
    place: Place,
    receivers: dict[Dedupe, Receiver],
    children: Children,
    counts: Counter[str],
) -> None:
    scenario = case.scenario(place)
    scenario.prepare()
    with scenario.beside(receivers):
        for number, passed in enumerate(case.passes):
            scenario.before(number)
            crash = f"{case.point}:{passed}"
            child = children.start(Run(case.scenario, place, passed), crash=crash)
            assert child.wait() == -signal.SIGKILL, f"{crash} was not reached:\n{child.said()}"
            counts["killed"] += 1
            scenario.killed()
        scenario.before(len(case.passes))
        last = children.start(Run(case.scenario, place, 1))
        assert last.wait() == 0, last.said()
    scenario.check()


def test_the_table_kills_often_enough() -> None:
    assert sum(len(case.passes) for case in CASES) >= AT_LEAST
