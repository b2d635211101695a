"""The canonical hash of a row, computed by PostgreSQL.

A hash is the first 16 bytes of SHA-256 over what `record_send` gives: the number of values, and of
each its type, its length (-1: null) and its binary form. That is the same on every version and
platform: numbers are big-endian, times are microseconds UTC since 2000, text and json are their
bytes in UTF-8. Neither collation, time zone nor any other setting matters, except
`client_encoding`, which `prepare` sets. SHA-256 and not MD5, which PostgreSQL refuses where OpenSSL
runs in FIPS mode.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from psycopg import Connection, sql

from wayfare_engine.projections.digests.covered import Covered
from wayfare_engine.projections.digests.layout import ENTRY, Array

#: Bytes of a table that one statement reads: some 50,000 rows.
_AT_ONCE: Final = 8 << 20


def prepare(connection: Connection[Any]) -> None:
    """Settings of the session that hashes and shows rows."""
    connection.execute("SET client_encoding = 'UTF8'")
    connection.execute("SET TimeZone = 'UTC'")
    # A statement is one range of pages: planning it as a parallel one costs more than it brings.
    connection.execute("SET max_parallel_workers_per_gather = 0")


def key_hash(table: Covered) -> sql.Composable:
    """The hash of a row's key, of a table that is called `t`."""
    return _hash(table.key)


def row_hash(table: Covered) -> sql.Composable:
    """The hash of a row, of a table that is called `t`."""
    return _hash(table.columns)


def _hash(columns: Sequence[str]) -> sql.Composable:
    return sql.SQL("substr(sha256(record_send(ROW({}))), 1, 16)").format(
        sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in columns)
    )


def entries(connection: Connection[Any], table: Covered) -> Iterator[tuple[int, int, Array]]:
    """(pages read, pages in all, entries) of ranges of pages, in no order of keys.

    The table is read once, in the caller's transaction, which is one snapshot. A part is some
    50,000 rows. Raises psycopg.Error.
    """
    query = sql.SQL(
        "SELECT string_agg({} || {} || tidsend(t.ctid), ''::bytea) FROM wayfare.{} t "
        "WHERE t.ctid >= {} AND t.ctid < {}"
    )
    pages, page = _pages(connection, table)
    step = max(1, _AT_ONCE // page)
    for start in range(0, pages, step):
        row = connection.execute(
            query.format(
                key_hash(table),
                row_hash(table),
                sql.Identifier(table.name),
                sql.Literal(f"({start},0)"),
                sql.Literal(f"({min(start + step, 2**32 - 2)},0)"),
            ),
            binary=True,
        ).fetchone()
        found = row[0] if row is not None and row[0] is not None else b""
        yield min(start + step, pages), pages, np.frombuffer(found, ENTRY)


def _pages(connection: Connection[Any], table: Covered) -> tuple[int, int]:
    row = connection.execute(
        "SELECT pg_relation_size(%s), current_setting('block_size')::int",
        (f"wayfare.{table.name}",),
    ).fetchone()
    assert row is not None, "a function returns one row"
    return -(-int(row[0]) // int(row[1])), int(row[1])
