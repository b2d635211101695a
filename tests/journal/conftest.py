"""One PostgreSQL and one S3 server for the folder; a schema and a place in a store a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journal.making import put_format, reframed
from tests.journal.superuser import OperatedPostgresql, operated_postgresql
from tests.servers.objects import ObjectServer, running_objects
from tests.servers.postgresql import PostgresqlServer, running_postgresql
from wayfare_engine.objectstore import ObjectStore, open_store


@pytest.fixture(scope="package")
def server() -> Iterator[PostgresqlServer]:
    with running_postgresql() as started:
        yield started


@pytest.fixture(scope="package")
def operated() -> Iterator[OperatedPostgresql]:
    """A second server, for what a superuser does."""
    with operated_postgresql() as started:
        yield started


@pytest.fixture(scope="package")
def objects() -> Iterator[ObjectServer]:
    with running_objects() as started:
        yield started


@pytest.fixture
def dsn(server: PostgresqlServer) -> str:
    """An empty schema for one test."""
    return server.database()


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """An empty folder as a store."""
    return open_store(f"file://{tmp_path}/store")


@pytest.fixture(scope="package")
def newer() -> bytes:
    """A segment as a later version of this program may write it: the frame is the same."""
    return reframed(put_format(2))
