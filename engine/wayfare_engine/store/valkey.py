"""Valkey: connected, probed within a bounded time, and reported. Nothing waits for it yet."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from wayfare_engine.store.postgresql import Health


class Valkey:
    """One client; `url` None means that none is configured."""

    def __init__(self, url: str | None) -> None:
        self._client = (
            Redis.from_url(
                url,
                socket_connect_timeout=1.0,
                socket_timeout=1.0,
                health_check_interval=0,
                retry=Retry(NoBackoff(), 0),
            )
            if url
            else None
        )

    @property
    def configured(self) -> bool:
        """Whether there is a Valkey to reach."""
        return self._client is not None

    async def probe(self, *, seconds: float = 1.5) -> Health:
        """Whether it answers within the time."""
        if self._client is None:
            return Health(False, error="not configured")
        try:
            async with asyncio.timeout(seconds):
                await self._client.ping()
                return Health(True)
        except (RedisError, OSError, TimeoutError) as error:
            return Health(False, error=str(error).splitlines()[0] if str(error) else "timed out")

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.aclose()
