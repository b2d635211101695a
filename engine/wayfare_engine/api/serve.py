"""Running a serving pod: start, answer, drain, end."""

from __future__ import annotations

import asyncio

import structlog

from wayfare_engine.api.app import make_app
from wayfare_engine.api.state import ServeState
from wayfare_engine.clock import new_id, now
from wayfare_engine.settings import Settings
from wayfare_engine.web.server import http_server, run_until_signal

log = structlog.get_logger(__name__)

PORT = 8080


async def serve(settings: Settings, *, port: int = PORT) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    state = ServeState(settings, clock=now, ids=new_id)
    server = http_server(make_app(state), host=settings.listen_host, port=port)
    await state.start()

    async def drain() -> None:
        # Readiness says no at once; requests that are on their way are answered meanwhile.
        state.draining = True
        log.info("serve.draining", seconds=settings.drain_seconds)
        await asyncio.sleep(settings.drain_seconds)

    log.info("serve.starting", port=port, engine=settings.engine, site=settings.site)
    await run_until_signal(server, before_end=drain)
    lost = await state.stop()
    log.info("serve.ended", lost=lost)
    return 1 if lost else 0
