"""Drills back to back while production serves; thirty of them: `make soak-drills`."""

from __future__ import annotations

import pytest

from tests.e2e.drills import rehearse_beside_others
from tests.e2e.sites import Sites

# The first test of the lab waits for the whole demo.
pytestmark = [pytest.mark.e2e, pytest.mark.more, pytest.mark.timeout(2000)]


def test_drills_back_to_back_leave_nothing_and_send_nothing(sites: Sites) -> None:
    """Production answers all the while. How much slower is measured where there is no other
    work."""
    found = rehearse_beside_others(sites, 3)
    print(f"drills of {found.seconds} s; of each kind after each: {found.left}")
    assert all(found.seconds)
    assert all(window.waited for window in found.during)
    assert found.sent == 0
    assert not found.grown()
