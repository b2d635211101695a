"""SQL of customers: which blob holds them, the columns' types, and what changed since by itself.

Customers at a version are one blob (see `customer_base`) and the single changes of
`wayfare.profile_changes` that no load overtook.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import AsyncConnection, Connection

from wayfare_engine.store import channels


@dataclass(frozen=True)
class CustomersVersion:
    """Grows by one with each load that changed something.

    capacity: one more than the largest dense id. epoch: which one made it. blob: None before the
    first load.
    """

    version: int
    customers: int
    capacity: int = 0
    epoch: int = 0
    blob: str | None = None


class StoredColumn(NamedTuple):
    """A column that loads brought."""

    name: str
    type: str
    sensitive: bool


class Change(NamedTuple):
    """A single change: `value` is JSON text, or an envelope as JSON."""

    customer_id: str
    name: str
    value: str
    version: int


_VERSION = "SELECT version, customers, capacity, epoch, blob FROM wayfare.customer_version"
_SCHEMA = "SELECT name, type, sensitive FROM wayfare.customer_schema ORDER BY position, name"
_CHANGES = "SELECT customer_id, name, value::text, version FROM wayfare.profile_changes"


async def version(connection: AsyncConnection[Any]) -> CustomersVersion:
    """The present version and how many customers there are."""
    return _version(await (await connection.execute(_VERSION)).fetchone())


def present_version(connection: Connection[Any]) -> CustomersVersion:
    """`version` for synchronous connections."""
    return _version(connection.execute(_VERSION).fetchone())


async def schema(connection: AsyncConnection[Any]) -> list[tuple[str, str]]:
    """(name, type) of every column that imports brought, in the order they came."""
    cursor = await connection.execute(_SCHEMA)
    return [(str(name), str(kind)) for name, kind, _ in await cursor.fetchall()]


def columns(connection: Connection[Any]) -> list[StoredColumn]:
    """Every column that loads brought, in the order they came."""
    return [StoredColumn(*row) for row in connection.execute(_SCHEMA).fetchall()]


def sealed_attributes(connection: Connection[Any]) -> frozenset[str]:
    """The attributes whose values are sealed."""
    return frozenset(column.name for column in columns(connection) if column.sensitive)


async def changes(connection: AsyncConnection[Any]) -> list[Change]:
    """Every single change that stands, in no order."""
    cursor = await connection.execute(_CHANGES)
    return [Change(*row) for row in await cursor.fetchall()]


def changes_of(connection: Connection[Any], names: Sequence[str]) -> list[Change]:
    """The single changes of some attributes."""
    cursor = connection.execute(f"{_CHANGES} WHERE name = ANY(%s)", (list(names),))
    return [Change(*row) for row in cursor.fetchall()]


_APPLY = """
    UPDATE wayfare.customer_version
    SET version = %(version)s, customers = %(customers)s, capacity = %(capacity)s,
        epoch = %(epoch)s, previous_blob = blob, blob = %(blob)s
    WHERE (epoch, version) < (%(epoch)s, %(version)s)
"""


def apply_load(
    connection: Connection[Any],
    *,
    epoch: int,
    version: int,
    customers: int,
    capacity: int,
    blob: str,
    columns: Sequence[StoredColumn],
) -> bool:
    """Apply a row `load` by reference, in the caller's transaction; False when what is here is as
    new. The order is (epoch, version), whatever order rows come in; no blob is read.

    columns: all that the customers have after it.
    """
    facts = {
        "version": version,
        "customers": customers,
        "capacity": capacity,
        "epoch": epoch,
        "blob": blob,
    }
    if not connection.execute(_APPLY, facts).rowcount:
        return False
    connection.execute("DELETE FROM wayfare.customer_schema")
    connection.cursor().executemany(
        "INSERT INTO wayfare.customer_schema (name, type, sensitive, position) "
        "VALUES (%s, %s, %s, %s)",
        [(*column, position) for position, column in enumerate(columns, 1)],
    )
    connection.execute("SELECT pg_notify(%s, %s)", (channels.CUSTOMERS, str(version)))
    return True


def _version(row: tuple[Any, ...] | None) -> CustomersVersion:
    assert row is not None, "migrations put exactly one row here"
    return CustomersVersion(*row)
