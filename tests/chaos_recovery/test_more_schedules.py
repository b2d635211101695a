"""More seeds of recovery runs and faults, last of all tests: left out when their time is over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos_recovery.run import run_schedule
from tests.chaos_recovery.stage import Stage

pytestmark = pytest.mark.more

SEEDS = range(3, 21)


@pytest.mark.contract
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
def test_everything_is_as_promised_after_the_runs_of_seed(
    seed: int, stage: Stage, tmp_path: Path
) -> None:
    assert run_schedule(stage, seed, tmp_path)["rows"] > 0
