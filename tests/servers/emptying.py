"""A schema as it was just after the migrations, in a tenth of the time that they take."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from psycopg import Connection, sql

#: Kept in the server's own comments, so that it lasts as long as the schema.
_TABLES = """
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relnamespace = 'wayfare'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY 1
"""

_LEDGER = """
SELECT 'wayfare.ledger' UNION ALL SELECT inhrelid::regclass::text FROM pg_inherits
WHERE inhparent = 'wayfare.ledger'::regclass
"""
#: Bit 32 of `tgtype` says TRUNCATE.
_TRIGGERS = """
SELECT tgrelid::regclass::text, tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
WHERE c.relnamespace = 'wayfare'::regnamespace AND tgtype & 32 <> 0 AND NOT tgisinternal
"""


def remember(connection: Connection[Any]) -> None:
    """Called once after the migrations: what rows they put where."""
    rows = {}
    for (table,) in connection.execute(_TABLES).fetchall():
        found = connection.execute(
            sql.SQL("SELECT coalesce(json_agg(t), '[]') FROM {} t").format(_named(table))
        ).fetchone()
        if found and found[0]:
            rows[table] = found[0]
    connection.execute(
        sql.SQL("COMMENT ON SCHEMA wayfare IS {}").format(sql.Literal(json.dumps(rows)))
    )


def empty(dsn: str) -> None:
    """Every table as `remember` found it. Nobody else may be using the database."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT obj_description('wayfare'::regnamespace, 'pg_namespace')"
        ).fetchone()
        assert found is not None
        initial = json.loads(found[0])
        every = [table for (table,) in connection.execute(_TABLES).fetchall()]
        # Only those with rows: TRUNCATE makes a file anew for each table and index.
        used = connection.execute(
            sql.SQL(" UNION ALL ").join(
                sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(t, _named(t))
                for t in every
            )
        ).fetchall()
        tables = [_named(table) for (table,) in used]
        # The engine's own role may not do this, and its owner may say that it may.
        ledger = [_named(name) for (name,) in connection.execute(_LEDGER).fetchall()]
        guarded = sql.SQL(", ").join(ledger)
        connection.execute(sql.SQL("GRANT TRUNCATE ON {} TO CURRENT_USER").format(guarded))
        triggers = [
            (_named(table), sql.Identifier(name))
            for table, name in connection.execute(_TRIGGERS).fetchall()
        ]
        for change in ("DISABLE", "ENABLE"):
            for table, name in triggers:
                connection.execute(
                    sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(table, sql.SQL(change), name)
                )
            if change == "DISABLE":
                connection.execute(
                    sql.SQL("TRUNCATE {} RESTART IDENTITY").format(sql.SQL(", ").join(tables))
                )
        connection.execute(sql.SQL("REVOKE TRUNCATE ON {} FROM CURRENT_USER").format(guarded))
        for table, rows in initial.items():
            connection.execute(
                sql.SQL(
                    "INSERT INTO {0} SELECT * FROM json_populate_recordset(NULL::{0}, %s)"
                ).format(_named(table)),
                (json.dumps(rows),),
            )


def _named(table: str) -> sql.Composable:
    return sql.Identifier(*table.replace('"', "").split("."))
