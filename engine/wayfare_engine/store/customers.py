"""SQL of customers: who there is, what is known of them, and the columns' types."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import set_json_loads

Connection = AsyncConnection[Any]


@dataclass(frozen=True)
class CustomersVersion:
    """Grows by one with each load that changed something."""

    version: int
    customers: int


async def version(connection: Connection) -> CustomersVersion:
    """The present version and how many customers there are."""
    cursor = await connection.execute("SELECT version, customers FROM wayfare.customer_version")
    row = await cursor.fetchone()
    assert row is not None, "migrations put exactly one row here"
    return CustomersVersion(int(row[0]), int(row[1]))


async def schema(connection: Connection) -> list[tuple[str, str]]:
    """(name, type) of every column that imports brought, in the order they came."""
    cursor = await connection.execute(
        "SELECT name, type FROM wayfare.customer_schema ORDER BY position, name"
    )
    return [(str(name), str(kind)) for name, kind in await cursor.fetchall()]


async def ids_from(connection: Connection, first: int) -> AsyncIterator[tuple[str, int]]:
    """(customer_id, dense) of customers with dense >= `first`, in the order of dense."""
    async with connection.cursor(name="ids", binary=True) as cursor:
        cursor.itersize = 20_000
        await cursor.execute(
            "SELECT customer_id, dense FROM wayfare.customers WHERE dense >= %s ORDER BY dense",
            (first,),
        )
        async for row in cursor:
            yield row[0], row[1]


async def rows(
    connection: Connection, batch: int
) -> AsyncIterator[list[tuple[int, str, dict[str, Any]]]]:
    """(dense, customer_id, attributes) of all customers in batches, in the order of dense."""
    set_json_loads(msgspec.json.decode, connection)
    async with connection.cursor(name="customers") as cursor:
        await cursor.execute(
            "SELECT dense, customer_id, attributes FROM wayfare.customers ORDER BY dense"
        )
        while found := await cursor.fetchmany(batch):
            yield found
