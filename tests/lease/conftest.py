"""One S3 server and one PostgreSQL for the folder, and what the commands find there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.lease.place import PLAN, Place, event
from tests.lease.test_holder import hold
from tests.servers.faultstore import FaultStore, running_faults
from tests.servers.objects import ObjectServer, running_objects
from tests.servers.postgresql import PostgresqlServer, running_postgresql
from wayfare_engine.clock import now as wall
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.lease.beats import BeatWriter, Figures
from wayfare_engine.ledger import append_rows
from wayfare_engine.objectstore import ObjectStore, open_store


@pytest.fixture(scope="package")
def objects() -> Iterator[ObjectServer]:
    """The S3 server; killed at the end, because nobody needs what is in it."""
    with running_objects() as server:
        yield server
        server.kill()


@pytest.fixture
def faults(objects: ObjectServer) -> Iterator[FaultStore]:
    """A proxy of one's own in front of it."""
    with running_faults(objects) as proxy:
        yield proxy


@pytest.fixture(scope="package")
def server() -> Iterator[PostgresqlServer]:
    """PostgreSQL."""
    with running_postgresql() as started:
        yield started


@pytest.fixture
def dsn(server: PostgresqlServer) -> str:
    """An empty schema."""
    return server.database()


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """An empty store of files."""
    return open_store(f"file://{tmp_path}/store")


@pytest.fixture
def place(objects: ObjectServer, dsn: str) -> Place:
    url = objects.url()
    environment = {
        **objects.options,
        "WAYFARE_OBJECT_STORE_URL": url,
        "WAYFARE_RECOVERY_PLAN": PLAN,
        "WAYFARE_POSTGRESQL_DSN": dsn,
        "WAYFARE_SITE": "west",
        "WAYFARE_LEASE_TTL_SECONDS": "0.6",
        "WAYFARE_HAND_OVER_SECONDS": "0.3",
    }
    return Place(open_store(url, options=objects.options), dsn, environment)


@pytest.fixture
def east(place: Place) -> Place:
    """East holds epoch 1 and has sealed three rows."""
    hold(place.store)
    made = [event("east", 1) for _ in range(3)]
    with psycopg.connect(place.dsn) as connection:
        append_rows(connection, made)
    sealer = Sealer(place.dsn, place.store, plan=PLAN, site="east", clock=wall)
    while not sealer.seal_once():
        pass
    sealer.close()
    return place


@pytest.fixture
def west(east: Place, server: PostgresqlServer) -> Place:
    """The same store, and a database of west that is empty."""
    server.database()
    return east


@pytest.fixture
def beating(west: Place) -> Iterator[None]:
    """East beats all the time."""
    stop = threading.Event()
    figures = Figures(sealed_seq=3, unsealed=0)
    writer = BeatWriter(
        west.store, plan=PLAN, site="east", epoch=1, figures=lambda: figures, now=wall, writer="w"
    )
    writer.beat()
    thread = threading.Thread(target=writer.run, args=(stop, 0.1))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
