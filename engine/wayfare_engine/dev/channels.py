"""Channels of `wayfare dev`: each is a sink, whatever its plugin, so that nothing leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from wayfare_engine.channels import Settings
from wayfare_engine.channels.clock import HostClock
from wayfare_engine.channels.host import Host
from wayfare_engine.channels.host_app import make_app
from wayfare_engine.channels.plugins.sink import Sink
from wayfare_engine.plan import PlanChannel
from wayfare_engine.resources import Channel, spec_digest
from wayfare_engine.web.server import http_server

SENDS_FILE = "sends.jsonl"
#: Where every channel of a plan leads: the same at each start, so that the plan is the same, too.
SINK = "http://sink.invalid"
_CONCURRENCY = 256


@contextlib.asynccontextmanager
async def sink_host(folder: Path, *, port: int, longest: float) -> AsyncIterator[str]:
    """A sink for all channels, on loopback; its URL. What it takes is a line of JSON each in the
    folder's `sends.jsonl`."""
    sink = Sink.open(Settings(config={"file": str(folder / SENDS_FILE)}, secrets={}))
    clock = HostClock(uuid.uuid4().hex, longest=longest)
    host = Host(sink, clock=clock, concurrency=_CONCURRENCY)
    server = http_server(make_app(host), host="127.0.0.1", port=port)
    running = asyncio.create_task(server.serve())
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await running
        await sink.close()


def into_sink(channels: Iterable[Channel]) -> dict[str, PlanChannel]:
    """The channels as the plan has them, with the sink in place of their own hosts."""
    return {
        channel.plan_name: PlanChannel(
            url=SINK,
            digest=spec_digest(channel.spec),
            spec=json.loads(channel.spec.model_dump_json(by_alias=True, exclude_none=True)),
        )
        for channel in channels
    }
