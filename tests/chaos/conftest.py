"""The two sites' servers, started once for the folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.sites import TwoSites, two_sites


@pytest.fixture(scope="package")
def sites() -> Iterator[TwoSites]:
    with two_sites() as started:
        yield started
