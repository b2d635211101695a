"""Real processes, forked from one that has everything loaded, so that each starts at once."""

from __future__ import annotations

import os
import time
import uuid
from datetime import UTC, datetime

import psycopg

from tests.servers.forking import context
from wayfare_engine import crashpoints
from wayfare_engine.lease import Statement, TakeEpoch, Terms
from wayfare_engine.lease.take_epoch import next_epoch
from wayfare_engine.objectstore import open_store


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
