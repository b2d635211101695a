"""One S3 server and one PostgreSQL for the folder, and two databases for two sites."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.faultstore import FaultStore, running_faults
from tests.servers.objects import ObjectServer, running_objects
from tests.servers.postgresql import PostgresqlServer, running_postgresql
from wayfare_engine.objectstore import ObjectStore, open_store


@pytest.fixture(scope="package")
def objects() -> Iterator[ObjectServer]:
    """The S3 server; killed at the end, because nobody needs what is in it."""
    with running_objects() as server:
        yield server
        server.kill()


@pytest.fixture
def faults(objects: ObjectServer) -> Iterator[FaultStore]:
    """A proxy of one's own in front of it."""
    with running_faults(objects) as proxy:
        yield proxy


@pytest.fixture(scope="package")
def server() -> Iterator[PostgresqlServer]:
    """PostgreSQL."""
    with running_postgresql() as started:
        yield started


@pytest.fixture
def dsn(server: PostgresqlServer) -> str:
    """An empty schema."""
    return server.database()


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """An empty store of files."""
    return open_store(f"file://{tmp_path}/store")
