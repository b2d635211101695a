"""The site that takes over has a wall clock that is wrong by 30 s: its operator, and its Jobs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.operator.recovery.place import HAND_OVER, STATEMENT, TTL, Place
from tests.servers.faultstore import running_faults
from tests.servers.operating import operating
from tests.servers.wallclock import off_by
from wayfare_engine import runs
from wayfare_engine.clock import now
from wayfare_engine.lease import Terms, highest

pytestmark = pytest.mark.contract

WRONG = 30


@pytest.mark.parametrize("seconds", [WRONG, pytest.param(-WRONG, marks=pytest.mark.more)])
def test_a_failover_at_a_site_whose_clock_is_wrong(
    place: Place, tmp_path: Path, seconds: int
) -> None:
    """It waits as long as it has to, by a clock that nobody sets, and its recovery time is no
    shorter than what it took itself."""
    wrong = off_by(seconds, tmp_path)
    with running_faults(place.objects) as watched:
        place.jobs.extra = {**place.jobs.extra, **wrong}
        place.jobs.secrets = {**place.jobs.secrets, "vault": watched.options("west")}
        settings = wrong | watched.options("west")
        place.run("take-over", statement={"text": STATEMENT})
        with operating(place.operator(tmp_path / "operator", **settings)) as operator:
            operator.start()
            status = place.wait_state("take-over", "Succeeded", "Failed", "WaitingForApproval")
        put_at = watched.put_at()
    assert status["state"] == "Succeeded", json.dumps(status, indent=1)
    # By the clock of the proxy that both objects came through.
    (taken,) = (at for path, at in put_at.items() if f"/lease/{place.plan}/" in path)
    (waited,) = (at for path, at in put_at.items() if path.endswith("/FenceWait/result"))
    assert waited - taken >= Terms(TTL, 0.001, HAND_OVER).wait

    held = highest(place.store, place.plan)
    assert held is not None
    assert (held.site, held.epoch) == ("west", 2)
    assert (held.at - now()).total_seconds() == pytest.approx(seconds, abs=25), "it was not wrong"
    began = runs.attempts(place.store, place.plan, 1, "Precheck")[0].at
    served = runs.read_result(place.store, place.plan, 1, "VerifyServing")
    assert served is not None
    assert status["rto"]["seconds"] >= round((served.ended_at - began).total_seconds(), 1) > 0
