"""A PostgreSQL server whose role may do everything, for what an operator of databases does: other
databases, prepared transactions, backups of the cluster's files and restores of them."""

from __future__ import annotations

import shutil
import time
import unittest.mock
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.servers.postgresql import PostgresqlServer, running_postgresql
from wayfare_engine.store.embedded import postgresql as embedded


class OperatedPostgresql:
    """The server and its files. `server` has the addresses."""

    def __init__(self, server: PostgresqlServer) -> None:
        self.server = server
        self._store = server._store
        self._cluster = Path(self._store.data) / "pgdata"

    def configure(self) -> None:
        """Let the role connect to every database as superuser; restarts."""
        self.server.stop()
        hba = self._cluster / "pg_hba.conf"
        hba.write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        with (self._cluster / "postgresql.auto.conf").open("a") as settings:
            settings.write(
                "max_prepared_transactions = 5\nrestore_command = 'false'\nmax_connections = 200\n"
            )
        install = embedded._reachable(embedded.binaries(), self._store._account)
        self._store._single(install, ["ALTER ROLE wayfare SUPERUSER"])
        self.server.start()

    def back_up(self, into: Path) -> None:
        """Copy the cluster's files as they are after a shutdown; restarts."""
        self.server.stop()
        shutil.copytree(self._cluster, into, symlinks=True)
        self.server.start()

    def restore(self, backup: Path) -> None:
        """Put the files of a backup back, and recover from them into a timeline of their own."""
        self.server.stop()
        owner = self._cluster.stat()
        shutil.rmtree(self._cluster)
        shutil.copytree(backup, self._cluster, symlinks=True)
        (self._cluster / "recovery.signal").touch()
        for path in (self._cluster, *self._cluster.rglob("*")):
            shutil.chown(path, owner.st_uid, owner.st_gid)
        self._cluster.chmod(0o700)
        # The single-user mode that sets the password at each start cannot recover an archive.
        with unittest.mock.patch.object(self._store, "_set_password"):
            self.server.start()
        # It answers queries before it has ended the recovery, read-only until then.
        deadline = time.monotonic() + 60
        with psycopg.connect(self.server.dsn, autocommit=True) as connection:
            while connection.execute("SELECT pg_is_in_recovery()").fetchone() != (False,):
                assert time.monotonic() < deadline, "the restored server is still recovering"
                time.sleep(0.05)


@contextmanager
def operated_postgresql() -> Iterator[OperatedPostgresql]:
    """A server of one's own."""
    with running_postgresql() as server:
        made = OperatedPostgresql(server)
        made.configure()
        yield made
