"""Two sites' databases, emptied for each test, one S3 server, and the steps as commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.recovery_steps.place import Sites
from tests.servers.emptying import empty, remember
from tests.servers.faultstore import running_faults
from tests.servers.objects import ObjectServer, running_objects
from tests.servers.postgresql import PostgresqlServer, running_postgresql


def _server() -> Iterator[PostgresqlServer]:
    with running_postgresql() as started:
        with psycopg.connect(started.database(), autocommit=True) as connection:
            remember(connection)
        yield started


east_server = pytest.fixture(scope="package")(_server)
west_server = pytest.fixture(scope="package")(_server)
spare_server = pytest.fixture(scope="package")(_server)


@pytest.fixture(scope="package")
def objects() -> Iterator[ObjectServer]:
    """The S3 server; killed at the end, because nobody needs what is in it."""
    with running_objects() as server:
        yield server
        server.kill()


@pytest.fixture
def sites(
    east_server: PostgresqlServer,
    west_server: PostgresqlServer,
    objects: ObjectServer,
    tmp_path: Path,
) -> Iterator[Sites]:
    """East acts under epoch 1; nothing is written yet."""
    for server in (east_server, west_server):
        empty(server.dsn)
    with running_faults(objects) as faults:
        made = Sites({"east": east_server, "west": west_server}, objects, faults, tmp_path)
        made.east_acts()
        try:
            yield made
        finally:
            for site in made.servers:
                made.restore(site)


@pytest.fixture
def spare(spare_server: PostgresqlServer) -> str:
    """An empty database, for a rebuild from the chains."""
    empty(spare_server.dsn)
    return spare_server.dsn
