"""One bind to a message centre: requests and their responses, and what it delivers to us."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from wayfare_engine.channels.plugins.smpp_pdu import (
    BIND_TRANSCEIVER,
    DELIVER_SM,
    ENQUIRE_LINK,
    GENERIC_NACK,
    HEADER,
    INVALID_COMMAND,
    LONGEST,
    OK,
    RESPONSE,
    UNBIND,
    Pdu,
    bind,
    pdu,
)

#: Takes a deliver_sm, and says the status of the response.
Take = Callable[[Pdu], Awaitable[int]]
_LAST_SEQUENCE: Final = 0x7FFF_FFFF


class Lost(Exception):
    """The connection is not there any more."""


class BindRefused(Exception):
    """The message centre does not let us in; `status` is what it says."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the bind was refused: status 0x{status:08X}")
        self.status = status


class Session:
    """A connection. `over` is done when it has ended. `timeout`, in seconds, bounds what the kernel
    goes on sending, and how long an enquire_link may be without a response."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        window: int,
        timeout: float,
        take: Take,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._window = asyncio.Semaphore(window)
        self._timeout = timeout
        self._take = take
        self._waiting: dict[int, asyncio.Future[Pdu]] = {}
        self._taking: set[asyncio.Task[None]] = set()
        self._sequence = 0
        self._heard = asyncio.get_running_loop().time()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def connected(
        cls,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        *,
        window: int,
        seconds: float,
        take: Take,
    ) -> Session:
        """Connect; `seconds` is the session's `timeout`. Raises OSError."""
        reader, writer = await asyncio.open_connection(host, port, ssl=tls)
        there = writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Closing leaves nothing to the kernel, which shall not go on sending for longer.
            there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                milliseconds = max(1, int(seconds * 1000))
                there.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        writer.transport.set_write_buffer_limits(high=1, low=0)
        return cls(reader, writer, window=window, timeout=seconds, take=take)

    async def bind(self, system_id: str, password: str, system_type: str) -> None:
        """Be let in. Raises BindRefused, Lost."""
        answer = await self.ask(BIND_TRANSCEIVER, bind(system_id, password, system_type))
        if answer.status != OK:
            raise BindRefused(answer.status)

    async def ask(self, command: int, body: bytes = b"") -> Pdu:
        """A request, and its response. Raises Lost."""
        return await self.submit(lambda sequence: pdu(command, OK, sequence, body))

    async def submit(self, make: Callable[[int], bytes]) -> Pdu:
        """The request that `make` makes with its sequence number, and its response. Waits for a
        place in the window first: nothing leaves before `make` is called. Raises Lost."""
        async with self._window:
            with contextlib.suppress(ConnectionError):
                # What others wrote is out of our hands before this is written.
                await self._writer.drain()
            if self.over.done():
                raise Lost("the connection has ended")
            with self._expected() as (sequence, response):
                self._writer.write(make(sequence))
                try:
                    return await response
                except asyncio.CancelledError:
                    if self._writer.transport.get_write_buffer_size() > 0:
                        # Its time is over: the rest of it must not leave.
                        self.abort()
                    raise

    async def stay(self, every: float) -> None:
        """Ask whether the other side is there after `every` seconds of silence; end when it does
        not answer, or the connection is over."""
        loop = asyncio.get_running_loop()
        while not self.over.done():
            await asyncio.wait([self.over], timeout=max(0.0, self._heard + every - loop.time()))
            if self.over.done() or loop.time() < self._heard + every:
                continue
            try:
                async with asyncio.timeout(self._timeout):
                    await self.ask(ENQUIRE_LINK)
            except (Lost, TimeoutError):
                self.abort()

    async def unbind(self) -> None:
        """Take leave, without waiting for long."""
        with contextlib.suppress(Lost, TimeoutError):
            async with asyncio.timeout(min(1.0, self._timeout)):
                await self.ask(UNBIND)
        self.abort()

    def abort(self) -> None:
        """End it now."""
        self._writer.transport.abort()
        self._end()

    def _end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)
        self._reading.cancel()
        for task in self._taking:
            task.cancel()
        for response in self._waiting.values():
            if not response.done():
                response.set_exception(Lost("the connection ended"))

    @contextlib.contextmanager
    def _expected(self) -> Iterator[tuple[int, asyncio.Future[Pdu]]]:
        self._sequence = self._sequence % _LAST_SEQUENCE + 1
        sequence = self._sequence
        response: asyncio.Future[Pdu] = asyncio.get_running_loop().create_future()
        self._waiting[sequence] = response
        try:
            yield sequence, response
        finally:
            del self._waiting[sequence]

    async def _read(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(HEADER.size)
                length, command, status, sequence = HEADER.unpack(head)
                if not HEADER.size <= length <= LONGEST:
                    break
                body = await self._reader.readexactly(length - HEADER.size)
                self._heard = asyncio.get_running_loop().time()
                if not self._came(Pdu(command, status, sequence, head + body)):
                    break
        except (OSError, EOFError):
            pass
        finally:
            self._writer.transport.abort()
            self._end()

    def _came(self, came: Pdu) -> bool:
        """Whether to go on."""
        if came.command & RESPONSE:
            response = self._waiting.get(came.sequence)
            if response is not None and not response.done():
                response.set_result(came)
        elif came.command == DELIVER_SM:
            task = asyncio.create_task(self._deliver(came))
            self._taking.add(task)
            task.add_done_callback(self._taking.discard)
        elif came.command == ENQUIRE_LINK:
            self._writer.write(pdu(ENQUIRE_LINK | RESPONSE, OK, came.sequence))
        elif came.command == UNBIND:
            self._writer.write(pdu(UNBIND | RESPONSE, OK, came.sequence))
            return False
        else:
            self._writer.write(pdu(GENERIC_NACK, INVALID_COMMAND, came.sequence))
        return True

    async def _deliver(self, came: Pdu) -> None:
        status = await self._take(came)
        self._writer.write(pdu(DELIVER_SM | RESPONSE, status, came.sequence, b"\0"))
