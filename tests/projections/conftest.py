"""One PostgreSQL for the folder; each test takes the schema afresh."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.postgresql import PostgresqlServer, running_postgresql


@pytest.fixture(scope="package")
def postgresql() -> Iterator[PostgresqlServer]:
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def dsn(postgresql: PostgresqlServer) -> str:
    """A migrated schema, for the module."""
    return postgresql.database()
