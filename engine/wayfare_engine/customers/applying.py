"""What rows that refer to blobs, and erasures, mean here: registered with the projections.

Rows are applied by reference: the tables name the blob, and `blobs.fetch_missing` brings the few
that still count once a site has caught up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from wayfare_engine.ledger import Kind, bodies
from wayfare_engine.privacy import erasing
from wayfare_engine.projections import BlobRow, register_applier, register_eraser
from wayfare_engine.store import customers as customers_sql
from wayfare_engine.store import memberships as memberships_sql
from wayfare_engine.store.customers import StoredColumn


def register() -> None:
    """Called once by every process that applies rows."""
    register_applier(Kind.LOAD, apply_load)
    register_applier(Kind.SEGMENT_REFRESH, apply_refresh)
    register_eraser("privacy", forget)


def apply_load(connection: Connection[Any], row: BlobRow) -> None:
    """A row `load`: the customers of its version, unless newer ones are here."""
    body = bodies.decode(Kind.LOAD, row.body)
    if body.blob is None or body.columns is None:
        return  # written before loads referred to blobs; there is nothing to refer to
    customers_sql.apply_load(
        connection,
        epoch=row.epoch,
        version=body.customers_version,
        customers=body.customers or 0,
        capacity=body.capacity or 0,
        blob=body.blob,
        columns=[
            StoredColumn(name, kind, name in body.sensitive) for name, kind in body.columns.items()
        ],
    )


def apply_refresh(connection: Connection[Any], row: BlobRow) -> None:
    """A row `segment_refresh`: who is in the segment now, unless newer is here."""
    body = bodies.decode(Kind.SEGMENT_REFRESH, row.body)
    memberships_sql.apply_refresh(
        connection,
        epoch=row.epoch,
        key=body.key,
        name=body.name,
        size=body.size,
        digest=body.digest,
        as_of=body.as_of,
        customers_version=body.customers_version,
        blob=body.blob,
    )


def forget(connection: Connection[Any], customers: Sequence[str]) -> None:
    """An erasure: the customers' keys."""
    erasing.forget(connection, customers)
