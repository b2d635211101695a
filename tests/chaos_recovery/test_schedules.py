"""Seeded schedules of recovery runs and faults, by real operators on real API servers.

More of them: `make chaos-recovery SEED=1 RUNS=300`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos_recovery.run import run_schedule
from tests.chaos_recovery.schedule import STORIES, schedule
from tests.chaos_recovery.stage import Stage

#: The first of them always, the others where there is time.
SEEDS = [*range(1, 3), *(pytest.param(seed, marks=pytest.mark.more) for seed in range(3, 21))]


@pytest.mark.contract
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
def test_everything_is_as_promised_after_the_runs_of_seed(
    seed: int, stage: Stage, tmp_path: Path
) -> None:
    assert run_schedule(stage, seed, tmp_path)["rows"] > 0


def test_the_same_seed_gives_the_same_schedule() -> None:
    seeds = range(1, 301)
    for seed in seeds:
        assert schedule(seed) == schedule(seed)
    assert len({str(schedule(seed)) for seed in seeds}) > 200


def test_every_story_and_every_kind_of_fault_is_drawn() -> None:
    drawn = [schedule(seed) for seed in range(1, 301)]
    assert {tuple((act.kind, act.target) for act in acts) for acts in drawn} == set(STORIES)
    acts = [act for found in drawn for act in found]
    assert {act.loss for act in acts} == {"", "lost", "cut"}
    assert any(act.abandon for act in acts)
    assert {fault.do for act in acts for fault in act.faults} == {
        "crash_job",
        "crash_operator",
        "crash_postgresql",
        "cut",
        "hang_job",
        "kill_operator",
        "kill_pod",
    }
