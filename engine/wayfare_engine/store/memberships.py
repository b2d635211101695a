"""SQL of segment memberships: one bitmap a content key, all of one version of the customers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from wayfare_engine.store import channels
from wayfare_engine.store.plans import notify

Connection = AsyncConnection[Any]


@dataclass(frozen=True)
class StoredMembership:
    """Who is in a segment: `bitmap` is a serialized roaring bitmap of dense ids."""

    key: str
    name: str
    bitmap: bytes
    size: int
    digest: str
    as_of: datetime
    duration_seconds: float
    customers_version: int
    error: str | None = None


@dataclass(frozen=True)
class MembershipFacts:
    """A stored membership without its members."""

    key: str
    name: str
    size: int
    digest: str
    as_of: datetime
    duration_seconds: float
    customers_version: int
    error: str | None


_FACTS = "key, name, size, digest, as_of, duration_seconds, customers_version, error"


async def facts(connection: Connection) -> dict[str, MembershipFacts]:
    """What is stored, by key."""
    cursor = await connection.execute(f"SELECT {_FACTS} FROM wayfare.segment_memberships")  # noqa: S608
    return {row[0]: MembershipFacts(*row) for row in await cursor.fetchall()}


async def bitmaps(connection: Connection, keys: Sequence[str]) -> dict[str, tuple[int, bytes]]:
    """(customers' version, bitmap) of those of `keys` that are stored."""
    cursor = await connection.execute(
        "SELECT key, customers_version, bitmap FROM wayfare.segment_memberships "
        "WHERE key = ANY(%s)",
        (list(keys),),
        binary=True,
    )
    return {key: (version, bytes(bitmap)) for key, version, bitmap in await cursor.fetchall()}


async def save(connection: Connection, memberships: Iterable[StoredMembership]) -> None:
    """Replace memberships in one transaction, so that readers see all of them or none."""
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO wayfare.segment_memberships (key, name, bitmap, size, digest, as_of, "
            "duration_seconds, customers_version, error) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (key) DO UPDATE SET name = excluded.name, bitmap = excluded.bitmap, "
            "size = excluded.size, digest = excluded.digest, as_of = excluded.as_of, "
            "duration_seconds = excluded.duration_seconds, "
            "customers_version = excluded.customers_version, error = excluded.error",
            [
                (
                    m.key,
                    m.name,
                    m.bitmap,
                    m.size,
                    m.digest,
                    m.as_of,
                    m.duration_seconds,
                    m.customers_version,
                    m.error,
                )
                for m in memberships
            ],
        )
        await notify(connection, channels.SEGMENTS, "")


async def clean(connection: Connection, keep: Sequence[str], *, older_than_seconds: float) -> int:
    """Remove memberships whose keys no plan in use has, once they are that old."""
    cursor = await connection.execute(
        "DELETE FROM wayfare.segment_memberships WHERE key <> ALL(%s) "
        "AND as_of < now() - make_interval(secs => %s)",
        (list(keep), older_than_seconds),
    )
    return cursor.rowcount
