"""More seeds of faults over two sites, last of all tests: left out when their time is over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.run import run_schedule
from tests.harness.sites import TwoSites

pytestmark = pytest.mark.more

SEEDS = range(5, 21)


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_is_as_promised_after_the_schedule_of_seed(
    seed: int, sites: TwoSites, tmp_path: Path
) -> None:
    assert run_schedule(sites, seed, tmp_path)["rows"] > 0
