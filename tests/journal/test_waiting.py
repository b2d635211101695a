"""`ack=journaled`, what holds the horizon, and what the status says of both."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.journal.making import PLAN, SITE, rows, seal_all, sealing, transaction, write
from tests.journal.superuser import OperatedPostgresql
from tests.servers.wait import until
from wayfare_engine.clock import now
from wayfare_engine.journal.closing import close_chain
from wayfare_engine.journal.horizon import HorizonWatch, SealingStalled, horizon, stalled
from wayfare_engine.journal.problems import ChainConflict, EpochOver
from wayfare_engine.journal.status import status
from wayfare_engine.journal.waiting import journaled, wait_journaled, wait_journaled_async
from wayfare_engine.ledger import append_rows
from wayfare_engine.objectstore import ObjectStore, open_store


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(dsn, autocommit=True) as opened:
        yield opened


def append(dsn: str, count: int = 3) -> int:
    """Rows in one transaction; its id."""
    with transaction(dsn) as connection:
        append_rows(connection, rows(count))
        row = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
        assert row is not None
        return int(row[0])


def test_waiting_ends_with_the_seal(
    dsn: str, store: ObjectStore, connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    tx = append(dsn)
    assert not wait_journaled(connection, tx, 0.05)

    timer = threading.Timer(0.1, seal_all, (dsn, store))
    timer.start()
    began = time.monotonic()
    assert wait_journaled(connection, tx, 60)
    assert time.monotonic() - began < 30
    timer.join()
    assert wait_journaled(connection, tx, 0)
    assert not journaled(connection, append(dsn))


async def test_waiting_with_asyncio(dsn: str, store: ObjectStore) -> None:
    tx = append(dsn)
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        assert not await wait_journaled_async(connection, tx, 0.05)
        timer = threading.Timer(0.1, seal_all, (dsn, store))
        timer.start()
        assert await wait_journaled_async(connection, tx, 60)
        timer.join()


def test_what_a_closed_chain_left_out_is_never_journaled(
    dsn: str, store: ObjectStore, connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    first = append(dsn)
    seal_all(dsn, store)
    close_chain(store, SITE, 1, plan=PLAN, by=2, clock=now)
    stranded = append(dsn)
    with sealing(dsn, store) as made, pytest.raises(EpochOver):
        made.seal_once()
    connection.execute("SELECT wayfare.raise_epoch(2)")
    write(dsn, rows(2, epoch=2))
    seal_all(dsn, store)

    assert journaled(connection, first)
    assert not journaled(connection, stranded)
    assert status(connection, SITE).closed_by is None


def test_nobody_holds_an_idle_horizon(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    found = horizon(connection)
    assert found.holder is None
    assert found.age == 0.0
    assert stalled(found, after_seconds=0.0) is None


def test_a_transaction_in_another_database_is_named(
    operated: OperatedPostgresql, store: ObjectStore
) -> None:
    dsn = operated.server.database()
    other = make_conninfo(dsn, dbname="postgres", application_name="a forgotten session")
    with psycopg.connect(dsn, autocommit=True) as connection, transaction(other) as forgotten:
        forgotten.execute("SELECT 'something long'")
        pid = forgotten.info.backend_pid
        append(dsn, 4)
        assert seal_all(dsn, store) == 0
        found = status(connection, SITE)
        assert found.lag.rows == 4
        assert stalled(found.horizon, after_seconds=3600) is None
        told = stalled(found.horizon, after_seconds=0.0)
        assert told is not None
        assert (told.holder.pid, told.holder.database) == (pid, "postgres")
        assert told.holder.query == "SELECT 'something long'"
        assert told.reason == "LongTransaction"
        for word in (str(pid), "postgres", "a forgotten session", "idle in transaction"):
            assert word in told.message
    assert seal_all(dsn, store) == 4


def test_create_database_from_a_template_is_named(operated: OperatedPostgresql) -> None:
    dsn = operated.server.dsn
    connection = psycopg.connect(dsn, autocommit=True)
    connection.execute("CREATE DATABASE a_template")
    with psycopg.connect(make_conninfo(dsn, dbname="a_template"), autocommit=True) as filling:
        filling.execute(
            "CREATE TABLE big AS SELECT repeat('x', 1000) FROM generate_series(1, 60000)"
        )

    def clone() -> None:
        with psycopg.connect(dsn, autocommit=True) as cloning:
            cloning.execute("CREATE DATABASE a_fork TEMPLATE a_template STRATEGY file_copy")

    seen: list[SealingStalled] = []
    thread = threading.Thread(target=clone)
    thread.start()
    while thread.is_alive():
        told = stalled(horizon(connection), after_seconds=0.0)
        if told is not None and told.reason == "CreateDatabase":
            seen.append(told)
    thread.join()
    assert seen
    holder = seen[0].holder
    assert holder.query.startswith("CREATE DATABASE a_fork")
    for word in (f"process {holder.pid}", holder.database, "CREATE DATABASE a_fork"):
        assert word in seen[0].message
    assert holder.database == connection.info.dbname
    for name in ("a_fork", "a_template"):
        connection.execute(f"DROP DATABASE {name}".encode())
    connection.close()


def test_a_prepared_transaction_is_named(operated: OperatedPostgresql) -> None:
    with psycopg.connect(operated.server.dsn, autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT pg_current_xact_id()")
        connection.execute("PREPARE TRANSACTION 'left behind'")
        told = stalled(horizon(connection), after_seconds=0.0)
        assert told is not None
        assert (told.reason, told.holder.prepared) == ("PreparedTransaction", "left behind")
        assert "ROLLBACK PREPARED" in told.message
        connection.execute("ROLLBACK PREPARED 'left behind'")
        assert horizon(connection).holder is None


def test_a_role_that_may_not_see_is_told_what_to_grant(operated: OperatedPostgresql) -> None:
    dsn = operated.server.dsn
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE nobody_special LOGIN PASSWORD 'x'")
    plain = make_conninfo(dsn, user="nobody_special", password="x")
    with transaction(dsn), psycopg.connect(plain, autocommit=True) as unprivileged:
        time = [100.0]
        watch = HorizonWatch(lambda: time[0])
        assert stalled(watch.seen(horizon(unprivileged)), after_seconds=5) is None
        time[0] += 6
        told = stalled(watch.seen(horizon(unprivileged)), after_seconds=5)
        assert told is not None
        assert "GRANT pg_read_all_stats" in told.message
        assert told.holder.seconds == 6


def test_status_says_what_is_sealed_what_waits_and_what_went_wrong(
    dsn: str,
    store: ObjectStore,
    tmp_path: object,
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    append(dsn, 4)
    seal_all(dsn, store)
    append(dsn, 2)
    found = status(connection, SITE)
    assert (found.sealed.seq, found.lag.rows, found.pending) == (4, 2, None)
    assert found.lag.seconds > 0
    assert found.sealer_pid is None

    stop = threading.Event()
    other = open_store(f"file://{tmp_path}/another")
    with sealing(dsn, other) as made, pytest.raises(ChainConflict):
        made.run(stop)
    problem = status(connection, SITE).problem
    assert problem is not None
    assert problem.kind == "ChainConflict"
    assert "does not have it" in problem.message

    with sealing(dsn, store, seconds=0.01) as made:
        thread = threading.Thread(target=made.run, args=(stop,))
        thread.start()
        until(lambda: status(connection, SITE).lag.rows == 0, what="everything is sealed")
        until(lambda: status(connection, SITE).problem is None, what="the problem is forgotten")
        assert status(connection, SITE).sealer_pid is not None
        stop.set()
        thread.join()
