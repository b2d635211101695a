"""A database that is not the one that sealed last: restored from a backup, copied, or made anew."""

from __future__ import annotations

import uuid
from pathlib import Path

import psycopg
import pytest

from tests.journal.making import (
    PLAN,
    SITE,
    chain,
    chained_ids,
    row,
    rows,
    seal_all,
    sealing,
    transaction,
    write,
)
from tests.journal.superuser import OperatedPostgresql
from tests.servers.postgresql import PostgresqlServer
from tests.servers.postgresql import rows as ask
from wayfare_engine.clock import now
from wayfare_engine.journal import instance
from wayfare_engine.journal.closing import close_chain
from wayfare_engine.journal.problems import ChainProblem
from wayfare_engine.journal.segment import Segment
from wayfare_engine.journal.verify import verify
from wayfare_engine.ledger import append_rows
from wayfare_engine.objectstore import ObjectStore


def here(dsn: str) -> set[uuid.UUID]:
    return {i for (i,) in ask(dsn, "SELECT id FROM wayfare.ledger")}


def known(dsn: str) -> instance.Instance:
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = instance.remembered(connection)
        assert found == instance.present(connection)
        assert found is not None
        return found


def whole(store: ObjectStore, ids: set[uuid.UUID]) -> None:
    """The chain has exactly these rows, each once, and is whole."""
    found = chained_ids(store)
    assert len(found) == len(set(found))
    assert set(found) == ids
    assert verify(store, plan=PLAN).ok


@pytest.fixture
def opt_out() -> list[object]:
    return [
        row(
            '{"customer":"anna","channel":"sms","out":true}',
            kind="opt_out",
            key="anna/sms",
            version=1,
        )
    ]


def test_restored_from_a_backup_into_a_new_timeline(
    operated: OperatedPostgresql, store: ObjectStore, tmp_path: Path, opt_out: list[object]
) -> None:
    dsn = operated.server.database()
    sealed = write(dsn, rows(5))
    seal_all(dsn, store)
    unsealed = write(dsn, rows(3))
    before = known(dsn)
    operated.back_up(tmp_path / "backup")
    # After the backup: sealed, so it comes back with what it changed; the rest is on a lost disk.
    later = write(dsn, rows(4), opt_out)  # type: ignore[arg-type]
    seal_all(dsn, store)
    write(dsn, rows(2))
    operated.restore(tmp_path / "backup")
    fresh = write(dsn, rows(6))
    assert here(dsn) == {*sealed, *unsealed, *fresh}

    # The three were sealed from the lost disk; the new instance must not seal them again.
    seal_all(dsn, store)
    after = known(dsn)
    assert after.system_identifier == before.system_identifier
    assert after.timeline > before.timeline
    whole(store, {*sealed, *unsealed, *later, *fresh})
    assert here(dsn) == {*sealed, *unsealed, *later, *fresh}
    assert ask(dsn, "SELECT customer_id, channel, out FROM wayfare.opt_outs") == [
        ("anna", "sms", True)
    ]
    more = write(dsn, rows(2))
    assert seal_all(dsn, store) == 2
    whole(store, {*sealed, *unsealed, *later, *fresh, *more})


@pytest.fixture
def other(operated: OperatedPostgresql) -> str:
    """A second cluster's empty schema."""
    return operated.server.database()


_COPIED = ("ledger", "seal_intents", "sealed_epochs", "sealed_instance", "chain_positions")


def copy_over(source: str, target: str) -> None:
    """What a dump and a restore do: the same rows, transaction ids of another cluster."""
    with psycopg.connect(source) as reading, psycopg.connect(target) as writing:
        writing.execute("SELECT wayfare.enter_restore()")
        for table in _COPIED:
            columns = ", ".join(
                name
                for (name,) in reading.execute(
                    "SELECT column_name FROM information_schema.columns "
                    "WHERE table_schema = 'wayfare' AND table_name = %s ORDER BY ordinal_position",
                    (table,),
                )
            )
            out = f"COPY (SELECT {columns} FROM wayfare.{table}) TO STDOUT".encode()
            into = f"COPY wayfare.{table} ({columns}) FROM STDIN".encode()
            with reading.cursor().copy(out) as a, writing.cursor().copy(into) as b:
                for data in a:
                    b.write(data)


