"""Real processes, forked from one that has everything loaded, so that each starts at once."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from typing import Any, cast

import psycopg

from tests.servers.forking import context
from wayfare_engine import crashpoints
from wayfare_engine.lease import EpochTaken, Statement, TakeEpoch, Terms, take
from wayfare_engine.lease.take_epoch import next_epoch
from wayfare_engine.objectstore import ObjectStore, open_store


def take_next(dsn: str, url: str, crash: str | None) -> None:
    """West takes the next epoch on a statement, with a wait of 0.3 s; killed at `crash`."""
    if crash is not None:
        os.environ[crashpoints.VARIABLE] = crash
    store = open_store(url)
    with psycopg.connect(dsn, autocommit=True) as connection:
        TakeEpoch(
            connection,
            store,
            plan="retail",
            site="west",
            epoch=next_epoch(connection, store, "retail"),
            reason="a test",
            terms=Terms(0.2, 0.001, 0.1),
            now=lambda: datetime.now(UTC),
            new_nonce=lambda: uuid.uuid4().hex,
            sleep=time.sleep,
            grounds=Statement(text="off", by="ana"),
        ).run()


def exit_code(dsn: str, url: str, crash: str | None = None) -> int | None:
    """Run `take_next` in a process of its own."""
    process = context.Process(target=take_next, args=(dsn, url, crash))
    process.start()
    process.join(120)
    return process.exitcode


class CountingCreates:
    """A store that counts the creates that came too late."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.late = 0

    def put_if_absent(self, path: str, body: bytes) -> bool:
        created = self._store.put_if_absent(path, body)
        self.late += not created
        return created

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@dataclass(frozen=True)
class Raced:
    """What one process saw: the epochs that it created, who it was told has each of the others,
    and how many of its creates met an object that its read had not seen."""

    site: str
    created: frozenset[int]
    told: dict[int, str]
    late: int


def race(
    start: Barrier, results: Any, site: str, url: str, options: dict[str, str], rounds: int
) -> None:
    """Try to take epochs 1 to `rounds`, each together with the other processes."""
    store = CountingCreates(open_store(url, options=options))
    created, told = set(), {}
    for epoch in range(1, rounds + 1):
        start.wait(60)
        try:
            taken = take(
                cast("ObjectStore", store),
                plan="retail",
                site=site,
                epoch=epoch,
                nonce=site,
                reason="a race",
                at=datetime.now(UTC),
            )
        except EpochTaken as lost:
            told[epoch] = lost.site
        else:
            assert taken.created, "nobody tried before"
            created.add(epoch)
    results.put(Raced(site, frozenset(created), told, store.late))
