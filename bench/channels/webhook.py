"""Webhook sends from one worker process to a receiver on this machine, as in production.

Processes: PostgreSQL, an S3 server, the sealer, the send worker, the host with the plugin
`webhook`, the receiver. `count` sends are due when the worker starts. `webhook_s` is how many reach
the receiver in a second, from the tenth part of them to the last tenth; then each must be
`Accepted` in PostgreSQL, and have come once.

The baseline is what one writes with httpx and tenacity: sixteen tasks, connections that stay open,
the same signature and idempotency key, retries with jitter, a breaker. `httpx_s` keeps nothing: its
sends are in memory, and so are their outcomes. `httpx_kept_s` takes a hundred sends at a time from
a table (`FOR UPDATE SKIP LOCKED`), and writes that and each outcome into it; nothing of it is in a
store before a call, and no second site is thought of.
"""

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import sys
import tempfile
import threading
import time
import types
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from bench.channels.receiver import receive, received
from tests.servers.channel_host import channel_host
from tests.servers.objects import running_objects
from tests.servers.ports import free_port
from tests.servers.postgresql import running_postgresql
from tests.servers.wait import until
from wayfare_engine.channels.clock import boottime
from wayfare_engine.channels.plugins.signing import secret, signatures
from wayfare_engine.clock import new_id, now
from wayfare_engine.guards import Breaker, BreakerLimits, Permit
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.lease.guard import Guard
from wayfare_engine.lease.terms import Terms
from wayfare_engine.objectstore import open_store
from wayfare_engine.outbox import Channel, HttpHost, Key, Origin, PlannedSend, SendWorker, plan_send

COUNT = 30_000
_PLAN, _SITE, _CHANNEL = "bench", "east", "shop/hook"
_SEAL_SECONDS = 0.1
_TASKS = 16
#: As a Channel with `limits.concurrency` of so many: the plugin's connections, by default.
_AT_ONCE = 64
_KEY = "whsec_" + base64.b64encode(b"a-key-of-the-benchmark-32-bytes-").decode()
_PAYLOAD = '{"template":"welcome","language":"tr","name":"Ayse","amount":"129.90"}'
_TAKE = """
UPDATE wayfare.plain_outbox SET status = 'Sending' WHERE key IN (
    SELECT key FROM wayfare.plain_outbox WHERE status IS NULL
    ORDER BY key LIMIT 100 FOR UPDATE SKIP LOCKED)
RETURNING key, payload
"""
_END = "UPDATE wayfare.plain_outbox SET status = 'Accepted', ended = now() WHERE key = %s"
_context = multiprocessing.get_context("spawn")


