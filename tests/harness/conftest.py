"""The two sites' servers, started once for the folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.sites import Run, TwoSites, two_sites


@pytest.fixture(scope="package")
def sites() -> Iterator[TwoSites]:
    with two_sites() as started:
        yield started


@pytest.fixture
def run(sites: TwoSites, tmp_path: Path) -> Iterator[Run]:
    with sites.run(tmp_path) as made:
        yield made
