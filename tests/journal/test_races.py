"""Two sealers of one site, and a line that is lost at the worst moments: never a fork."""

from __future__ import annotations

import random
import threading
import time
import uuid
from typing import Any

import psycopg
import pytest

from tests.journal.making import (
    PLAN,
    chained_ids,
    rows,
    seal_all,
    sealer,
    sealing,
    write,
)
from tests.servers.faultstore import Hold, running_faults
from tests.servers.objects import ObjectServer
from tests.servers.tcpproxy import proxied
from tests.servers.wait import until
from wayfare_engine.journal.verify import verify
from wayfare_engine.ledger import append_rows
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable, open_store, paths


class Gate:
    """A store whose writes of segments wait at a gate."""

    def __init__(self, store: ObjectStore, *, after_the_write: bool) -> None:
        self._store = store
        self._after = after_the_write
        self.arrived = threading.Event()
        self.open = threading.Event()

    def create(self, path: str, data: bytes) -> bytes | None:
        if not path.startswith(paths.JOURNAL):
            return self._store.create(path, data)
        answer = self._store.create(path, data) if self._after else None
        self.arrived.set()
        assert self.open.wait(60)
        return answer if self._after else self._store.create(path, data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize("after_the_write", [False, True])
def test_a_second_sealer_takes_over_while_the_first_is_writing(
    dsn: str, store: ObjectStore, after_the_write: bool
) -> None:
    ids = write(dsn, rows(5))
    gate: Any = Gate(store, after_the_write=after_the_write)
    ended: list[BaseException] = []
    with proxied(dsn) as (proxy, address):
        first = sealer(address, gate)

        def work() -> None:
            try:
                first.seal_once()
            except psycopg.OperationalError as error:
                ended.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        assert gate.arrived.wait(60)
        with sealing(dsn, store) as second:
            assert second.seal_once() == 0
            assert not second.holding
            # The server ends the session and its lock; the first sealer knows nothing of it.
            assert proxy.lose_servers() == 1
            ids += write(dsn, rows(3))
            done = 0

            def caught_up() -> bool:
                nonlocal done
                done += second.seal_once()
                return done == 8

            until(caught_up, seconds=60, what="the second sealer took over")
            gate.open.set()
            proxy.cut()
            thread.join(60)
            assert ended
            ids += write(dsn, rows(2))
            assert second.seal_once() == 2
        first.close()
    assert chained_ids(store) == ids
    assert verify(store, plan=PLAN).ok


def test_a_write_that_takes_effect_long_after_on_s3(dsn: str, objects: ObjectServer) -> None:
    """The PUT of a sealer that lost its lock lands when its successor is segments ahead."""
    url = objects.url()
    store = open_store(url, options=objects.options)
    with running_faults(objects) as faults:
        slow = open_store(url, options=faults.options("a"), timeout_seconds=1, retries=0)
        ids = write(dsn, rows(5))
        with sealing(dsn, slow) as first:
            faults.rule("a", Hold(), methods="PUT", path="/journal/", times=1)
            with pytest.raises(StoreUnavailable):
                first.seal_once()
        assert seal_all(dsn, store) == 5
        ids += write(dsn, rows(4))
        assert seal_all(dsn, store) == 4
        assert faults.release()
    assert chained_ids(store) == ids
    assert verify(store, plan=PLAN).ok


@pytest.mark.parametrize("seed", [1, 2])
def test_every_row_once_under_writers_two_sealers_and_lines_that_are_cut(
    dsn: str, store: ObjectStore, seed: int
) -> None:
    dice = random.Random(seed)
    written: list[uuid.UUID] = []
    lock = threading.Lock()
    enough, stop = threading.Event(), threading.Event()

    def writing(number: int) -> None:
        source = random.Random(seed * 100 + number)
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not enough.is_set():
                made = rows(source.randrange(1, 9))
                with connection.transaction():
                    append_rows(connection, made)
                    # Commits come in another order than the ids of transactions.
                    time.sleep(source.random() * 0.01)
                with lock:
                    written.extend(r.id for r in made)

    with proxied(dsn) as (proxy, address):
        sealers = [sealer(address, store, seconds=0.002, max_rows=12) for _ in range(2)]
        runners = [threading.Thread(target=s.run, args=(stop,)) for s in sealers]
        writers = [threading.Thread(target=writing, args=(n,)) for n in range(3)]
        for thread in (*runners, *writers):
            thread.start()
        for _ in range(8):
            reached = sum(s.segments for s in sealers) + dice.randrange(1, 4)

            def further(wanted: int = reached) -> bool:
                return sum(s.segments for s in sealers) >= wanted

            until(further, seconds=60, what="somebody seals again")
            time.sleep(dice.random() * 0.01)
            if dice.random() < 0.5:
                proxy.lose_servers()
                time.sleep(0.05)
            proxy.cut()
        enough.set()
        for thread in writers:
            thread.join()
        stop.set()
        for thread in runners:
            thread.join()
    seal_all(dsn, store)

    found = chained_ids(store)
    assert len(found) == len(set(found))
    assert set(found) == set(written)
    assert verify(store, plan=PLAN).ok
