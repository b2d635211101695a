"""One S3 server for the folder, and a proxy in front of it for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.faultstore import FaultStore, running_faults
from tests.servers.objects import ObjectServer, running_objects
from wayfare_engine.objectstore import ObjectStore, open_store


@pytest.fixture(scope="package")
def objects() -> Iterator[ObjectServer]:
    """The server."""
    with running_objects() as server:
        yield server


@pytest.fixture
def faults(objects: ObjectServer) -> Iterator[FaultStore]:
    """A proxy of one's own."""
    with running_faults(objects) as proxy:
        yield proxy


@pytest.fixture
def url(objects: ObjectServer) -> str:
    """An empty place of one's own."""
    return objects.url()


@pytest.fixture
def direct(objects: ObjectServer, url: str) -> ObjectStore:
    """The place, without the proxy."""
    return open_store(url, options=objects.options)


@pytest.fixture
def store(faults: FaultStore, url: str) -> ObjectStore:
    """The place through the proxy, as a lease's client: no retries, a short timeout."""
    return open_store(url, options=faults.options("a"), retries=0, timeout_seconds=3.0)
