"""How many rows the tables have that chains bring: a cheap comparison of two sites at one point."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, sql

from wayfare_engine.projections.digests import COVERED


def counts(connection: Connection[Any]) -> dict[str, int]:
    """Rows by table, all of one moment. Reads the smallest index of each table."""
    query = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {}, count(*) FROM {}").format(
            sql.Literal(name), sql.Identifier("wayfare", name)
        )
        for name in COVERED
    )
    return {str(name): int(rows) for name, rows in connection.execute(query)}
