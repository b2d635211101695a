"""The one session of a site that may seal: a direct connection that holds a session lock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection

from wayfare_engine.errors import MISSING, SaidToPeople
from wayfare_engine.store.postgresql import end_with_client, patient

_LOCK = (0x57465345, 1)  # "WFSE"


@dataclass(eq=False)
class PooledConnection(SaidToPeople):
    """A pooler stands between: a session lock would belong to whoever gets the session next."""

    exit_code = MISSING

    what: str

    def __str__(self) -> str:
        return (
            f"{self.what} needs a direct connection to PostgreSQL, and the address given leads to "
            "a pooler; set WAYFARE_POSTGRESQL_DIRECT_DSN"
        )


def require_direct(connection: Connection[Any], what: str) -> None:
    """Raise PooledConnection, naming what needs it, unless no pooler stands between."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    if row is None or int(row[0]) != connection.info.backend_pid:
        raise PooledConnection(what)


def open_session(dsn: str) -> Connection[Any] | None:
    """An autocommit connection that holds the sealer's lock; None while another one holds it.

    Raises psycopg.Error, PooledConnection.
    """
    connection = psycopg.connect(patient(dsn, "wayfare-sealer"), autocommit=True)
    try:
        end_with_client(connection)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET DateStyle = 'ISO'")
        require_direct(connection, "sealing")
        row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", _LOCK).fetchone()
        if row is not None and row[0]:
            return connection
    except BaseException:
        connection.close()
        raise
    connection.close()
    return None


def sealer_pid(connection: Connection[Any]) -> int | None:
    """The server process of the session that seals this database, if there is one."""
    row = connection.execute(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted "
        "AND classid = %s AND objid = %s AND objsubid = 2 "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        _LOCK,
    ).fetchone()
    return None if row is None else int(row[0])


@contextlib.contextmanager
def kept_out(connection: Connection[Any]) -> Iterator[bool]:
    """Hold the sealer's lock on an autocommit connection, so that nothing is sealed meanwhile;
    False while a sealer has it."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", _LOCK).fetchone()
    held = row is not None and bool(row[0])
    try:
        yield held
    finally:
        if held and not connection.closed and not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s, %s)", _LOCK)
