"""One S3 server and one PostgreSQL for the folder, and a proxy in front of the store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.objectstore.conftest import direct, faults, objects, store, url
from tests.servers.postgresql import PostgresqlServer, running_postgresql

__all__ = ["direct", "faults", "objects", "store", "url"]


@pytest.fixture(scope="package")
def server() -> Iterator[PostgresqlServer]:
    """PostgreSQL."""
    with running_postgresql() as started:
        yield started


@pytest.fixture
def dsn(server: PostgresqlServer) -> str:
    """An empty schema."""
    return server.database()
