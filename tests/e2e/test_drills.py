"""Drills back to back, while production serves. Latencies are measured by `make soak-drills`, on a
machine with nothing else to do."""

from __future__ import annotations

import pytest

from tests.e2e.drills import rehearse
from tests.e2e.sites import Sites

# The first test of the lab waits for the whole demo.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2000)]


def test_three_drills_send_nothing_and_leave_nothing(sites: Sites) -> None:
    found = rehearse(sites, 3, between=5.0, apart=False)
    print(found.told())
    assert len(found.seconds) == 3
    assert found.sent == 0
    assert not found.grown()
