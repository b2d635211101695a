"""A window with real Jobs over real databases, told by a real operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.catchup.databases import tables
from tests.operator.recovery.place import Place
from tests.servers.operating import operating
from tests.servers.wait import until

pytestmark = pytest.mark.contract

APPS = "/apis/apps/v1"
FAR = [{"name": "yearly", "schedule": "0 3 1 1 *", "duration": "1h"}]


def replicas(place: Place) -> list[int]:
    """Of the engine's Deployments."""
    found = [
        place.cluster.get("deployments", f"bank-{name}", APPS) or {} for name in ("worker", "serve")
    ]
    return [each.get("spec", {}).get("replicas", -1) for each in found]


def test_a_new_standby_applies_the_journal_is_checked_and_sleeps(
    place: Place, tmp_path: Path
) -> None:
    place.make_engine(standby={"mode": "Cold", "windows": FAR})
    with operating(place.operator(tmp_path / "operator")) as operator:
        operator.start()

        def asleep() -> bool:
            assert operator.alive
            status = place.cluster.status("recoveryplans", "dr")
            sites = status.get("sites") or [{}, {}]
            return sites[1].get("state") == "Asleep" and "consistency" in status

        until(asleep, seconds=120, what="the site sleeps, checked")
        assert place.jobs.commands() == ["CatchUp", "Check"]
        assert tables(place.databases["west"].dsn) == tables(place.databases["east"].dsn)
        until(lambda: replicas(place) == [0, 0], what="nothing is up")
        status = place.cluster.status("recoveryplans", "dr")
        assert status["lag"]["rows"] == 0
        # Rows drawn by lot break what a business rests on, and the checks see that; data is whole.
        assert set(status["consistency"]) == {"system", "data", "service", "business"}
        assert all("asOf" in level for level in status["consistency"].values()), (
            "all were looked at"
        )
        assert status["consistency"]["data"]["evidence"].startswith("sha256:")
        ready = place.cluster.condition("recoveryplans", "dr", "ReadyToTakeOver")
        assert ready["status"] == "True", ready
        assert "lag 0 rows" in ready["message"]
        missed = place.cluster.condition("recoveryplans", "dr", "WindowMissed")
        assert (missed["status"], missed["reason"]) == ("False", "WindowDone")
