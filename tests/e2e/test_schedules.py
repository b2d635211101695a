"""Seeded schedules of runs and faults on the lab. More of them: `make chaos-lab SEED=1 RUNS=10`."""

from __future__ import annotations

import pytest

from tests.e2e.schedules import play, schedule
from tests.e2e.sites import Sites

# The first test of the lab waits for the whole demo.
pytestmark = [pytest.mark.e2e, pytest.mark.more, pytest.mark.timeout(2000)]


@pytest.mark.parametrize("seed", [2, 10])
def test_everything_is_as_promised_after_the_schedule_of_seed(sites: Sites, seed: int) -> None:
    """A failover from a site that is cut off, and the failback; inside them operators and a worker
    are killed, and a site is cut off for a while."""
    for act in schedule(seed):
        print(act)
    print(play(sites, seed))
