"""From a planned send to its dispatch in the store, with an S3 server on this machine.

Planners, the sealer and a send worker, processes of their own as in production. `dispatch_ms`:
from the commit of a send's intent until its dispatch is known to be in the store ("journaled") and
the hand-over begins, at `offered` intents a second and a sealing pause of `seal_seconds`. A send
that never came so far counts with the time that it waited, and in `never_in_time`. The baseline is
the same with one object a row: transactions of one row, and a segment for each.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import psycopg

from tests.servers.objects import running_objects
from tests.servers.postgresql import running_postgresql
from tests.servers.wait import NeverHappened, until
from wayfare_engine.clock import new_id, now
from wayfare_engine.journal.sealer import MAX_ROWS, Sealer
from wayfare_engine.lease.guard import Guard
from wayfare_engine.lease.terms import Terms, boottime
from wayfare_engine.objectstore import open_store
from wayfare_engine.outbox import Channel, Key, Origin, PlannedSend, SendWorker, plan_send
from wayfare_engine.outbox.channel import Answer, HandOver, Reading, Result

_PLAN, _SITE = "bench", "east"
_RATE = 1000
#: What docs/sends.md says for sites that send much.
SEAL_SECONDS = 0.1
_PLANNERS = 4
_SECONDS = 20.0
_WARM_UP_SECONDS = 3.0
#: A backlog that does not end is not waited for longer than this.
_DRAIN_SECONDS = 5.0
_context = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Set:
    """One measurement. `planned` intents a transaction, `batch` dispatches a transaction,
    `seal_rows` rows a segment; times in seconds."""

    dsn: str
    store_url: str
    store_options: dict[str, str]
    folder: Path
    seconds: float
    planned: int
    batch: int
    seal_rows: int
    pause: float = SEAL_SECONDS


class Listening:
    """A host that accepts everything at once and notes when each hand-over began."""

    def __init__(self) -> None:
        self.began: list[tuple[str, float]] = []

    def reading(self, youngest: float) -> Reading:
        """See `Host.reading`."""
        return Reading("now", boottime())

    def hand_over(self, what: HandOver) -> Answer:
        """See `Host.hand_over`."""
        self.began.append((what.send.send_key, boottime()))
        return Answer(Result.ACCEPTED)

    def took_effect(self, send_key: str, seconds: float) -> bool:
        """See `Host.took_effect`."""
        raise NotImplementedError


def _plan(given: Set, stop: Event) -> None:
    planners = [
        threading.Thread(target=_plan_one, args=(given, number, stop))
        for number in range(_PLANNERS)
    ]
    for planner in planners:
        planner.start()
    for planner in planners:
        planner.join()


def _plan_one(given: Set, planner: int, stop: Event) -> None:
    origin = Origin(_SITE, 1, new_id, now)
    pause = given.planned * _PLANNERS / _RATE
    number = planner
    with (
        psycopg.connect(given.dsn, autocommit=True) as connection,
        (given.folder / f"planned-{planner}").open("w") as file,
    ):
        due = time.monotonic()
        while not stop.is_set():
            sends = [_send_of(number + i * _PLANNERS) for i in range(given.planned)]
            number += given.planned * _PLANNERS
            plan_send(connection, sends, origin)
            committed = boottime()
            file.writelines(f"{send.key} {committed}\n" for send in sends)
            due += pause
            if (left := due - time.monotonic()) > 0:
                time.sleep(left)


def _seal(given: Set, stop: Event) -> None:
    store = open_store(given.store_url, options=given.store_options)
    sealer = Sealer(
        given.dsn,
        store,
        plan=_PLAN,
        site=_SITE,
        clock=now,
        seconds=given.pause,
        max_rows=given.seal_rows,
    )
    _until(stop, sealer.run)


def _send(given: Set, stop: Event) -> None:
    host, guard = Listening(), Guard()
    guard.extend(boottime() + 3600)
    worker = SendWorker(
        given.dsn,
        Origin(_SITE, 1, new_id, now),
        channels={"sms": Channel("sms", host, Key(3600.0))},
        guard=guard,
        window=Terms().carried,
        boottime=boottime,
        batch=given.batch,
    )
    _until(stop, worker.run)
    (given.folder / "began").write_text("".join(f"{key} {at}\n" for key, at in host.began))


def _until(stop: Event, run: Callable[[threading.Event], object]) -> None:
    ended = threading.Event()
    thread = threading.Thread(target=run, args=(ended,))
    thread.start()
    stop.wait()
    ended.set()
    thread.join()


def _send_of(number: int) -> PlannedSend:
    return PlannedSend(
        journey="welcome",
        customer=f"C{number:08d}",
        entry_key="",
        node="hello",
        visit=1,
        channel="sms",
        due=now(),
        payload='{"template":"welcome","language":"tr"}',
    )


def _all_accepted(connection: psycopg.Connection[Any]) -> bool:
    found = connection.execute("SELECT 1 FROM wayfare.outbox WHERE outcome IS NULL LIMIT 1")
    return found.rowcount == 0


def _run(given: Set) -> dict[str, Any]:
    given.folder.mkdir()
    stop_planning, stop = _context.Event(), _context.Event()
    processes: list[SpawnProcess] = [
        _context.Process(target=role, args=(given, end), daemon=True)
        for role, end in ((_seal, stop), (_send, stop), (_plan, stop_planning))
    ]
    for process in processes[:2]:
        process.start()
    with psycopg.connect(given.dsn, autocommit=True) as connection:
        # The first one goes all the way: then sealer and worker are at work.
        plan_send(connection, [_send_of(-1)], Origin(_SITE, 1, new_id, now))
        until(lambda: _all_accepted(connection), seconds=60, what="the first send is accepted")
    processes[2].start()
    planned = [given.folder / f"planned-{planner}" for planner in range(_PLANNERS)]
    until(lambda: all(p.exists() for p in planned), seconds=60, what="sends are planned")
    began = boottime()
    time.sleep(_WARM_UP_SECONDS + given.seconds)
    ended = boottime()
    stop_planning.set()
    processes[2].join()
    with (
        contextlib.suppress(NeverHappened),
        psycopg.connect(given.dsn, autocommit=True) as connection,
    ):
        until(lambda: _all_accepted(connection), seconds=_DRAIN_SECONDS, every=0.2)
    stop.set()
    for process in processes:
        process.join()
        assert process.exitcode == 0, "a process of the benchmark failed"
    committed = _read(*planned)
    left = _read(given.folder / "began")
    first = began + _WARM_UP_SECONDS
    offered = [key for key, at in committed.items() if first <= at < ended]
    over = boottime()
    waited = sorted((left.get(key, over) - committed[key]) * 1000 for key in offered)
    done = sum(1 for at in left.values() if first <= at < ended)
    quantiles = statistics.quantiles(waited, n=100)
    return {
        "seal_seconds": given.pause,
        "p50": round(quantiles[49], 1),
        "p99": round(quantiles[98], 1),
        "rate": round(done / given.seconds),
        "offered": round(len(offered) / given.seconds),
        "never_in_time": sum(1 for key in offered if key not in left),
    }


def _read(*files: Path) -> dict[str, float]:
    pairs = (line.split() for file in files for line in file.read_text().splitlines())
    return {key: float(at) for key, at in pairs}


def measure(scale: float) -> dict[str, Any]:
    """The figures, over `scale` of 20 s, and of a quarter of that for the baseline."""
    seconds = max(2.0, _SECONDS * scale)
    with (
        running_postgresql() as server,
        running_objects() as objects,
        tempfile.TemporaryDirectory() as folder,
    ):

        def run(name: str, seconds: float, planned: int, batch: int, seal_rows: int) -> Any:
            given = Set(
                server.database(),
                objects.url(),
                objects.options,
                Path(folder) / name,
                seconds,
                planned,
                batch,
                seal_rows,
            )
            return _run(given)

        ours = run("ours", seconds, planned=10, batch=500, seal_rows=MAX_ROWS)
        baseline = run("put_per_row", max(2.0, seconds / 4), planned=1, batch=1, seal_rows=1)
    return {"dispatch_ms": ours, "dispatch_ms_put_per_row": baseline}
