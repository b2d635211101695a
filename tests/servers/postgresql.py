"""A PostgreSQL that tests start, kill and start again at the same address."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from tests.servers.ports import free_port
from wayfare_engine.store.embedded import EmbeddedPostgresql
from wayfare_engine.store.migrate import migrate


class PostgresqlServer:
    """One cluster; each test takes a database of its own from it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = EmbeddedPostgresql(
            folder / "data", port=free_port(), password="a 'test' password", fast=True
        )

    @property
    def dsn(self) -> str:
        """Address of the server's first database."""
        return self._store.dsn

    def start(self) -> None:
        """Start it, also after `kill`."""
        self._store.start(log=self._folder / "postgresql.log")

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        started = self._store.process
        return started is not None and started.process.poll() is None

    def start_again(self) -> None:
        """Start it unless it runs."""
        if not self.running:
            self.start()

    def kill(self) -> None:
        """SIGKILL."""
        self._store.kill()

    def stop(self) -> int:
        """Fast shutdown."""
        return self._store.stop()

    def database(self) -> str:
        """The address of a schema of one's own: the database is emptied and migrated."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS wayfare CASCADE")
        migrate(self.dsn)
        return make_conninfo(self.dsn, application_name=f"test-{uuid.uuid4().hex[:6]}")


@contextmanager
def running_postgresql() -> Iterator[PostgresqlServer]:
    """A server in a folder of its own, both gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="wayfare-pg-"))
    folder.chmod(0o711)
    server = PostgresqlServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def rows(dsn: str, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """Ask the database itself."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query.encode(), arguments).fetchall()
