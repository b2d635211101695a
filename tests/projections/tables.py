"""Reading and emptying the projections, and rows as the journal has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from psycopg import Connection

from wayfare_engine.ledger import LedgerRow
from wayfare_engine.projections import PROJECTIONS

Tables = dict[str, list[tuple[Any, ...]]]
_ALL = (*(projection.table for projection in PROJECTIONS), "wayfare.id_blocks")


def contents(connection: Connection[Any]) -> Tables:
    """Every table's rows as text, in the order of their text."""
    found: Tables = {}
    for table in _ALL:
        rows = connection.execute(f"SELECT t::text FROM {table} t".encode())
        found[table] = sorted(rows.fetchall())
    return found


def empty(connection: Connection[Any]) -> None:
    connection.execute(f"TRUNCATE {', '.join(_ALL)}".encode())


def as_table(rows: Sequence[LedgerRow]) -> pa.Table:
    """In the journal's columns."""
    return pa.table(
        {
            "id": pa.array([row.id.bytes for row in rows], pa.binary(16)),
            "kind": pa.array([str(row.kind) for row in rows], pa.string()).dictionary_encode(),
            "key": pa.array([row.key for row in rows], pa.string()),
            "version": pa.array([row.version for row in rows], pa.int64()),
            "customer_id": pa.array([row.customer_id for row in rows], pa.string()),
            "at": pa.array([row.at for row in rows], pa.timestamp("us", "UTC")),
            "body": pa.array([row.body for row in rows], pa.string()),
        }
    )