def measure(scale: float) -> dict[str, Any]:
    """The figures, over `scale` of 30,000 sends; of a fifth of that for the baselines."""
    count = max(1_000, int(COUNT * scale))
    few = max(200, count // 5)
    with tempfile.TemporaryDirectory() as folder, running_postgresql() as server:
        here = Path(folder)
        alone = _memory(here / "memory", few)
        kept = _kept(here / "kept", few, server.database())
        with running_objects() as objects:
            ours = _ours(here / "ours", count, server.database(), objects.url(), objects.options)
        again = _memory(here / "again", few)
    alone = (alone + again) / 2
    return {
        "webhook_s": round(ours),
        "httpx_s": round(alone),
        "httpx_kept_s": round(kept),
        "webhook_vs_httpx": round(ours / alone, 2),
        "webhook_vs_httpx_kept": round(ours / kept, 2),
    }


def _rate(times: list[float]) -> float:
    """A second, without the first and the last tenth."""
    tenth = len(times) // 10
    return (len(times) - 2 * tenth) / (times[-tenth - 1] - times[tenth])


@contextmanager
def _receiver(folder: Path) -> Iterator[tuple[int, Path]]:
    folder.mkdir()
    port, file = free_port(), folder / "received"
    process = _context.Process(target=receive, args=(port, file), daemon=True)
    process.start()
    with httpx.Client(trust_env=False) as client:
        until(
            lambda: client.post(f"http://127.0.0.1:{port}/").status_code == 204,
            what="a receiver",
            ignoring=(httpx.TransportError,),
        )
    yield port, file
    assert process.pid is not None
    process.terminate()
    process.join()


def _came(file: Path, count: int) -> float:
    """How many a second came; each must have come once."""
    seen = received(file)
    assert len({key for key, _ in seen}) == len(seen) == count, "each came, and once"
    return _rate([at for _, at in seen])


# Ours.


def _ours(folder: Path, count: int, dsn: str, store_url: str, options: dict[str, str]) -> float:
    with _receiver(folder) as (port, file):
        _plan(dsn, count)
        config, secrets = folder / "hook.json", folder / "secrets"
        config.write_text(json.dumps({"url": f"http://127.0.0.1:{port}/in"}))
        secrets.mkdir()
        (secrets / "signing").write_text(_KEY)
        words = ("--plugin", "webhook", "--config", str(config), "--secrets-dir", str(secrets))
        stop = _context.Event()
        with channel_host(folder / "host", *words) as host:
            processes = [
                _context.Process(target=_seal, args=(dsn, store_url, options, stop), daemon=True),
                _context.Process(target=_send, args=(dsn, host.url, stop), daemon=True),
            ]
            for process in processes:
                process.start()
            with psycopg.connect(dsn, autocommit=True) as connection:
                until(lambda: _accepted(connection) == count, seconds=600, every=0.5)
            stop.set()
            for process in processes:
                process.join()
                assert process.exitcode == 0, "a process of the benchmark failed"
    return _came(file, count)


def _plan(dsn: str, count: int) -> None:
    origin = Origin(_SITE, 1, new_id, now)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for first in range(0, count, 1000):
            sends = [_planned(n) for n in range(first, min(first + 1000, count))]
            plan_send(connection, sends, origin)
        connection.execute("ANALYZE wayfare.outbox")


def _planned(number: int) -> PlannedSend:
    return PlannedSend(
        journey="welcome",
        customer=f"C{number:08d}",
        entry_key="",
        node="hello",
        visit=1,
        channel=_CHANNEL,
        due=now(),
        payload=_PAYLOAD,
    )


def _accepted(connection: psycopg.Connection[Any]) -> int:
    found = connection.execute(
        "SELECT count(*) FROM wayfare.outbox WHERE outcome = 'Accepted'"
    ).fetchone()
    return found[0] if found else 0


def _seal(dsn: str, url: str, options: dict[str, str], stop: Event) -> None:
    store = open_store(url, options=options)
    sealer = Sealer(dsn, store, plan=_PLAN, site=_SITE, clock=now, seconds=_SEAL_SECONDS)
    _until(stop, sealer.run)


def _send(dsn: str, url: str, stop: Event) -> None:
    guard = Guard()
    guard.extend(boottime() + 3600)
    host = HttpHost(url, boottime=boottime, connect_seconds=1.0)
    worker = SendWorker(
        dsn,
        Origin(_SITE, 1, new_id, now),
        channels={
            _CHANNEL: Channel(_CHANNEL, host, Key(86_400.0), concurrency=_AT_ONCE, at_once=_AT_ONCE)
        },
        guard=guard,
        window=Terms().carried,
        boottime=boottime,
        breakers={_CHANNEL: Breaker(_CHANNEL, BreakerLimits(), clock=boottime)},
    )
    _until(stop, worker.run)


def _until(stop: Event, run: Callable[[threading.Event], object]) -> None:
    ended = threading.Event()
    thread = threading.Thread(target=run, args=(ended,))
    thread.start()
    stop.wait()
    ended.set()
    thread.join()


# The baselines.


def _memory(folder: Path, count: int) -> float:
    with _receiver(folder) as (port, file):
        process = _context.Process(target=_httpx, args=(port, count, None), daemon=True)
        process.start()
        process.join()
        assert process.exitcode == 0
    return _came(file, count)


def _kept(folder: Path, count: int, dsn: str) -> float:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE wayfare.plain_outbox "
            "(key text PRIMARY KEY, payload json NOT NULL, status text, ended timestamptz)"
        )
        connection.execute(
            "INSERT INTO wayfare.plain_outbox "
            "SELECT 'k' || n, %s::json FROM generate_series(0, %s) n",
            (_PAYLOAD, count - 1),
        )
        connection.execute("CREATE INDEX ON wayfare.plain_outbox (key) WHERE status IS NULL")
    with _receiver(folder) as (port, file):
        process = _context.Process(target=_httpx, args=(port, count, dsn), daemon=True)
        process.start()
        process.join()
        assert process.exitcode == 0
    return _came(file, count)


