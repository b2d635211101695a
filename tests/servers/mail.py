"""A mail server whose faults a test chooses: aiosmtpd in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from aiosmtpd.smtp import SMTP, Envelope, Session, syntax


@dataclass
class Mail:
    """What it replies at each step (empty: as servers do), and the mails that it read whole.

    `cut`: the connection ends at this step, before a reply: MAIL, RCPT, DATA (in the middle of the
    content) or END (after it). `silent`: no reply at this step, one of MAIL, DATA (no content is
    read either), END. `let_go` ends every silence.
    """

    replies: dict[str, str] = field(default_factory=dict)
    cut: str = ""
    silent: str = ""
    whole: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    begun: threading.Event = field(default_factory=threading.Event)
    _let_go: asyncio.Event = field(default_factory=asyncio.Event)
    _end: asyncio.Event = field(default_factory=asyncio.Event)
    _protocols: list[SMTP] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop | None = None

    def well(self) -> None:
        """As at first: no faults, no mails."""
        self.replies, self.cut, self.silent = {}, "", ""
        self.whole.clear()
        self.begun.clear()
        self._on_loop(self._let_go.clear)

    def hang_up(self) -> None:
        """End every connection, as a server does with idle ones."""

        def close() -> None:
            for one in self._protocols:
                if one.transport is not None:
                    one.transport.close()

        self._on_loop(close)

    def let_go(self) -> None:
        """End every silence."""
        self._on_loop(self._let_go.set)

    def _on_loop(self, call: Callable[[], None]) -> None:
        assert self._loop is not None
        done = threading.Event()

        def run() -> None:
            call()
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(10)

    async def step(self, server: SMTP, name: str) -> str:
        """Do what goes wrong at a step; the reply."""
        if self.cut == name:
            cast(asyncio.Transport, server.transport).abort()
            await asyncio.sleep(3600)
        if self.silent == name:
            self.begun.set()
            await self._let_go.wait()
        return self.replies.get(name, "250 OK")


class _Faulty(SMTP):
    def __init__(self, mail: Mail) -> None:
        super().__init__(_Handler(mail), hostname="faulty.test", command_call_limit=None)
        self.mail = mail

    def connection_made(self, transport: Any) -> None:
        self.mail.connections += 1
        self.mail._protocols.append(self)
        super().connection_made(transport)

    @syntax("DATA")
    async def smtp_DATA(self, arg: str) -> None:
        if self.mail.cut == "DATA":
            await self.push("354 go on")
            await self._reader.readline()
        if (self.mail.cut or self.mail.silent) == "DATA":
            if self.mail.silent:
                await self.push("354 go on")
                cast(asyncio.Transport, self.transport).pause_reading()
            await self.mail.step(self, "DATA")
        if "DATA" in self.mail.replies:
            await self.push(self.mail.replies["DATA"])
            return
        await super().smtp_DATA(arg)


class _Handler:
    def __init__(self, mail: Mail) -> None:
        self.mail = mail

    async def handle_MAIL(
        self, server: SMTP, _: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = await self.mail.step(server, "MAIL")
        if reply.startswith("250"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return reply

    async def handle_RCPT(
        self, server: SMTP, _: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = await self.mail.step(server, "RCPT")
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, _: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.mail.whole.append(envelope.content)
        return await self.mail.step(server, "END")


@contextmanager
def running_mail() -> Iterator[Mail]:
    """A server on loopback, without TLS."""
    mail = Mail()
    started = threading.Event()

    async def serve() -> None:
        loop = mail._loop = asyncio.get_running_loop()
        # Connections that are cut while they are waited for are what tests ask for.
        loop.set_exception_handler(lambda _loop, _context: None)
        listener = socket.socket()
        # Little is in the kernel's hands when the server stops reading.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        server = await loop.create_server(lambda: _Faulty(mail), sock=listener)
        mail.port = listener.getsockname()[1]
        started.set()
        await mail._end.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield mail
    finally:
        mail.let_go()
        mail._on_loop(mail._end.set)
        thread.join(10)
