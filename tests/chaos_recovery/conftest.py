"""Two API servers with their operators, started once for the folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos_recovery.stage import Stage, staged


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("api")) as started:
        yield started