class _NotTaken(Exception):
    pass


def _httpx(port: int, count: int, dsn: str | None) -> None:
    # httpcore looks for this at each request; where there is none, that is a fifth of its time.
    asking = types.ModuleType("sniffio")
    asking.current_async_library = lambda: "asyncio"  # type: ignore[attr-defined]
    sys.modules.setdefault("sniffio", asking)
    asyncio.run(_loop(f"http://127.0.0.1:{port}/in", count, dsn))


async def _loop(url: str, count: int, dsn: str | None) -> None:
    breaker = Breaker("plain", BreakerLimits(), clock=time.monotonic)
    keys = [secret(_KEY)]
    async with httpx.AsyncClient(timeout=4.0, trust_env=False) as client:

        async def once(key: str, payload: object) -> None:
            permit = breaker.allow()
            if not isinstance(permit, Permit):
                raise _NotTaken
            at = int(time.time())
            data = {"send_key": key, "customer": key, "channel": _CHANNEL, "payload": payload}
            stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
            body = msgspec.json.encode({"type": "wayfare.send", "timestamp": stamp, "data": data})
            headers = {
                "content-type": "application/json",
                "webhook-id": key,
                "webhook-timestamp": str(at),
                "webhook-signature": signatures(keys, key, at, body),
            }
            began = time.monotonic()
            answer = await client.post(url, content=body, headers=headers)
            if answer.status_code in (429, 503):
                breaker.failed(permit)
                raise _NotTaken
            breaker.succeeded(permit, time.monotonic() - began)

        async def send(key: str, payload: object) -> None:
            async for attempt in AsyncRetrying(
                wait=wait_random_exponential(multiplier=1, max=300),
                stop=stop_after_attempt(3),
                retry=retry_if_exception_type((_NotTaken, httpx.ConnectError)),
                reraise=True,
            ):
                with attempt:
                    await once(key, payload)

        if dsn is None:
            await _from_memory(send, count)
        else:
            await _from_a_table(send, dsn)


async def _from_memory(send: Callable[[str, object], Awaitable[None]], count: int) -> None:
    waiting = iter([(f"k{n}", json.loads(_PAYLOAD)) for n in range(count)])

    async def task() -> None:
        for key, payload in waiting:
            await send(key, payload)

    await asyncio.gather(*(task() for _ in range(_TASKS)))


async def _from_a_table(send: Callable[[str, object], Awaitable[None]], dsn: str) -> None:
    connections = [
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) for _ in range(_TASKS + 1)
    ]
    *writers, taker = connections
    while True:
        cursor = await taker.execute(_TAKE)
        rows = iter(await cursor.fetchall())
        done = sum(await asyncio.gather(*(_hand_on(send, rows, writer) for writer in writers)))
        if not done:
            break
    for connection in connections:
        await connection.close()


async def _hand_on(
    send: Callable[[str, object], Awaitable[None]],
    rows: Iterator[tuple[str, object]],
    writer: psycopg.AsyncConnection[Any],
) -> int:
    done = 0
    for key, payload in rows:
        await send(key, payload)
        await writer.execute(_END, (key,))
        done += 1
    return done
