"""Destroying a customer's keys: what they sealed is gone, wherever a copy of it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection


def kids_of(connection: Connection[Any], customer: str) -> tuple[str, ...]:
    """Ids of a customer's keys, in hexadecimals."""
    found = connection.execute(
        "SELECT encode(kid, 'hex') FROM wayfare.customer_keys WHERE customer_id = %s ORDER BY kid",
        (customer,),
    ).fetchall()
    return tuple(kid for (kid,) in found)


def forget(connection: Connection[Any], customers: Sequence[str]) -> None:
    """Destroy the keys here, in the caller's transaction; `batches.purge` does it in the store."""
    connection.execute(
        "WITH gone AS (DELETE FROM wayfare.customer_keys WHERE customer_id = ANY(%s) "
        "RETURNING batch, kid) "
        "INSERT INTO wayfare.key_purges (batch, kid) SELECT batch, kid FROM gone "
        "WHERE batch IS NOT NULL ON CONFLICT DO NOTHING",
        (list(customers),),
    )
