"""A proxy in front of an S3 server that does to requests what networks and servers do.

It signs nothing and changes no request: clients sign for the proxy's own address, and the bytes go
on as they came. Each client ("site") has a port of its own, so that one can be cut off alone.

    faults = FaultStore(objects)              # an ObjectServer; runs in a thread until stop()
    store = open_store(objects.url(), options=faults.options("a"))
    faults.rule("a", Drop(), methods="PUT", path="/lease/", times=1)
    faults.partition("b")                     # nothing of b comes through, and no answer
    faults.release()                          # PUTs that were held take effect now
    faults.heal()                             # no rules, no partitions; what is held stays so

What a rule does is one of `Delay, Answer, Drop, Cut, Hold, Stale, Overwrites`. The first rule of a
site that matches is used, the oldest first; `times` is how often it may be.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from tests.servers.faults import Answer, Cut, Delay, Drop, Fault, Hold, Overwrites, Stale, hide
from tests.servers.ports import free_port
from tests.servers.wire import Message, answer, read_answer, read_request

__all__ = [
    "Answer",
    "Cut",
    "Delay",
    "Drop",
    "FaultStore",
    "Hold",
    "Overwrites",
    "Rule",
    "Seen",
    "Stale",
    "running_faults",
]

T = TypeVar("T")


class Upstream(Protocol):
    """What is asked of the server behind: `ObjectServer` has it."""

    port: int

    @property
    def options(self) -> dict[str, str]: ...


@dataclass
class Rule:
    """When a fault applies. `used` counts how often it did."""

    fault: Fault
    methods: frozenset[str]
    path: re.Pattern[str]
    times: int | None
    chance: float
    used: int = 0

    def matches(self, request: Message, dice: random.Random) -> bool:
        """Whether it applies to this request, and if so counts it."""
        if self.times is not None and self.used >= self.times:
            return False
        if self.methods and request.method not in self.methods:
            return False
        if not self.path.search(request.target):
            return False
        if self.chance < 1.0 and dice.random() >= self.chance:
            return False
        self.used += 1
        return True


@dataclass(frozen=True)
class Seen:
    """A request that arrived: `status` is what the server behind said (0: it was not asked)."""

    site: str
    method: str
    path: str
    status: int


@dataclass
class _Site:
    name: str
    port: int
    rules: tuple[Rule, ...] = ()
    cut_off: Literal["no", "silent", "refused"] = "no"
    server: asyncio.Server | None = None
    open: set[asyncio.Task[None]] = field(default_factory=set)


class FaultStore:
    """The proxy. Its methods may be called from any thread."""

    def __init__(self, upstream: Upstream, *, seed: int = 0) -> None:
        self._upstream = upstream
        self._dice = random.Random(seed)
        self._sites: dict[str, _Site] = {}
        self._held: list[Message] = []
        self._later: set[asyncio.Task[None]] = set()
        self._put_at: dict[str, float] = {}
        self._seen: list[Seen] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faults", daemon=True)
        self._thread.start()

    def endpoint(self, site: str) -> str:
        """The site's own address."""
        return f"http://127.0.0.1:{self._site(site).port}"

    def options(self, site: str) -> dict[str, str]:
        """What `open_store` needs to come in at this site's port, in the environment's names."""
        return self._upstream.options | {"AWS_ENDPOINT_URL": self.endpoint(site)}

    def rule(
        self,
        site: str,
        fault: Fault,
        *,
        methods: str = "",
        path: str = "",
        times: int | None = None,
        chance: float = 1.0,
    ) -> Rule:
        """From now on `fault` for requests of `site` (`*`: of all that there are).

        `methods`: such as `PUT GET`, all when empty. `path`: a regular expression searched in path
        and query. `chance`: the share of the matching requests, by the seed's dice.
        """
        rule = Rule(fault, frozenset(methods.split()), re.compile(path), times, chance)
        for place in self._places(site):
            place.rules = (*place.rules, rule)
        return rule

    def partition(self, site: str, *, how: Literal["silent", "refused"] = "silent") -> None:
        """Cut a site off: its packets vanish (`silent`), or nothing listens (`refused`)."""
        for place in self._places(site):
            place.cut_off = how
            if how == "refused":
                self._run(self._close(place))

    def heal(self, site: str = "*") -> None:
        """Rules and partitions end, and so do the connections that hung in them."""
        for place in self._places(site):
            hanging = place.cut_off != "no"
            place.rules, place.cut_off = (), "no"
            if hanging:
                self._run(self._close(place))
                self._run(self._listen(place))

    @property
    def held(self) -> list[str]:
        """`METHOD path` of the requests that wait to take effect."""
        return [f"{m.method} {m.path}" for m in self._held]

    def release(self) -> list[int]:
        """Let what was held take effect, in the order of arrival; the server's statuses."""
        return self._run(self._release())

    def seen(self, site: str = "*", method: str = "", path: str = "") -> list[Seen]:
        """Requests that arrived so far, in order; `path`: a regular expression."""
        return [
            s
            for s in list(self._seen)
            if site in ("*", s.site) and method in ("", s.method) and re.search(path, s.path)
        ]

    def put_at(self) -> dict[str, float]:
        """When each object was in the store, by its path with the bucket's: CLOCK_MONOTONIC, noted
        before the client is told."""
        return dict(self._put_at)

    def stop(self) -> None:
        """Close everything."""
        for place in self._sites.values():
            self._run(self._close(place))
        self._run(self._end_late())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _places(self, site: str) -> list[_Site]:
        return list(self._sites.values()) if site == "*" else [self._site(site)]

    def _site(self, name: str) -> _Site:
        if name not in self._sites:
            place = _Site(name, free_port())
            self._run(self._listen(place))
            self._sites[name] = place
        return self._sites[name]

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _listen(self, place: _Site) -> None:
        def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = self._loop.create_task(self._serve(place, reader, writer))
            place.open.add(task)
            task.add_done_callback(place.open.discard)

        place.server = await asyncio.start_server(start, "127.0.0.1", place.port, limit=1 << 20)

    async def _close(self, place: _Site) -> None:
        if place.server is not None:
            place.server.close()
            place.server = None
        await _end(place.open)

    async def _serve(
        self, place: _Site, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            async with _Line(self._upstream.port) as line:
                while (request := await read_request(reader)) is not None:
                    if not await self._one(place, request, line, writer):
                        break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            _abort(writer)

    async def _one(
        self, place: _Site, request: Message, line: _Line, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one request; False when the connection is not to be used again."""
        if place.cut_off == "silent":
            self._note(place, request, 0)
            await _nothing()
        rule = next((r for r in place.rules if r.matches(request, self._dice)), None)
        fault = rule.fault if rule else None
        match fault:
            case Delay(seconds):
                await asyncio.sleep(seconds)
            case Answer(status, code, message, headers, late):
                self._note(place, request, (await line.ask(request)).status if late else 0)
                writer.write(answer(status, code, message, **dict(headers)))
                await writer.drain()
                return True
            case Cut(middle=False):
                self._note(place, request, 0)
                return False
            case Hold(seconds, silent):
                self._note(place, request, 0)
                self._hold(request, seconds)
                if silent:
                    await _nothing()
                return False
        said = await line.ask(request)
        self._note(place, request, said.status)
        match fault:
            case Drop(silent):
                if silent:
                    await _nothing()
                return False
            case Cut(middle=True):
                writer.write(said.raw[: len(said.head) + len(said.body) // 2])
                await writer.drain()
                return False
            case Stale(seconds):
                fresh = self._fresh(seconds)
                writer.write(hide(request, said, fresh))
            case Overwrites() if said.status in (409, 412):
                writer.write(answer(200, "OK", ETag='"0"'))
            case _:
                writer.write(said.raw)
        await writer.drain()
        return True

    def _note(self, place: _Site, request: Message, status: int) -> None:
        self._seen.append(Seen(place.name, request.method, request.path, status))
        if request.method == "PUT" and status == 200:
            self._put_at[request.path] = self._loop.time()

    def _fresh(self, seconds: float) -> set[str]:
        after = self._loop.time() - seconds
        return {path for path, at in self._put_at.items() if at > after}

    def _hold(self, request: Message, seconds: float | None) -> None:
        self._held.append(request)
        if seconds is not None:
            task = self._loop.create_task(self._late(request, seconds))
            self._later.add(task)
            task.add_done_callback(self._later.discard)

    async def _end_late(self) -> None:
        await _end(self._later)

    async def _late(self, request: Message, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if request in self._held:
            self._held.remove(request)
            with contextlib.suppress(OSError):
                async with _Line(self._upstream.port) as line:
                    await line.ask(request)

    async def _release(self) -> list[int]:
        statuses: list[int] = []
        waiting, self._held = self._held, []
        async with _Line(self._upstream.port) as line:
            for request in waiting:
                statuses.append((await line.ask(request)).status)
        return statuses


class _Line:
    """A connection to the server behind, opened when it is first needed and after it broke."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._pair: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> _Line:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._pair is not None:
            self._pair[1].close()

    async def ask(self, request: Message) -> Message:
        """Send it and wait for the answer, however long; OSError when the line breaks."""
        if self._pair is None or self._pair[0].at_eof():
            self._pair = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        reader, writer = self._pair
        writer.write(request.raw)
        await writer.drain()
        said = await read_answer(reader, request.method)
        if (said.header("connection") or "").lower() == "close":
            writer.close()
            self._pair = None
        return said


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


async def _nothing() -> None:
    await asyncio.Event().wait()


def _abort(writer: asyncio.StreamWriter) -> None:
    """End a connection as a broken line does: what was not read yet is gone."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


@contextlib.contextmanager
def running_faults(upstream: Upstream, *, seed: int = 0) -> Iterator[FaultStore]:
    """A proxy, stopped afterwards."""
    faults = FaultStore(upstream, seed=seed)
    try:
        yield faults
    finally:
        faults.stop()
