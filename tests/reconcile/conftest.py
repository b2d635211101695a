"""Two sites' databases, emptied for each test, and a folder as the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.crash.scenario import Place
from tests.servers.emptying import empty, remember
from tests.servers.postgresql import PostgresqlServer, running_postgresql


def _server() -> Iterator[PostgresqlServer]:
    with running_postgresql() as started:
        with psycopg.connect(started.database(), autocommit=True) as connection:
            remember(connection)
        yield started


east_server = pytest.fixture(scope="package")(_server)
west_server = pytest.fixture(scope="package")(_server)
spare_server = pytest.fixture(scope="package")(_server)


@pytest.fixture
def place(east_server: PostgresqlServer, west_server: PostgresqlServer, tmp_path: Path) -> Place:
    """East's database is `live`, west's is `dr`."""
    empty(east_server.dsn)
    empty(west_server.dsn)
    return Place(east_server.dsn, west_server.dsn, f"file://{tmp_path}/store", tmp_path)


@pytest.fixture
def spare(spare_server: PostgresqlServer) -> str:
    """An empty database, for a rebuild from the chains."""
    empty(spare_server.dsn)
    return spare_server.dsn
