"""The connection pool, a health probe, and LISTEN that finds its way back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout

log = structlog.get_logger(__name__)

#: What a caller catches to mean "PostgreSQL is away".
Away = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, OSError, TimeoutError)

_KEEPALIVE = {
    "connect_timeout": "3",
    "keepalives": "1",
    "keepalives_idle": "3",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "8000",
}
#: The server ends a session whose client is gone after 3 + 2 · 3 = 9 s. By its own settings it may
#: be two hours, in which a node that died, or a pod whose last packet was dropped, keeps its locks.
_SERVER_NOTICES = {
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "9000",
}
_SET = "SELECT set_config(%s, %s, false)"
#: What a server says whose system lacks one of these, or that is reached by a Unix socket, whose
#: kernel tells at once.
_NOT_SETTABLE = psycopg.errors.InvalidParameterValue


def patient(dsn: str, application: str) -> str:
    """`dsn` with keepalives that notice a dead server in about 9 s, unless it says otherwise."""
    given = conninfo_to_dict(dsn)
    return make_conninfo(
        dsn,
        **{k: v for k, v in _KEEPALIVE.items() if k not in given},
        **({} if "application_name" in given else {"application_name": application}),
    )


def end_with_client(connection: psycopg.Connection[Any]) -> None:
    """Have the server end this session, and free its locks, soon after its client is gone, even if
    no word of that reaches it. For autocommit connections. Raises psycopg.Error."""
    for setting in _SERVER_NOTICES.items():
        with contextlib.suppress(_NOT_SETTABLE):
            connection.execute(_SET, setting)


async def end_with_client_async(connection: AsyncConnection[Any]) -> None:
    """`end_with_client`, of an asynchronous connection."""
    for setting in _SERVER_NOTICES.items():
        with contextlib.suppress(_NOT_SETTABLE):
            await connection.execute(_SET, setting)


Opened = Callable[[AsyncConnection[Any]], Awaitable[None]]


class Postgresql:
    """A small pool for short queries. Opens without waiting for the server. `opened` is called with
    each new connection, before anybody has it."""

    def __init__(
        self, dsn: str, *, application: str, size: int = 4, opened: Opened | None = None
    ) -> None:
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            patient(dsn, application),
            min_size=1,
            max_size=size,
            open=False,
            timeout=3.0,
            reconnect_timeout=10.0,
            max_lifetime=600.0,
            kwargs={"autocommit": True},
            check=AsyncConnectionPool.check_connection,
            configure=opened,
        )

    async def open(self) -> None:
        """Start connecting in the background."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Give all connections back."""
        await self._pool.close(timeout=2.0)

    @asynccontextmanager
    async def connection(self, seconds: float = 3.0) -> AsyncIterator[AsyncConnection[Any]]:
        """An autocommit connection; raises one of `Away` after at most `seconds`."""
        async with self._pool.connection(timeout=seconds) as connection:
            yield connection


@dataclass(frozen=True)
class Health:
    """What a probe of a store found."""

    ok: bool
    version: str | None = None
    error: str | None = None


async def probe(postgresql: Postgresql, *, seconds: float = 2.0) -> Health:
    """Whether PostgreSQL answers a query within the time."""
    try:
        async with asyncio.timeout(seconds), postgresql.connection(seconds) as connection:
            cursor = await connection.execute("SHOW server_version")
            row = await cursor.fetchone()
            return Health(True, version=str(row[0]) if row else None)
    except Away as error:
        return Health(False, error=_first_line(error))


async def listen(
    dsn: str, channels: Sequence[str], heard: Callable[[str, str], Awaitable[None] | None]
) -> None:
    """Call `heard(channel, payload)` for each notification, for ever.

    After each (re)connect it is called with payload "" for every channel, because what was said
    while nobody listened is gone. Needs a direct connection (no transaction pooler).
    """
    pause = 0.1
    while True:
        try:
            connection = await AsyncConnection.connect(
                patient(dsn, "wayfare-listen"), autocommit=True
            )
            async with connection:
                for channel in channels:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                pause = 0.1
                for channel in channels:
                    await _call(heard, channel, "")
                async for notice in connection.notifies():
                    await _call(heard, notice.channel, notice.payload)
        except Away as error:
            log.info("listen.lost", error=_first_line(error))
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2.0)


async def _call(
    heard: Callable[[str, str], Awaitable[None] | None], channel: str, payload: str
) -> None:
    answer = heard(channel, payload)
    if answer is not None:
        await answer


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
