"""A connection a thread, for hosts that are asked from several and answer from the database."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
from psycopg import Connection


class OwnLine(threading.local):
    """Each thread has its own connection to `dsn`, in autocommit mode, made when it asks first."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Connection[Any] | None = None

    def connection(self) -> Connection[Any]:
        """This thread's. Raises psycopg.Error."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._dsn, autocommit=True)
        return self._connection

    def close(self) -> None:
        """Close this thread's: another is made when it is asked for again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
