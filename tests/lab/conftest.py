"""Sites for the lab's own tests, some of which take the lab down: each test asks anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.workloads import load_image
from tests.servers.lab import LabSession, LabSite


@pytest.fixture
def site(lab: LabSession, tmp_path: Path) -> LabSite:
    """Site east, up and ready, with the test server's image."""
    east = lab.site("east")
    load_image(east, tmp_path)
    return east


@pytest.fixture
def two_sites(lab: LabSession) -> tuple[LabSite, LabSite]:
    """Sites east and west, up and ready."""
    return lab.site("east"), lab.site("west")


@pytest.fixture
def namespace(site: LabSite) -> str:
    """A new namespace at site east."""
    return site.namespace()
