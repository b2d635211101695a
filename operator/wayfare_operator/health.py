"""`/livez`, `/readyz` and `/metrics` of the operator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from wayfare_operator.metrics import REGISTRY


@asynccontextmanager
async def health_endpoint(
    host: str, port: int, *, alive: Callable[[], bool], ready: Callable[[], bool]
) -> AsyncIterator[None]:
    """Serve while the context is open. A replica that waits for the Lease is ready too."""

    async def livez(_: web.Request) -> web.Response:
        return _answer(alive())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(ready())

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app = web.Application()
    app.add_routes(
        [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()


def _answer(good: bool) -> web.Response:
    return web.Response(status=200 if good else 503, text="ok\n" if good else "not yet\n")
