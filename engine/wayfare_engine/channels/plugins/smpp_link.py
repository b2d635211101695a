"""A bind that is kept: made anew when it ends, for as long as the channel is there."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl

import structlog

from wayfare_engine.channels.plugins.smpp_session import BindRefused, Lost, Session, Take
from wayfare_engine.channels.plugins.sms_config import Opened

log = structlog.get_logger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class NoBind(Exception):
    """There is none now; the text says why."""


class Link:
    """The one bind of a channel."""

    def __init__(self, opened: Opened, take: Take) -> None:
        self._it = opened
        self._take = take
        self._session: Session | None = None
        self._why = ""
        self._tried = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Bind, and go on binding."""
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep())

    async def session(self) -> Session:
        """The bind. Waits for a try that is under way; raises NoBind when the last one failed."""
        self.begin()
        await self._tried.wait()
        if self._session is None:
            raise NoBind(self._why)
        return self._session

    async def end(self) -> None:
        """Unbind, and bind no more."""
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping
        if self._session is not None:
            await self._session.unbind()

    async def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                session = await self._bound()
            except NoBind as error:
                if str(error) != self._why:
                    log.warning("smpp.no_bind", why=str(error))
                self._why = str(error)
                self._tried.set()
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            pause, self._why, self._session = _FIRST_PAUSE, "the bind ended", session
            self._tried.set()
            log.info("smpp.bound")
            await session.stay(self._it.config.enquire)
            self._session = None
            self._tried.clear()
            log.info("smpp.ended")

    async def _bound(self) -> Session:
        it, config = self._it, self._it.config
        session: Session | None = None
        try:
            async with asyncio.timeout(config.timeout):
                session = await Session.connected(
                    config.host,
                    it.port,
                    it.tls,
                    window=config.window,
                    seconds=config.timeout,
                    take=self._take,
                )
                await session.bind(config.system_id, it.password, config.system_type)
                return session
        except BaseException as error:
            if session is not None:
                session.abort()
            if isinstance(error, OSError | TimeoutError | Lost | BindRefused):
                raise NoBind(f"{it.place}: {_seen(error)}") from None
            raise


def _seen(error: Exception) -> str:
    if isinstance(error, BindRefused):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}; see the ca_file"
    return f"no bind: {type(error).__name__}"