@pytest.mark.parametrize("ahead", [True, False], ids=["ids ahead", "ids behind"])
def test_copied_into_another_cluster(dsn: str, other: str, store: ObjectStore, ahead: bool) -> None:
    """Transaction ids there are lower or higher than those that the rows carry."""
    source, target = dsn, other
    with psycopg.connect(source if ahead else target, autocommit=True) as connection:
        query = "SELECT pg_current_xact_id()::text::bigint"
        [(last,)] = ask(target if ahead else source, query)
        while connection.execute(query.encode()).fetchone() < (last + 200,):  # type: ignore[operator]
            pass
    sealed = write(source, rows(5), rows(4))
    seal_all(source, store)
    unsealed = write(source, rows(3))
    copy_over(source, target)
    fresh = write(target, rows(2))

    seal_all(target, store)
    whole(store, {*sealed, *unsealed, *fresh})
    # On and on, while the target's ids pass those of the copied rows.
    more: list[uuid.UUID] = []
    with psycopg.connect(target, autocommit=True) as connection:
        for _ in range(4):
            for _ in range(100):
                connection.execute("SELECT pg_current_xact_id()")
            more += write(target, rows(2))
            seal_all(target, store)
    whole(store, {*sealed, *unsealed, *fresh, *more})


def test_an_empty_database_gets_its_own_rows_back_and_seals_on(
    server: PostgresqlServer, store: ObjectStore, opt_out: list[object]
) -> None:
    dsn = server.database()
    ids = write(dsn, rows(5), opt_out, rows(3))  # type: ignore[arg-type]
    seal_all(dsn, store, max_rows=4)
    dsn = server.database()
    assert here(dsn) == set()
    fresh = write(dsn, rows(2))

    seal_all(dsn, store)

    assert here(dsn) == {*ids, *fresh}
    whole(store, {*ids, *fresh})
    assert len(ask(dsn, "SELECT FROM wayfare.opt_outs")) == 1


def test_rows_of_a_transaction_that_was_open_meanwhile_are_sealed_in_their_turn(
    server: PostgresqlServer, store: ObjectStore
) -> None:
    dsn = server.database()
    ids = write(dsn, rows(5))
    seal_all(dsn, store)
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE wayfare.sealed_instance SET timeline = 7000")
    with transaction(dsn) as open_one:
        made = rows(2)
        append_rows(open_one, made)
        later = write(dsn, rows(3))
        seal_all(dsn, store)
        assert set(chained_ids(store)) == set(ids)
    seal_all(dsn, store)
    whole(store, {*ids, *later, *(r.id for r in made)})


def test_a_pending_intent_of_the_old_instance_is_not_put_as_it_was(
    server: PostgresqlServer, store: ObjectStore
) -> None:
    """Its rows are found by their ids instead, whether its put took effect or not."""
    dsn = server.database()
    ids = write(dsn, rows(5))
    seal_all(dsn, store)
    ids += write(dsn, rows(3))
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO wayfare.seal_intents (site, epoch, first, last, from_tx, to_tx, "
            "rows_digest, previous) VALUES (%s, 1, 6, 6, '1', '2', 'x', 'y')",
            (SITE,),
        )
        connection.execute("UPDATE wayfare.sealed_instance SET timeline = 7000")
    seal_all(dsn, store)
    whole(store, set(ids))


def test_a_closed_chain_stays_closed(server: PostgresqlServer, store: ObjectStore) -> None:
    dsn = server.database()
    ids = write(dsn, rows(5))
    seal_all(dsn, store)
    close_chain(store, SITE, 1, plan=PLAN, by=2, clock=now)
    dsn = server.database()
    write(dsn, rows(2))
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT wayfare.raise_epoch(2)")
    fresh = write(dsn, rows(2, epoch=2))
    seal_all(dsn, store)
    assert chained_ids(store, 1) == ids
    assert chained_ids(store, 2) == fresh


def test_a_damaged_chain_is_not_built_upon(server: PostgresqlServer, store: ObjectStore) -> None:
    dsn = server.database()
    write(dsn, rows(5))
    seal_all(dsn, store)
    [segment] = chain(store)
    assert isinstance(segment, Segment)
    path = next(e.path for e in store.list("journal/"))
    store.put(path, b"nothing")
    dsn = server.database()
    with sealing(dsn, store) as made, pytest.raises(ChainProblem, match=path):
        made.seal_once()
