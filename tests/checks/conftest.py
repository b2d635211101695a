"""Two servers' databases: `east`, which acts, and `west`, which follows; a folder as the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.servers.emptying import empty, remember
from tests.servers.postgresql import running_postgresql
from wayfare_engine.objectstore import ObjectStore, open_store


@pytest.fixture(scope="package")
def databases() -> Iterator[tuple[str, str]]:
    """Their addresses, migrated."""
    with running_postgresql() as one, running_postgresql() as other:
        for server in (one, other):
            with psycopg.connect(server.database()) as connection:
                remember(connection)
        yield one.dsn, other.dsn


@pytest.fixture
def east(databases: tuple[str, str]) -> str:
    """The acting site's database, empty."""
    empty(databases[0])
    return databases[0]


@pytest.fixture
def west(databases: tuple[str, str]) -> str:
    """The other site's database, empty."""
    empty(databases[1])
    return databases[1]


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """An empty folder as a store."""
    return open_store(f"file://{tmp_path}/store")
