"""What a database says of its epoch: who took it, what a planned move asks, and what it refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.catchup.databases import put_chain, random_rows, write_live
from tests.journal.making import PLAN
from tests.projections.drawing import ORDINARY
from tests.servers import epochs
from tests.servers.postgresql import PostgresqlServer
from tests.servers.wait import until
from wayfare_engine.facts.spool import put_back
from wayfare_engine.journal import catch_up as catching_up
from wayfare_engine.journal.catch_up import CatchUp
from wayfare_engine.journal.positions import AlreadyRunning, HeldHere, positions
from wayfare_engine.ledger import StaleEpoch, append_rows, fence
from wayfare_engine.ledger.standing import (
    Stand,
    State,
    enter_standby,
    give_up,
    lease_site,
    stand,
)
from wayfare_engine.objectstore import ObjectStore, open_store
from wayfare_engine.outbox import quiesce
from wayfare_engine.outbox.quiesce import NotHolding

FRESH = Stand(1, 1, True, False, 1, State.NORMAL, None)


@pytest.fixture
def dsn(servers: dict[str, PostgresqlServer]) -> str:
    return servers["east"].database()


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(f"file://{tmp_path}/store")


@contextmanager
def connected(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def test_a_site_without_a_store_holds_its_epoch(dsn: str) -> None:
    with connected(dsn) as connection:
        assert stand(connection) == FRESH
        assert stand(connection).sends


def test_with_a_store_only_who_took_an_epoch_holds_it(dsn: str, store: ObjectStore) -> None:
    with connected(dsn) as connection:
        lease_site(connection)
        assert stand(connection) == Stand(1, 1, False, True, 0, State.NORMAL, None)
        with pytest.raises(StaleEpoch):
            append_rows(connection, random_rows(1, 1))
        epochs.take(dsn, store, plan=PLAN, site="east")
        lease_site(connection)
        assert stand(connection) == Stand(1, 1, True, True, 1, State.NORMAL, None)
        append_rows(connection, random_rows(1, 1))


def test_who_took_it_before_there_was_this_rule_holds_it(dsn: str, store: ObjectStore) -> None:
    epochs.take(dsn, store, plan=PLAN, site="east")
    with connected(dsn) as connection:
        connection.execute("UPDATE wayfare.site_epoch SET leased = false")
        lease_site(connection)
        assert stand(connection).held


def test_many_who_say_at_once_that_there_is_a_store_undo_nobodys_epoch(
    dsn: str, store: ObjectStore
) -> None:
    """The first epoch is taken while pods start."""
    go = threading.Event()
    problems: list[BaseException] = []

    def pod() -> None:
        try:
            with connected(dsn) as connection:
                go.wait(20)
                for _ in range(20):
                    lease_site(connection)
        except BaseException as error:
            problems.append(error)

    pods = [threading.Thread(target=pod) for _ in range(6)]
    for one in pods:
        one.start()
    go.set()
    epochs.take(dsn, store, plan=PLAN, site="east")
    for one in pods:
        one.join()
    assert problems == []
    with connected(dsn) as connection:
        assert stand(connection) == Stand(1, 1, True, True, 1, State.NORMAL, None)


def test_a_database_that_catches_up_with_another_sites_chain_holds_nothing(
    dsn: str, store: ObjectStore
) -> None:
    put_chain(store, [random_rows(10, 1)], site="west", epoch=1)
    with CatchUp.opened(dsn, store, plan=PLAN) as session:
        session.once()
    with connected(dsn) as connection:
        found = stand(connection)
        assert (found.held, found.own, found.highest_seen) == (False, 0, 1)


def test_a_higher_epoch_ends_ours_once_writers_inside_have_ended(dsn: str) -> None:
    with connected(dsn) as writer, connected(dsn) as other:
        with writer.transaction():
            fence.enter(writer, 1)
            thread = threading.Thread(target=lambda: give_up(other, 2))
            thread.start()
            until(lambda: _waits(dsn), what="it waits for who is inside")
            assert stand(writer).held
        thread.join(20)
        assert stand(writer) == Stand(2, 2, False, False, 1, State.NORMAL, None)
        assert not give_up(writer, 1), "there is no way back"


def _waits(dsn: str) -> bool:
    with connected(dsn) as connection:
        found = connection.execute(
            "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        )
        return found.rowcount > 0


def test_nothing_is_applied_once_the_epoch_is_held_here(
    dsn: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The epoch is taken while a batch is applied: it waits for that batch, and the next one is
    refused."""
    put_chain(store, [random_rows(10, n) for n in range(3)], site="west", epoch=1)
    with connected(dsn) as connection:
        give_up(connection, 2)
    applying, go_on = threading.Event(), threading.Event()

    def stop_in_a_batch() -> None:
        applying.set()
        assert go_on.wait(20)

    monkeypatch.setattr(catching_up, "before_commit", stop_in_a_batch)
    refused: list[BaseException] = []

    def follow() -> None:
        try:
            with CatchUp.opened(dsn, store, plan=PLAN, standby=True) as session:
                for upto in (10, 20, 30):
                    session.once(upto={("west", 1): upto})
        except HeldHere as error:
            refused.append(error)

    thread = threading.Thread(target=follow)
    thread.start()
    assert applying.wait(20)
    with connected(dsn) as connection:
        taking = threading.Thread(target=lambda: fence.raise_epoch(connection, 2))
        taking.start()
        until(lambda: _waits(dsn), what="taking waits for the batch")
        go_on.set()
        taking.join(20)
        thread.join(20)
        assert [str(error).startswith("this site holds epoch") for error in refused] == [True]
        (at,) = positions(connection).values()
        assert at.seq == 10, "what was under way is whole, and nothing came after it"
        with connection.transaction():
            assert not enter_standby(connection)
            raise psycopg.Rollback


