"""One connection to a mail server, and one mail at a time over it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from typing import Any, Final, cast

import aiosmtplib

from wayfare_engine.channels.plugins.smtp_config import Opened

_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)", re.ASCII)
_STUFFED = re.compile(rb"(?m)^\.")
_START_INPUT: Final = 354
_CLOSING: Final = 421
#: Replies that refuse us, and not this mail: they ask for a login, or for a better one.
_OURS: Final = frozenset({530, 534, 535, 538})


class Refused(Exception):
    """The server, or what is between us, will not do it; the text is ours and holds nothing of a
    customer. `code` is the reply's, when there was one."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code

    @property
    def permanent(self) -> bool:
        """Whether the same will be refused again."""
        return self.code is not None and self.code >= 500 and self.code not in _OURS


#: What goes wrong with a connection: nothing of it is a reply.
BROKEN: Final = (aiosmtplib.SMTPException, OSError, TimeoutError)


class Session:
    """`kept`: it was open before the mail that is under way, so that the server may have closed it
    meanwhile. `in_doubt`: the end of a mail was about to be sent, and no reply to it came yet."""

    def __init__(self, opened: Opened) -> None:
        self._it = opened
        self._smtp = aiosmtplib.SMTP(
            hostname=opened.config.host,
            port=opened.port,
            local_hostname=opened.hello,
            use_tls=opened.config.security == "tls",
            start_tls=False,
            tls_context=opened.tls,
            timeout=None,
        )
        self._content: asyncio.StreamWriter | None = None
        self._unclean = False
        self.kept = False
        self.in_doubt = False

    async def connect(self) -> None:
        """Connect, be safe, be known. Raises Refused, or one of BROKEN."""
        smtp, it = self._smtp, self._it
        try:
            await smtp.connect()
            await smtp.ehlo()
            if it.config.security == "starttls":
                if not smtp.supports_extension("starttls"):
                    raise Refused("the server offers no STARTTLS; see the config's security")
                await smtp.starttls()
                await smtp.ehlo()
            if it.login is not None:
                if not smtp.supported_auth_methods:
                    raise Refused("the server offers no login that we know")
                await smtp.login(*it.login)
        except aiosmtplib.SMTPAuthenticationError as error:
            raise Refused(f"the server refused the login: {said(error)}", error.code) from None
        except aiosmtplib.SMTPResponseException as error:
            raise Refused(f"the server takes no mail from us: {said(error)}", error.code) from None

    @property
    def alive(self) -> bool:
        """Whether no end of it was seen."""
        return self._smtp.is_connected

    def lasts(self, seconds: float) -> None:
        """From now on data that nobody acknowledges is sent again for so long at most."""
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            milliseconds = max(1, int(seconds * 1000))
            self._option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    async def begin(self, sender: str) -> None:
        """Begin a mail. Raises Refused, or one of BROKEN."""
        if self._unclean:
            await self._command(b"RSET", what="RSET")
            self._unclean = False
        await self._command(f"MAIL FROM:<{sender}>".encode("ascii"), what="the sender")
        self._unclean = True

    async def finish(self, recipient: str, mail: bytes) -> None:
        """The rest of a mail that has begun. Raises Refused, or one of BROKEN."""
        await self._command(f"RCPT TO:<{recipient}>".encode("ascii"), what="the address")
        await self._command(b"DATA", what="the mail", wanted=(_START_INPUT,))
        # A mail is one only with the line that ends it, which is sent when all the rest is out of
        # our hands: until then nothing can have taken effect.
        writer = self._writer()
        writer.write(_STUFFED.sub(b"..", mail))
        await writer.drain()
        if not self.alive:
            raise aiosmtplib.SMTPServerDisconnected("within its content")
        self.in_doubt = True
        await self._command(b".", what="the mail")
        self._unclean = False

    async def _command(self, line: bytes, *, what: str, wanted: tuple[int, ...] = ()) -> None:
        """Say it, and read a reply that is `wanted` (or any of 2xx)."""
        reply = await self._smtp.execute_command(line)
        code = reply.code
        good = code in wanted if wanted else 200 <= code < 300
        if not good and not 400 <= code < 600:
            raise aiosmtplib.SMTPResponseException(code, "a reply that cannot be here")
        self.in_doubt = False
        if good:
            return
        raise Refused(f"the server refused {what}: {said(reply)}", code)

    async def quit(self) -> None:
        """End it as the protocol wants it; without waiting for long."""
        with contextlib.suppress(*BROKEN):
            async with asyncio.timeout(1.0):
                await self._smtp.quit()
        self.abort()

    def abort(self) -> None:
        """End it now; what the kernel has not sent yet is not sent."""
        transport = cast(asyncio.Transport | None, self._smtp.transport)
        if transport is None:
            return
        self._option(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        self._smtp.close()

    def _writer(self) -> asyncio.StreamWriter:
        """One for as long as the connection is there: its own end would end the connection."""
        transport, protocol = self._smtp.transport, self._smtp.protocol
        if transport is None or protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("before its content")
        if self._content is None:
            flow = cast(asyncio.Transport, transport)
            # With a limit of 0, TLS would wait even for nothing.
            flow.set_write_buffer_limits(high=1, low=0)
            loop = asyncio.get_running_loop()
            self._content = asyncio.StreamWriter(flow, protocol, None, loop)
        return self._content

    def _option(self, level: int, name: int, value: int | bytes) -> None:
        with contextlib.suppress(OSError, aiosmtplib.SMTPException):
            there: Any = self._smtp.get_transport_info("socket")
            there.setsockopt(level, name, value)


def ended_by_server(error: BaseException) -> bool:
    """Whether a connection ended as servers end those that were open for long."""
    if isinstance(error, Refused):
        return error.code == _CLOSING
    return isinstance(error, BROKEN)


def said(reply: Any) -> str:
    """A reply's codes. Its text is left out: servers quote addresses in it."""
    found = _ENHANCED.match(reply.message)
    return f"{reply.code}" + (f" {found.group()}" if found else "")


def seen(error: BaseException) -> str:
    """What went wrong with a connection, for people: nothing that a server said."""
    if isinstance(error, Refused):
        return str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}; see the ca_file"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
