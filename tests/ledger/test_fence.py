"""The epoch fence: who may write under which epoch, and what a raise leaves behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import Connection, IsolationLevel

from tests.ledger.making import row
from tests.servers.postgresql import rows
from wayfare_engine.ledger import SiteEpoch, StaleEpoch, append_rows, fence

pytestmark = pytest.mark.usefixtures("own_dsn")


def connect(dsn: str) -> Connection[tuple[object, ...]]:
    return psycopg.connect(dsn, autocommit=True)


def test_a_raise_under_fifty_writers_leaves_no_later_row_of_the_old_epoch(own_dsn: str) -> None:
    refusals: list[StaleEpoch] = []
    committed: list[list[str]] = []
    ready = threading.Barrier(51)

    def write() -> None:
        mine: list[str] = []
        with connect(own_dsn) as connection:
            ready.wait(60)
            try:
                while True:
                    made = [row() for _ in range(3)]
                    append_rows(connection, made)
                    mine += [str(one.id) for one in made]
            except StaleEpoch as error:
                refusals.append(error)
        committed.append(mine)

    with ThreadPoolExecutor(50) as pool, connect(own_dsn) as raiser:
        writers = [pool.submit(write) for _ in range(50)]
        ready.wait(60)
        time.sleep(0.3)  # let them be at it
        fence.raise_epoch(raiser, 2)
        # The ids that are visible when the raise has returned are all that there will ever be.
        at_raise = {
            str(found[0])
            for found in raiser.execute("SELECT id FROM wayfare.ledger WHERE epoch = 1")
        }
        for writer in writers:
            writer.result(60)

    in_the_end = {str(found[0]) for found in rows(own_dsn, "SELECT id FROM wayfare.ledger")}
    assert in_the_end == at_raise
    assert {one for mine in committed for one in mine} == at_raise
    assert len(at_raise) > 150
    assert [(r.epoch, r.present, r.held) for r in refusals] == [(1, 2, True)] * 50


def test_a_raise_waits_for_a_writer_that_is_inside(own_dsn: str) -> None:
    with connect(own_dsn) as writer, connect(own_dsn) as raiser, ThreadPoolExecutor(1) as pool:
        with writer.transaction():
            append_rows(writer, [row()])
            raised = pool.submit(fence.raise_epoch, raiser, 2)
            wait_for_lock(own_dsn)
            assert not raised.done()
        raised.result(30)
    assert rows(own_dsn, "SELECT epoch FROM wayfare.ledger") == [(1,)]


def test_two_raises_at_once_take_turns_and_the_later_waits_for_new_writers(own_dsn: str) -> None:
    # The second raise starts while the first holds the old epoch's lock; a writer of the epoch in
    # between must hold it up, although that epoch was not the present one when it started.
    with (
        connect(own_dsn) as first,
        connect(own_dsn) as second,
        connect(own_dsn) as writer,
        ThreadPoolExecutor(1) as pool,
    ):
        with writer.transaction():
            with first.transaction():
                fence.raise_epoch(first, 2)
                later = pool.submit(fence.raise_epoch, second, 3)
                wait_for_lock(own_dsn)
            # Whoever is first here, the fence must come to 3, and never admit 2 afterwards.
            try:
                append_rows(writer, [row(epoch=2)])
                admitted = True
            except StaleEpoch:
                admitted = False
            seen = fence.site_epoch(first).epoch
            assert (seen == 2) if admitted else (seen == 3)
        later.result(30)
        assert fence.site_epoch(first) == SiteEpoch(3, 3, True)


def test_a_lower_epoch_is_refused_and_changes_nothing(own_dsn: str) -> None:
    with connect(own_dsn) as connection:
        fence.raise_epoch(connection, 5)
        with pytest.raises(StaleEpoch) as refused:
            fence.raise_epoch(connection, 4)
        assert (refused.value.epoch, refused.value.present) == (4, 5)
        assert fence.site_epoch(connection) == SiteEpoch(5, 5, True)


def test_nobody_writes_under_an_epoch_that_another_site_holds(own_dsn: str) -> None:
    with connect(own_dsn) as connection:
        fence.raise_epoch(connection, 2, held=False)
        for epoch in (1, 2):
            with pytest.raises(StaleEpoch, match="another site holds") as refused:
                append_rows(connection, [row(epoch=epoch)])
            assert (refused.value.present, refused.value.held) == (2, False)
        with pytest.raises(StaleEpoch):
            fence.enter_present(connection)
        assert not fence.site_epoch(connection).active
        fence.raise_epoch(connection, 3)
        with connection.transaction():
            assert fence.enter_present(connection) == 3
            append_rows(connection, [row(epoch=3)])


def test_a_higher_epoch_that_was_heard_of_is_remembered(own_dsn: str) -> None:
    with connect(own_dsn) as connection:
        fence.saw_epoch(connection, 7)
        fence.saw_epoch(connection, 6)
        assert fence.site_epoch(connection) == SiteEpoch(1, 7, True)
        assert not fence.site_epoch(connection).active


def test_a_raise_is_heard_on_the_channel(own_dsn: str) -> None:
    with connect(own_dsn) as listener, connect(own_dsn) as raiser:
        listener.execute("LISTEN wayfare_epoch")
        fence.raise_epoch(raiser, 2)
        [notice] = listener.notifies(timeout=30, stop_after=1)
        assert notice.payload == "2"


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
@pytest.mark.parametrize(
    "enter",
    [
        lambda c: fence.enter(c, 1),
        fence.enter_present,
        lambda c: fence.raise_epoch(c, 2),
    ],
)
def test_a_snapshot_older_than_the_lock_is_refused(
    own_dsn: str, level: IsolationLevel, enter: Callable[[Connection[tuple[object, ...]]], object]
) -> None:
    with psycopg.connect(own_dsn) as connection:
        connection.set_isolation_level(level)
        with pytest.raises(psycopg.Error, match="READ COMMITTED") as refused:
            enter(connection)
        assert refused.value.sqlstate == fence.NOT_ENTERED


def test_entering_holds_until_the_end_of_the_transaction_only(own_dsn: str) -> None:
    insert = (
        b"INSERT INTO wayfare.ledger (id, site, epoch, kind, at, body) "
        b"VALUES (gen_random_uuid(), 'east', 1, 'event', now(), '{}')"
    )
    with connect(own_dsn) as connection:
        with connection.transaction():
            fence.enter(connection, 1)
            connection.execute(insert)
        with pytest.raises(psycopg.Error) as refused:
            connection.execute(insert)
        assert refused.value.sqlstate == fence.NOT_ENTERED


def test_a_partition_named_directly_is_behind_the_fence_too(own_dsn: str) -> None:
    with connect(own_dsn) as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute(
            b"INSERT INTO wayfare.ledger_elsewhere (id, site, epoch, kind, at, body) "
            b"VALUES ('0fffffff-ffff-7000-8000-000000000001', 'east', 1, 'event', now(), '{}')"
        )
    assert refused.value.sqlstate == fence.NOT_ENTERED


def test_rows_of_two_epochs_never_share_a_transaction(own_dsn: str) -> None:
    with connect(own_dsn) as connection:
        with pytest.raises(ValueError, match="epochs 1 and 2"):
            append_rows(connection, [row(), row(epoch=2)])
        assert rows(own_dsn, "SELECT count(*) FROM wayfare.ledger") == [(0,)]


def wait_for_lock(dsn: str) -> None:
    """Until some session waits for an advisory lock."""
    from tests.servers.wait import until

    until(
        lambda: rows(
            dsn, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted LIMIT 1"
        ),
        what="a session waits for the epoch's lock",
    )
