"""What last went wrong with sealing, where every process of the site can read it."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection


def keep(connection: Connection[Any] | None, error: Exception, at: datetime) -> None:
    """Write it down if the connection works; it says since when the present problem lasts."""
    if connection is None or connection.closed:
        return
    message = str(error) or type(error).__name__
    with contextlib.suppress(psycopg.Error):
        connection.execute(
            "INSERT INTO wayfare.sealing_problem (kind, message, since) VALUES (%s, %s, %s) "
            "ON CONFLICT (single) DO UPDATE SET kind = excluded.kind, message = excluded.message, "
            "since = CASE WHEN sealing_problem.kind = excluded.kind THEN sealing_problem.since "
            "ELSE excluded.since END",
            (type(error).__name__, message, at),
        )


def clear(connection: Connection[Any] | None) -> None:
    """Sealing works."""
    if connection is not None and not connection.closed:
        with contextlib.suppress(psycopg.Error):
            connection.execute("DELETE FROM wayfare.sealing_problem")


def read(connection: Connection[Any]) -> tuple[str, str, datetime] | None:
    """(class of the error, its text, since when), or None."""
    row = connection.execute("SELECT kind, message, since FROM wayfare.sealing_problem").fetchone()
    return None if row is None else (row[0], row[1], row[2])
