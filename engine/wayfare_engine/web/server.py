"""The HTTP server of our processes, and its end by signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp


class HttpServer(uvicorn.Server):
    """uvicorn without its own signal handling: ends when it is told to."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def http_server(app: ASGIApp, *, host: str, port: int) -> HttpServer:
    """An HTTP server for `app` with the limits that all our servers have."""
    return HttpServer(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=10,
            backlog=2048,
        )
    )


async def run_until_signal(
    server: HttpServer, *, before_end: Callable[[], object] | None = None
) -> None:
    """Run `server`; on SIGTERM or SIGINT await `before_end`, then let it finish and return."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    running = asyncio.create_task(server.serve())
    waiting = asyncio.create_task(asked.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if asked.is_set() and before_end is not None:
        result = before_end()
        if asyncio.iscoroutine(result):
            await result
    server.should_exit = True
    waiting.cancel()
    await running
