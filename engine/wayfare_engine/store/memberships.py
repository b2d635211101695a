"""SQL of segment memberships: one bitmap a content key, all of one version of the customers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import AsyncConnection

from wayfare_engine.store import channels

Connection = AsyncConnection[Any]


@dataclass(frozen=True)
class StoredMembership:
    """Who is in a segment: `blob` is a serialized roaring bitmap of dense ids."""

    key: str
    name: str
    blob: str
    size: int
    digest: str
    as_of: datetime
    duration_seconds: float
    customers_version: int
    epoch: int
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
    cursor = await connection.execute(
        f"SELECT {_FACTS} FROM wayfare.segment_memberships WHERE blob IS NOT NULL"  # noqa: S608
    )
    return {row[0]: MembershipFacts(*row) for row in await cursor.fetchall()}


_DIGESTS = "SELECT key, digest FROM wayfare.segment_memberships WHERE blob IS NOT NULL"


def digests(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Digest of each stored membership, by key."""
    return dict(connection.execute(_DIGESTS).fetchall())


async def digests_async(connection: Connection) -> dict[str, str]:
    """`digests` for asyncio."""
    return dict(await (await connection.execute(_DIGESTS)).fetchall())


async def bitmaps(connection: Connection, keys: Sequence[str]) -> dict[str, tuple[int, bytes]]:
    """(customers' version, bitmap) of those of `keys` that are stored and whose blob is here."""
    cursor = await connection.execute(
        "SELECT m.key, m.customers_version, (SELECT coalesce(string_agg(b.data, ''::bytea "
        "ORDER BY b.part), ''::bytea) FROM wayfare.blobs b WHERE b.digest = m.blob) "
        "FROM wayfare.segment_memberships m JOIN wayfare.blob_copies c "
        "ON c.digest = m.blob AND c.parts IS NOT NULL WHERE m.key = ANY(%s)",
        (list(keys),),
        binary=True,
    )
    return {key: (version, bytes(bitmap)) for key, version, bitmap in await cursor.fetchall()}


_COLUMNS = "key, name, blob, size, digest, as_of, duration_seconds, customers_version, epoch, error"
_REPLACE = ", ".join(f"{c} = excluded.{c}" for c in _COLUMNS.split(", ")[1:])


def save(connection: psycopg.Connection[Any], memberships: Iterable[StoredMembership]) -> None:
    """Replace memberships in the caller's transaction. Their blobs are here already."""
    connection.cursor().executemany(
        f"INSERT INTO wayfare.segment_memberships ({_COLUMNS}) "  # noqa: S608
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
        f"ON CONFLICT (key) DO UPDATE SET {_REPLACE}",
        [
            (
                m.key,
                m.name,
                m.blob,
                m.size,
                m.digest,
                m.as_of,
                m.duration_seconds,
                m.customers_version,
                m.epoch,
                m.error,
            )
            for m in memberships
        ],
    )
    connection.execute("SELECT pg_notify(%s, '')", (channels.SEGMENTS,))


def apply_refresh(
    connection: psycopg.Connection[Any],
    *,
    epoch: int,
    key: str,
    name: str,
    size: int,
    digest: str,
    as_of: datetime,
    customers_version: int,
    blob: str | None,
) -> None:
    """Apply a row `segment_refresh` by reference; nothing when what is here is as new.

    Without a blob (the store was away when it was made) there is none until it is computed here.
    """
    connection.execute(
        f"INSERT INTO wayfare.segment_memberships ({_COLUMNS}) "  # noqa: S608
        "VALUES (%s, %s, %s, %s, %s, %s, 0, %s, %s, NULL) "
        f"ON CONFLICT (key) DO UPDATE SET {_REPLACE} "
        "WHERE (segment_memberships.epoch, segment_memberships.as_of) "
        "< (excluded.epoch, excluded.as_of)",
        (key, name, blob, size, digest, as_of, customers_version, epoch),
    )
    connection.execute("SELECT pg_notify(%s, '')", (channels.SEGMENTS,))


async def clean(connection: Connection, keep: Sequence[str], *, older_than_seconds: float) -> int:
    """Remove memberships whose keys no plan in use has, once they are that old."""
    cursor = await connection.execute(
        "DELETE FROM wayfare.segment_memberships WHERE key <> ALL(%s) "
        "AND as_of < now() - make_interval(secs => %s)",
        (list(keep), older_than_seconds),
    )
    return cursor.rowcount
