"""The rows that differences are about, as their database has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from psycopg import Connection, sql

from wayfare_engine.projections.digests.covered import Covered
from wayfare_engine.projections.digests.hashing import key_hash, row_hash


class Found(NamedTuple):
    """A row as it is now: its hash, and its columns."""

    digest: str
    columns: dict[str, Any]


def find(
    connection: Connection[Any], table: Covered, wanted: Sequence[tuple[str, str | None]]
) -> dict[str, Found]:
    """The rows whose keys have these hashes: `wanted` has (hash, `ctid` at which it was, if known).

    First where they were; those that are not there (any more) by reading the table once.
    `hashing.prepare` was called on the session. Raises psycopg.Error.
    """
    places = [ctid for _, ctid in wanted if ctid is not None]
    keys = {key for key, _ in wanted}
    found: dict[str, Found] = {}
    if places:
        found = _read(connection, table, sql.SQL("t.ctid = ANY(%s::tid[])"), places)
        found = {key: row for key, row in found.items() if key in keys}
    missing = [bytes.fromhex(key) for key in sorted(keys - found.keys())]
    if missing:
        where = sql.SQL("{} = ANY(%s)").format(key_hash(table))
        found |= _read(connection, table, where, missing)
    return found


def _read(
    connection: Connection[Any], table: Covered, where: sql.Composable, given: list[Any]
) -> dict[str, Found]:
    columns = sql.SQL(", ").join(
        sql.SQL("t.{}").format(sql.Identifier(name)) for name in table.columns
    )
    query = sql.SQL(
        "SELECT encode({}, 'hex'), encode({}, 'hex'), (SELECT to_json(r) FROM (SELECT {}) r) "
        "FROM wayfare.{} t WHERE {}"
    ).format(key_hash(table), row_hash(table), columns, sql.Identifier(table.name), where)
    return {
        key: Found(digest, row)
        for key, digest, row in connection.execute(query, (given,)).fetchall()
    }
