"""The pod of a step is taken away: its node is drained, or has no memory left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.operator.recovery.place import STATEMENT, Place
from tests.servers.operating import operating
from tests.servers.wait import until
from wayfare_engine import runs

pytestmark = pytest.mark.contract

SAID = "Eviction API: evicting"


@pytest.mark.parametrize("step", ["CatchUp", "TakeEpoch"])
def test_a_pod_that_is_evicted_is_named_and_its_step_tried_again(
    place: Place, tmp_path: Path, step: str
) -> None:
    """No controller starts it anew by itself: that is a person's word, or two could be at it."""
    job = {"CatchUp": "take-over-catch-up-1", "TakeEpoch": "take-over-take-epoch-1"}[step]
    place.jobs.alone = True
    place.jobs.held = lambda name: name == job
    with operating(place.operator(tmp_path / "operator")) as operator:
        operator.start()
        place.run("take-over", statement={"text": STATEMENT})
        until(lambda: place.steps("take-over").get(step) == "Running", what=f"{step} runs")
        until(lambda: place.cluster.get("jobs", job, "/apis/batch/v1"), what="its Job")
        place.jobs.evict(job, SAID)
        status = place.wait_state("take-over", "Failed")
        (seen,) = (each for each in status["steps"] if each["name"] == step)
        assert seen["attempt"] == 1
        assert seen["message"] == f"pod {job}-pod was taken away: {SAID}"
        place.jobs.evicted(job)
        place.approve("again", "take-over", step, "Retry")
        place.wait_state("take-over", "Succeeded")
    assert len(runs.attempts(place.store, place.plan, 1, step)) == 2
    assert place.jobs.commands().count(step) == 1
