"""Bringing rows back that are in some chain already: they are written here and sealed no more."""

from __future__ import annotations

import uuid
from typing import Any

import pyarrow as pa
from psycopg import Connection

from wayfare_engine.ledger.append import COPY, TYPES


def restore_rows(connection: Connection[Any], rows: pa.Table, *, site: str, epoch: int) -> int:
    """Write rows of a segment (columns `id, kind, key, version, customer_id, at, body`) that this
    database does not have, in the caller's transaction; returns how many.

    They get this transaction's id, and what they change is the caller's to apply. Raises
    psycopg.Error; UniqueViolation when one of them is here.
    """
    connection.execute("SELECT wayfare.enter_restore()")
    names = ("id", "kind", "key", "version", "customer_id", "at", "body")
    with connection.cursor() as cursor, cursor.copy(COPY.encode()) as copy:
        copy.set_types(TYPES)
        for row_id, kind, key, version, customer, at, body in zip(
            *(rows[name].to_pylist() for name in names), strict=True
        ):
            copy.write_row(
                (uuid.UUID(bytes=row_id), site, epoch, kind, key, version, customer, at, body)
            )
    return int(rows.num_rows)
