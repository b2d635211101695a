"""`smtp`: each send is one mail to one address, handed to a mail server over kept connections.

What is certain rests on one fact: whether the line that ends a mail's content was about to be
sent. Before that nothing took effect; after it only the server's reply can say. What is refused
before the address was named is about us and not about the mail, and may be tried again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import ClassVar, Self

from wayfare_engine.channels.contract import Answer, Check, HandOver, Key, NoDedupe, Query, Rendered
from wayfare_engine.channels.plugin import ChannelPlugin, InDoubt, NotAccepted, Rejected, Settings
from wayfare_engine.channels.plugins.mail_address import BadAddress, ascii_address
from wayfare_engine.channels.plugins.smtp_config import Config, Opened, opened
from wayfare_engine.channels.plugins.smtp_message import content, mail, message_id
from wayfare_engine.channels.plugins.smtp_session import (
    BROKEN,
    Refused,
    Session,
    ended_by_server,
    seen,
)

#: Of the time that is left: we must end before the host cancels us, to say what is certain.
_SHARE = 0.95
#: Characters of a payload whose mail is made beside the event loop.
_LONG = 16_384


class Smtp(ChannelPlugin):
    """Mails over at most `connections` connections at a time, the one used last first."""

    name: ClassVar[str] = "smtp"
    #: A server remembers no Message-ID.
    dedupe: ClassVar[Key | Query | NoDedupe] = NoDedupe()
    permanent_errors: ClassVar[tuple[str, ...]] = (
        "the address is none:",
        "the payload is no mail:",
        "the server refused the address: 5",
        "the server refused the mail: 5",
    )

    def __init__(self, opened: Opened, *, clock: Callable[[], float] = time.time) -> None:
        self._it = opened
        self._clock = clock
        self._free = asyncio.Semaphore(opened.config.connections)
        self._kept: deque[tuple[float, Session]] = deque()

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """See `ChannelPlugin.open`."""
        return cls(opened(settings.read(Config), settings.secrets))

    async def send(self, what: HandOver) -> Answer:
        """Hand it over once. Raises Rejected, NotAccepted, InDoubt."""
        it, name = self._it, message_id(what.send_key, self._it.domain)
        seconds = min(it.config.timeout, what.remaining * _SHARE)
        ends = asyncio.get_running_loop().time() + seconds
        try:
            recipient = ascii_address(what.address or "")
        except BadAddress as error:
            raise Rejected(f"the address is none: {error}") from None
        made = await self._made(what, recipient)
        session: Session | None = None
        try:
            async with asyncio.timeout_at(ends), self._free:
                try:
                    session = await self._begun(ends)
                    await session.finish(recipient, made)
                    self._keep(session)
                except Refused:
                    if session is not None:
                        self._keep(session)
                    raise
                except BaseException:
                    if session is not None:
                        session.abort()
                    raise
        except Refused as error:
            if session is not None and error.permanent:
                raise Rejected(str(error)) from None
            raise NotAccepted(f"{it.place}: {error}") from None
        except BROKEN as error:
            if session is not None and session.in_doubt:
                raise InDoubt(
                    f"{it.place} was sent the whole mail and did not reply: {seen(error)}"
                ) from None
            raise NotAccepted(f"{it.place}: {seen(error)}") from None
        return Answer(result="Accepted", provider_id=name)

    async def preview(self, what: HandOver) -> Rendered:
        """The mail's parts, or why they are none."""
        try:
            found = content(what.payload)
        except Rejected as error:
            return Rendered(parts={"problem": str(error)})
        parts = {name: getattr(found, name) for name in found.__struct_fields__}
        parts["from"] = f"{parts.pop('from_name') or ''} <{self._it.sender}>".lstrip()
        return Rendered(parts={name: text for name, text in parts.items() if text})

    async def check(self) -> Check:
        """Connect as for a mail, login included, and hang up."""
        session = Session(self._it)
        try:
            async with asyncio.timeout(self._it.config.timeout):
                await session.connect()
        except (Refused, *BROKEN) as error:
            session.abort()
            return Check(ok=False, problem=f"{self._it.place}: {seen(error)}")
        await session.quit()
        return Check(ok=True)

    async def close(self) -> None:
        """End the kept connections."""
        kept, self._kept = self._kept, deque()
        await asyncio.gather(*(session.quit() for _, session in kept))

    async def _made(self, what: HandOver, recipient: str) -> bytes:
        """The mail: some 1 ms, and 10 ms for 100 kB, of which other sends shall not wait."""
        at = datetime.fromtimestamp(self._clock(), UTC)
        make = partial(mail, what, self._it.sender, recipient, at, self._it.config.one_click)
        size = sum(len(part) for part in what.payload.values() if isinstance(part, str))
        return await asyncio.to_thread(make) if size > _LONG else make()

    async def _begun(self, ends: float) -> Session:
        """A connection on which a mail has begun: a kept one, or, where the server closed it
        meanwhile, a new one. Nothing was said of a mail on one that was closed, so that this is no
        second try. Raises Refused, one of BROKEN."""
        loop = asyncio.get_running_loop()
        while True:
            session = self._taken(loop.time()) or Session(self._it)
            try:
                if not session.kept:
                    await session.connect()
                session.lasts(ends - loop.time())
                await session.begin(self._it.sender)
                return session
            except BaseException as error:
                session.abort()
                if not session.kept or not ended_by_server(error):
                    raise

    def _taken(self, now: float) -> Session | None:
        while self._kept and now - self._kept[0][0] > self._it.config.idle:
            self._kept.popleft()[1].abort()
        while self._kept:
            session = self._kept.pop()[1]
            if session.alive:
                return session
            session.abort()
        return None

    def _keep(self, session: Session) -> None:
        if session.alive:
            session.kept = True
            self._kept.append((asyncio.get_running_loop().time(), session))
        else:
            session.abort()
