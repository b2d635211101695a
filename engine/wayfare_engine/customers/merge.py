"""Staging rows by COPY, and merging them in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from psycopg import AsyncConnection

from wayfare_engine.customers.problems import ImportRefused
from wayfare_engine.ledger import Kind, LedgerRow, append
from wayfare_engine.store import channels
from wayfare_engine.store.plans import notify

_WIDER = {("int", "double")}


class Staged(NamedTuple):
    """A row on its way; `attributes` is JSON text."""

    line: int
    customer_id: str
    attributes: str


@dataclass(frozen=True)
class Merged:
    """What the merge did, and how things stand after it."""

    added: int
    changed: int
    customers: int
    version: int


async def stage(connection: AsyncConnection[Any], rows: Sequence[Staged]) -> None:
    """Put rows into this session's staging table; each call commits by itself."""
    if not rows:
        await connection.execute(
            "CREATE TEMP TABLE IF NOT EXISTS staging "
            "(line bigint, customer_id text, attributes text); TRUNCATE pg_temp.staging"
        )
        return
    async with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY pg_temp.staging (line, customer_id, attributes) FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        copy.set_types(["int8", "text", "text"])
        for row in rows:
            await copy.write_row(row)


async def merge(
    connection: AsyncConnection[Any],
    columns: Sequence[tuple[str, str]],
    *,
    facts: dict[str, Any],
    row_id: uuid.UUID,
    now: datetime,
    site: str,
    epoch: int,
) -> Merged:
    """Merge the staging table: new customers get the next dense ids, changed ones new attributes,
    the others stay as they are. One ledger row says what was loaded. Raises ImportRefused."""
    await connection.execute("CREATE INDEX ON pg_temp.staging (customer_id)")
    await connection.execute("ANALYZE pg_temp.staging")
    async with connection.transaction():
        cursor = await connection.execute(
            "SELECT version, customers FROM wayfare.customer_version FOR UPDATE"
        )
        row = await cursor.fetchone()
        assert row is not None, "migrations put exactly one row here"
        version, customers = int(row[0]), int(row[1])
        schema_changed = await _merge_schema(connection, columns)
        changed = (
            await connection.execute(
                "UPDATE wayfare.customers c SET attributes = c.attributes || s.attributes::jsonb, "
                "version = %s FROM pg_temp.staging s WHERE c.customer_id = s.customer_id "
                "AND NOT c.attributes @> s.attributes::jsonb",
                (version + 1,),
            )
        ).rowcount
        added = (
            await connection.execute(
                "INSERT INTO wayfare.customers (dense, customer_id, attributes, version) "
                "SELECT %s + row_number() OVER (ORDER BY s.line) - 1, s.customer_id, "
                "s.attributes::jsonb, %s FROM pg_temp.staging s WHERE NOT EXISTS "
                "(SELECT FROM wayfare.customers c WHERE c.customer_id = s.customer_id)",
                (customers, version + 1),
            )
        ).rowcount
        if changed or added or schema_changed:
            version, customers = version + 1, customers + added
            await connection.execute(
                "UPDATE wayfare.customer_version SET version = %s, customers = %s",
                (version, customers),
            )
            await notify(connection, channels.CUSTOMERS, str(version))
        body = {
            **facts,
            "added": added,
            "changed": changed,
            "as_of": now,
            "customers_version": version,
        }
        fact = LedgerRow(
            id=row_id,
            site=site,
            epoch=epoch,
            kind=Kind.LOAD,
            key=None,
            version=None,
            customer_id=None,
            at=now,
            body=msgspec.json.encode(body).decode(),
        )
        await append(connection, [fact])
    await connection.execute("DROP TABLE pg_temp.staging")
    return Merged(added, changed, customers, version)


async def _merge_schema(
    connection: AsyncConnection[Any], columns: Sequence[tuple[str, str]]
) -> bool:
    cursor = await connection.execute("SELECT name, type FROM wayfare.customer_schema")
    stored = dict(await cursor.fetchall())
    narrowed = [
        (name, stored[name], kind)
        for name, kind in columns
        if name in stored and stored[name] != kind and (stored[name], kind) not in _WIDER
    ]
    if narrowed:
        cursor = await connection.execute(
            "SELECT EXISTS (SELECT FROM wayfare.customers c WHERE NOT EXISTS "
            "(SELECT FROM pg_temp.staging s WHERE s.customer_id = c.customer_id))"
        )
        others = await cursor.fetchone()
        if others is not None and others[0]:
            name, was, wanted = narrowed[0]
            raise ImportRefused(
                f"column {name!r} is stored as {was} and would become {wanted}, but there are "
                "customers whom this file does not have",
                f"load a file with all customers, or give --type {name}={was}",
            )
    cursor = await connection.execute(
        "SELECT coalesce(max(position), 0) FROM wayfare.customer_schema"
    )
    row = await cursor.fetchone()
    last = int(row[0]) if row else 0
    for position, (name, kind) in enumerate(columns, last + 1):
        if stored.get(name) != kind:
            await connection.execute(
                "INSERT INTO wayfare.customer_schema (name, type, position) VALUES (%s, %s, %s) "
                "ON CONFLICT (name) DO UPDATE SET type = excluded.type",
                (name, kind, position),
            )
    return any(stored.get(name) != kind for name, kind in columns)
