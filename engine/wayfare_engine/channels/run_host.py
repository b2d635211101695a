"""Running a host: open the plugin, serve, and end without a send half done."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Collection

import structlog

from wayfare_engine.channels.clock import HostClock
from wayfare_engine.channels.host import Host
from wayfare_engine.channels.host_app import make_app
from wayfare_engine.channels.plugin import ChannelPlugin
from wayfare_engine.errors import FAILED
from wayfare_engine.web.server import http_server, run_until_signal

log = structlog.get_logger(__name__)


async def run_host(
    plugin: ChannelPlugin,
    *,
    address: str,
    port: int,
    longest: float,
    concurrency: int,
    secrets: Collection[str] = (),
) -> int:
    """Serve `plugin` until SIGTERM or SIGINT; returns the exit code. `longest` is H in seconds.

    From the signal on no send is taken; those under way end within what they have left, which is
    at most H. A plugin that goes on after that ends with the process, and the code is 1.
    """
    # A new name with each start: a reading of an earlier life of this host is then late.
    clock = HostClock(uuid.uuid4().hex, longest=longest)
    host = Host(plugin, clock=clock, concurrency=concurrency, secrets=secrets)
    server = http_server(make_app(host), host=address, port=port)

    async def drain() -> None:
        log.info("channel.ending", plugin=plugin.name)
        await host.end(longest)

    log.info("channel.starting", plugin=plugin.name, version=plugin.version, port=port)
    await plugin.begin()
    await run_until_signal(server, before_end=drain)
    try:
        async with asyncio.timeout(longest):
            await plugin.close()
    except Exception as error:
        log.warning("channel.close_failed", plugin=plugin.name, error=type(error).__name__)
    if host.under_way:
        # Calls that went on when they were told to end. Nothing may take effect after its time, so
        # they are not waited for, as the event loop's own end would.
        log.error("channel.ended_under_way", plugin=plugin.name, calls=host.under_way)
        os._exit(FAILED)
    log.info("channel.ended", plugin=plugin.name)
    return 0
