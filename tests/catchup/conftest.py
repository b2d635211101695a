"""Two PostgreSQL servers, `live` and `dr`, emptied for each test, and a folder as the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.catchup.databases import reset
from tests.servers.postgresql import PostgresqlServer, running_postgresql
from wayfare_engine.objectstore import ObjectStore, open_store


@pytest.fixture(scope="package")
def live_server() -> Iterator[PostgresqlServer]:
    """Where a site writes and seals."""
    with running_postgresql() as started:
        started.database()
        yield started


@pytest.fixture(scope="package")
def dr_server() -> Iterator[PostgresqlServer]:
    """Where the other site catches up."""
    with running_postgresql() as started:
        started.database()
        yield started


@pytest.fixture
def live(live_server: PostgresqlServer) -> str:
    """The database that writes and seals, empty."""
    return reset(live_server.dsn)


@pytest.fixture
def dr(dr_server: PostgresqlServer) -> str:
    """The database that catches up, empty."""
    return reset(dr_server.dsn)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """An empty folder as a store."""
    return open_store(f"file://{tmp_path}/store")
