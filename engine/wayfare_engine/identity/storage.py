"""SQL of API keys. Every change is announced, so that serving pods forget a revoked key."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from wayfare_engine.identity.keys import ApiKey
from wayfare_engine.store import channels
from wayfare_engine.store.plans import notify

Connection = AsyncConnection[Any]


async def add(connection: Connection, key: ApiKey) -> None:
    """Store a new key."""
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO wayfare.api_keys (id, hash, scopes, name, created_at, expires_at) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            (key.id, key.hash, sorted(key.scopes), key.name, key.created_at, key.expires_at),
        )
        await notify(connection, channels.KEYS, key.id)


async def forget_expired(connection: Connection, name: str, now: datetime) -> None:
    """Keys of this name that are over: nobody asks about those again."""
    await connection.execute(
        "DELETE FROM wayfare.api_keys WHERE name = %s AND expires_at <= %s", (name, now)
    )


async def everything(connection: Connection) -> list[ApiKey]:
    """All keys, also those that are over."""
    cursor = await connection.execute(
        "SELECT id, hash, scopes, name, created_at, expires_at, revoked_at "
        "FROM wayfare.api_keys ORDER BY created_at, id"
    )
    return [
        ApiKey(row[0], bytes(row[1]), frozenset(row[2]), *row[3:])
        for row in await cursor.fetchall()
    ]


async def revoke(connection: Connection, key_id: str, now: datetime) -> bool:
    """End a key; False when there is none with this id. An earlier end stays."""
    async with connection.transaction():
        cursor = await connection.execute(
            "UPDATE wayfare.api_keys SET revoked_at = coalesce(revoked_at, %s) WHERE id = %s",
            (now, key_id),
        )
        await notify(connection, channels.KEYS, key_id)
        return cursor.rowcount == 1