def test_who_waits_for_the_lock_of_catching_up_gets_it(dsn: str, store: ObjectStore) -> None:
    put_chain(store, [random_rows(10, 1)], site="west", epoch=1)
    with CatchUp.opened(dsn, store, plan=PLAN):
        with pytest.raises(AlreadyRunning, match="wayfare-catch-up"):
            CatchUp.opened(dsn, store, plan=PLAN, patience=0.2).__enter__()
        done = threading.Event()

        def wait() -> None:
            with CatchUp.opened(dsn, store, plan=PLAN, patience=20) as session:
                session.once()
                done.set()

        thread = threading.Thread(target=wait)
        thread.start()
        until(lambda: _waits(dsn), what="it waits")
    thread.join(20)
    assert done.is_set()


def test_a_planned_move_and_giving_it_up(dsn: str) -> None:
    with connected(dsn) as connection:
        quiesce.ask(connection, run="move-1")
        quiesce.ask(connection, run="move-1")
        found = stand(connection)
        assert (found.held, found.sends, found.state) == (True, False, State.QUIESCING)
        write_live(dsn, random_rows(3, 1))
        quiesce.fence(connection, run="move-1")
        quiesce.fence(connection, run="move-1")
        found = stand(connection)
        assert (found.held, found.seals, found.state, found.run) == (
            *(False, True),
            *(State.QUIESCED, "move-1"),
        )
        with pytest.raises(StaleEpoch):
            append_rows(connection, random_rows(1, 2))
        assert not quiesce.sealed(connection, "east").done, "three rows are in no segment"
        assert quiesce.sealed(connection, "east").unsealed == 3
        assert quiesce.lift(connection)
        assert quiesce.lift(connection)
        assert stand(connection) == Stand(1, 1, True, False, 1, State.NORMAL, "move-1")
        append_rows(connection, random_rows(1, 2))


def test_what_another_site_took_is_not_taken_back(dsn: str) -> None:
    with connected(dsn) as connection:
        quiesce.ask(connection, run="move-1")
        quiesce.fence(connection, run="move-1")
        fence.saw_epoch(connection, 2)
        assert not quiesce.lift(connection)
        quiesce.stand_down(connection, run="move-1")
        give_up(connection, 2)
        found = stand(connection)
        assert (found.epoch, found.held, found.own, found.state) == (2, False, 1, State.STOOD_DOWN)
        with pytest.raises(NotHolding, match="does not hold epoch 2"):
            quiesce.ask(connection, run="move-2")
        fence.raise_epoch(connection, 3)
        assert stand(connection).state is State.NORMAL, "a later epoch ends it"


def test_a_process_that_says_nothing_is_not_taken_for_one_that_stopped(dsn: str) -> None:
    with connected(dsn) as connection:
        quiesce.sending(connection, "a", 1)
        quiesce.sending(connection, "b", 1)
        quiesce.ask(connection, run="move-1")
        quiesce.stopped(connection, "a", "move-0")
        assert not quiesce.standing(connection, hand_over=1).quiet
        quiesce.stopped(connection, "a", "move-1")
        found = quiesce.standing(connection, hand_over=1)
        assert (found.senders, found.stopped, found.quiet) == (2, 1, False)
        quiesce.stopped(connection, "b", "move-1")
        assert quiesce.standing(connection, hand_over=1).quiet
        quiesce.gone(connection, "b")
        assert quiesce.standing(connection, hand_over=1).senders == 1


def test_what_was_put_aside_comes_back_when_its_epoch_is_held_again(dsn: str) -> None:
    rows = random_rows(5, 1, kinds=ORDINARY)
    with connected(dsn) as connection:
        append_rows(connection, rows[:1])
        for row in rows:  # one is in the ledger already
            connection.execute(
                "INSERT INTO wayfare.spooled_rows (id, site, epoch, kind, key, version, "
                "customer_id, at, body) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                row,
            )
        connection.execute("UPDATE wayfare.spooled_rows SET epoch = 7 WHERE id = %s", (rows[4].id,))
        quiesce.ask(connection, run="move-1")
        quiesce.fence(connection, run="move-1")
        with pytest.raises(StaleEpoch):
            put_back(dsn, 1)
        quiesce.lift(connection)
        assert put_back(dsn, 1) == 4
        assert put_back(dsn, 1) == 0
        found = connection.execute("SELECT count(*) FROM wayfare.ledger").fetchone()
        assert found == (4,)
        found = connection.execute("SELECT epoch FROM wayfare.spooled_rows").fetchone()
        assert found == (7,), "an epoch that is over is the merge's"
