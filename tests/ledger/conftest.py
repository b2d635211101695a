"""One PostgreSQL for the folder; every test has an emptied schema, or a row factory over it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.postgresql import PostgresqlServer, running_postgresql


@pytest.fixture(scope="package")
def server() -> Iterator[PostgresqlServer]:
    with running_postgresql() as started:
        yield started


@pytest.fixture(scope="module")
def dsn(server: PostgresqlServer) -> str:
    """An empty schema, shared by a module whose tests do not disturb each other."""
    return server.database()


@pytest.fixture
def own_dsn(server: PostgresqlServer) -> str:
    """An empty schema for one test."""
    return server.database()
