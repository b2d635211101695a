"""TLS in front of a server that has none."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def tls_front(target: int, certificate: tuple[Path, Path]) -> Iterator[int]:
    """A port on loopback that speaks TLS, and forwards to the port `target`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    started = threading.Event()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = []

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, here = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pump(reader, here), pump(there, writer))

    async def serve() -> None:
        end = asyncio.Event()
        server = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)
        # Clients that do not trust us are what some tests ask for.
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        port = server.sockets[0].getsockname()[1]
        running.append((asyncio.get_running_loop(), end, port))
        started.set()
        await end.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(10)
    loop, end, port = running[0]
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
