"""What a channel suffers from another one of its worker that hangs and has a long backlog.

Two channels, PostgreSQL and a sealer; hosts in the worker's process. `healthy` accepts at once;
`sick` never answers within its time, has sends that are due earlier, and more than fit. Rounds with
and without the sick one's backlog take turns, each with a new worker; a round's rate is the sends
that `healthy` was handed in a second, from the first to the last of `count`. `neighbour_ratio` is
the median rate beside the sick one over the median rate alone.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from statistics import median
from typing import Any

import psycopg

from tests.servers.postgresql import running_postgresql
from tests.servers.wait import until
from wayfare_engine.channels.clock import boottime
from wayfare_engine.clock import new_id, now
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.lease.guard import Guard
from wayfare_engine.objectstore import open_store
from wayfare_engine.outbox import Channel, Key, Origin, PlannedSend, SendWorker, plan_send
from wayfare_engine.outbox.channel import Answer, HandOver, Reading, Result

COUNT, ROUNDS = 8_000, 7
_SITE, _WINDOW = "east", 5.0
_PLACES, _QUEUE = 16, 100


class Host:
    """Accepts batches of 100 and notes when, or hangs until `let_go`."""

    def __init__(self, *, hangs: bool) -> None:
        self.came: list[float] = []
        self.let_go = threading.Event()
        self._hangs = hangs

    def batch_size(self) -> int:
        """See `BatchHost.batch_size`."""
        return 1 if self._hangs else 100

    def reading(self, youngest: float) -> Reading:
        """See `Host.reading`."""
        return Reading("now", boottime())

    def hand_over(self, what: HandOver) -> Answer:
        """See `Host.hand_over`."""
        return self.hand_over_batch([what])[0]

    def hand_over_batch(self, what: Sequence[HandOver]) -> Sequence[Answer]:
        """See `BatchHost.hand_over_batch`."""
        if self._hangs:
            self.let_go.wait(what[0].remaining)
            return [Answer(Result.IN_DOUBT, "no answer")] * len(what)
        self.came += [boottime()] * len(what)
        return [Answer(Result.ACCEPTED)] * len(what)

    def took_effect(self, send_key: str, seconds: float) -> bool:
        """See `Host.took_effect`."""
        raise NotImplementedError


def measure(scale: float) -> dict[str, Any]:
    """The figures, over seven rounds of each with `scale` of 8,000 sends."""
    count = max(500, int(COUNT * scale))
    seen: dict[bool, list[float]] = {False: [], True: []}
    with running_postgresql() as server, tempfile.TemporaryDirectory() as folder:
        for number in range(2 * max(2, round(ROUNDS * min(1.0, scale * 4)))):
            sick = number % 2 == 1
            dsn = server.database()
            with _sealing(dsn, f"file://{folder}/{number}"):
                seen[sick].append(_round(dsn, count, sick=sick))
    alone, beside = median(seen[False]), median(seen[True])
    return {
        "neighbour_alone_s": round(alone),
        "neighbour_beside_s": round(beside),
        "neighbour_ratio": round(beside / alone, 3),
    }


def _round(dsn: str, count: int, *, sick: bool) -> float:
    hosts = {"healthy": Host(hangs=False), "sick": Host(hangs=True)}
    origin, guard = Origin(_SITE, 1, new_id, now), Guard()
    guard.extend(boottime() + 3600)
    _plan(dsn, origin, "healthy", count, minutes=1)
    if sick:
        _plan(dsn, origin, "sick", count, minutes=60)
    channels = {
        name: Channel(name, host, Key(3600.0), concurrency=_PLACES, queue=_QUEUE)
        for name, host in hosts.items()
    }
    worker = SendWorker(
        dsn, origin, channels=channels, guard=guard, window=_WINDOW, boottime=boottime
    )
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    came = hosts["healthy"].came
    until(lambda: len(came) == count, seconds=300, every=0.02, what="all healthy sends left")
    hosts["sick"].let_go.set()
    stop.set()
    thread.join()
    first = count // 5
    return (count - first) / (came[-1] - came[first])


def _plan(dsn: str, origin: Origin, channel: str, count: int, *, minutes: int) -> None:
    due = now() - timedelta(minutes=minutes)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for first in range(0, count, 1000):
            sends = [
                PlannedSend("j", f"{channel}-{n}", "", "node", 1, channel, due, payload="{}")
                for n in range(first, min(first + 1000, count))
            ]
            plan_send(connection, sends, origin)
        connection.execute("ANALYZE wayfare.outbox")


@contextmanager
def _sealing(dsn: str, url: str) -> Iterator[None]:
    sealer = Sealer(dsn, open_store(url), plan="bench", site=_SITE, clock=now, seconds=0.05)
    stop = threading.Event()
    thread = threading.Thread(target=sealer.run, args=(stop,))
    thread.start()
    yield
    stop.set()
    thread.join()
