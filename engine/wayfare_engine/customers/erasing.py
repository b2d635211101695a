"""Erasing a customer: one row, the keys here, and the keys in the store."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.customers.applying import register
from wayfare_engine.ledger import Kind, LedgerRow, append_rows, bodies, fence
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.privacy import batches, erasing
from wayfare_engine.projections import apply_rows

_point = crash_point("customers.erased", "the erasure is committed, and the store has the key")


@dataclass(frozen=True)
class ErasureDone:
    """keys: how many were destroyed now. again: the customer had been erased before.
    in_store: whether the store's copies are gone too (True where there is no store)."""

    customer: str
    keys: int
    again: bool
    in_store: bool


def erase(
    connection: Connection[Any],
    store: ObjectStore | None,
    customer: str,
    *,
    reason: str,
    site: str,
    row_id: uuid.UUID,
    now: datetime,
) -> ErasureDone:
    """Erase a customer; safe to run again. `connection` is in autocommit mode.

    Raises StaleEpoch, and StoreProblem or StoreUnavailable when the keys here are destroyed and
    those in the store are not yet: the next run, or the worker, finishes it.
    """
    register()
    row = connection.execute(
        "SELECT FROM wayfare.erased WHERE customer_id = %s", (customer,)
    ).fetchone()
    kids: tuple[str, ...] = ()
    with connection.transaction():
        epoch = fence.enter_present(connection)
        kids = erasing.kids_of(connection, customer)
        if row is None or kids:
            body = bodies.Erasure(customer=customer, kids=kids, reason=reason)
            fact = LedgerRow(
                row_id, site, epoch, Kind.ERASURE, None, None, customer, now, bodies.encode(body)
            )
            append_rows(connection, [fact])
            apply_rows(connection, [fact])
    _point()
    if store is not None:
        # Also keys that a killed load put into the store and never used, which no table here knows.
        batches.sync(connection, store)
        batches.purge(connection, store)
    return ErasureDone(customer, len(kids), row is not None, True)
