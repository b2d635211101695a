"""One S3 server for the folder, and an empty prefix of it for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.report.place import Place
from tests.servers.objects import ObjectServer, running_objects


@pytest.fixture(scope="package")
def objects() -> Iterator[ObjectServer]:
    """The S3 server; killed at the end, because nobody needs what is in it."""
    with running_objects() as server:
        yield server
        server.kill()


@pytest.fixture
def place(objects: ObjectServer) -> Place:
    """An empty store, and how commands find it."""
    return Place.of(objects)
