"""Seeded schedules of faults over two sites; and that what they look for is found when it is there.

More of them: `make chaos SEED=1 RUNS=300`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.run import ScheduleFailed, run_schedule, run_steps
from tests.chaos.schedule import Step, schedule
from tests.harness.site import Broken
from tests.harness.sites import TwoSites

#: The first of them always, the others where there is time.
SEEDS = [*range(1, 5), *(pytest.param(seed, marks=pytest.mark.more) for seed in range(5, 21))]


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_is_as_promised_after_the_schedule_of_seed(
    seed: int, sites: TwoSites, tmp_path: Path
) -> None:
    assert run_schedule(sites, seed, tmp_path)["rows"] > 0


def test_the_same_seed_gives_the_same_schedule() -> None:
    seeds = range(1, 21)
    for seed in seeds:
        assert schedule(seed) == schedule(seed)
    assert len({str(schedule(seed)) for seed in seeds}) == len(seeds)


def test_every_kind_of_fault_is_drawn() -> None:
    steps = [step for seed in range(1, 301) for step in schedule(seed)]
    assert {step.do for step in steps} == {
        "cut",
        "crash",
        "crash_postgresql",
        "first",
        "heal",
        "kill",
        "listen",
        "lose",
        "new_disk",
        "receiver_fault",
        "refuse",
        "restart_host",
        "resume",
        "store_fault",
        "suspend",
        "take",
    }
    at_store = {step.arguments[1] for step in steps if step.do == "store_fault"}
    assert at_store == {"delay", "refuse", "drop", "cut", "hold"}


LOST_ANSWERS = Step(0.1, "receiver_fault", ("None", "lost", 3, 0.0))
BROKEN: dict[Broken, tuple[str, list[Step]]] = {
    # East goes on for as long as its right lasts, and can put nothing into the store.
    "journal": (
        "P2: handed over, and its dispatch is not there",
        [
            Step(0.1, "until_handed_over", ("east",)),
            Step(0.2, "cut", ("east", "refused")),
            Step(0.8, "take", ("west", None)),
            Step(0.9, "heal", ("east",)),
        ],
    ),
    # A sender of east's stops after its guard held, and goes on when west has long been at work.
    "window": (
        "P3: after a start of epoch 2",
        [
            Step(0.1, "crash", ("east", "sender-1", "outbox.hand_over.before:2!stop")),
            Step(0.2, "until_stopped", ("east", "sender-1")),
            Step(0.3, "take", ("west", None)),
            Step(0.4, "until_handed_over", ("west",)),
            Step(0.5, "resume", ("east", "sender-1")),
            Step(1.5, "until_handed_over", ("west",)),
        ],
    ),
    "dedupe": (
        "P1: None: took effect more than once",
        [LOST_ANSWERS, Step(1.5, "heal", ("east",))],
    ),
    "key": (
        "P1: one visit, more than one send",
        # Of so many firings some are of visits that were fired before.
        [Step(1.0, "take", ("west", None)), Step(1.1, "until_written", ("west", 150))],
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_safeguard_that_is_missing_is_found(
    broken: Broken, sites: TwoSites, tmp_path: Path
) -> None:
    finding, steps = BROKEN[broken]
    with pytest.raises(ScheduleFailed, match=finding):
        run_steps(sites, 0, [Step(0.0, "first", ("east",)), *steps], tmp_path, broken=broken)


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.more
def test_with_every_safeguard_the_same_steps_keep_all_promises(
    broken: Broken, sites: TwoSites, tmp_path: Path
) -> None:
    run_steps(sites, 0, [Step(0.0, "first", ("east",)), *BROKEN[broken][1]], tmp_path)
