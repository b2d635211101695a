"""A receiver of webhooks as quick as Python allows: every POST is 204, and noted with its time.

A process of its own, so that it takes from what is measured no more than its part of the cores.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import cast

import httptools
import uvloop

from wayfare_engine.channels.clock import boottime

_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class _Connection(asyncio.Protocol):
    def __init__(self, seen: list[tuple[str, float]]) -> None:
        self._seen = seen
        self._key = ""
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"webhook-id":
            self._key = value.decode()

    def on_message_complete(self) -> None:
        if self._key:
            self._seen.append((self._key, boottime()))
        self._transport.write(_ANSWER)


def receive(port: int, file: Path) -> None:
    """Serve at `port` until SIGTERM; then write a line `<send key> <boot time>` for each POST."""
    seen: list[tuple[str, float]] = []

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, ended.set)
        await loop.create_server(lambda: _Connection(seen), "127.0.0.1", port)
        await ended.wait()

    uvloop.run(serve())
    file.write_text("".join(f"{key} {at}\n" for key, at in seen))


def received(file: Path) -> list[tuple[str, float]]:
    """What `receive` wrote, in its order."""
    pairs = (line.split() for line in file.read_text().splitlines())
    return [(key, float(at)) for key, at in pairs]
