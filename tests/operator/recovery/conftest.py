"""Two databases, an object store, and a plan in a namespace of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.operator.conftest import Cluster, api_server
from tests.operator.recovery.place import Place, placed
from tests.servers.control import ControlApi
from tests.servers.emptying import empty, remember
from tests.servers.objects import ObjectServer, running_objects
from tests.servers.postgresql import PostgresqlServer, running_postgresql


def _server() -> Iterator[PostgresqlServer]:
    with running_postgresql() as started:
        with psycopg.connect(started.database(), autocommit=True) as connection:
            remember(connection)
        yield started


# One of each for all files: a test empties the databases, has a namespace of its own in the API
# servers, and operators that look at no other.
east_server = pytest.fixture(scope="package")(_server)
west_server = pytest.fixture(scope="package")(_server)
server = pytest.fixture(scope="package")(api_server)
#: For tests in which both sites have an operator.
east_api = pytest.fixture(scope="package")(api_server)


@pytest.fixture(scope="package")
def objects() -> Iterator[ObjectServer]:
    """The S3 server; killed at the end, because nobody needs what is in it."""
    with running_objects() as server:
        yield server
        server.kill()


@pytest.fixture
def place(
    cluster: Cluster,
    control: ControlApi,
    objects: ObjectServer,
    east_server: PostgresqlServer,
    west_server: PostgresqlServer,
    tmp_path: Path,
) -> Iterator[Place]:
    """East acts, and has shipped all that it wrote; west stands by."""
    for server in (east_server, west_server):
        empty(server.dsn)
    databases = {"east": east_server, "west": west_server}
    with placed(Place(cluster, control, objects, databases, tmp_path)) as made:
        made.east_acts()
        made.make_engine()
        yield made
