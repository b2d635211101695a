"""Two sites' PostgreSQL and one object store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.servers.objects import ObjectServer, running_objects
from tests.servers.postgresql import PostgresqlServer, running_postgresql
from wayfare_engine.objectstore import ObjectStore, open_store


@pytest.fixture(scope="package")
def first_server() -> Iterator[PostgresqlServer]:
    with running_postgresql() as started:
        yield started


@pytest.fixture(scope="package")
def second_server() -> Iterator[PostgresqlServer]:
    with running_postgresql() as started:
        yield started


@pytest.fixture(scope="package")
def objects() -> Iterator[ObjectServer]:
    with running_objects() as started:
        yield started


@pytest.fixture
def s3(objects: ObjectServer) -> ObjectStore:
    """An empty place in a real S3 store."""
    return open_store(objects.url(), options=objects.options)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """An empty store of files."""
    return open_store(f"file://{tmp_path}/store")


@pytest.fixture
def here(first_server: PostgresqlServer) -> Iterator[psycopg.Connection[Any]]:
    """The first site: an empty schema."""
    with psycopg.connect(first_server.database(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def there(second_server: PostgresqlServer) -> Iterator[psycopg.Connection[Any]]:
    """The second site: an empty schema."""
    with psycopg.connect(second_server.database(), autocommit=True) as connection:
        yield connection
