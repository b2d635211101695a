"""The rows themselves come back into the ledger, once, and are never sealed again."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.catchup.databases import put_chain, random_rows, tables, write_and_seal, write_live
from tests.journal.making import PLAN, SITE, chained_ids, seal_all, sealing
from wayfare_engine.journal.catch_up import CatchUp
from wayfare_engine.journal.history import bring_history
from wayfare_engine.ledger.fence import raise_epoch, site_epoch
from wayfare_engine.objectstore import ObjectStore


def ledger(dsn: str) -> list[tuple[Any, ...]]:
    """Every row, without its transaction."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(
            "SELECT id, site, epoch, kind, key, version, customer_id, at, body::text "
            "FROM wayfare.ledger ORDER BY id"
        ).fetchall()


def test_the_ledger_comes_back_row_for_row(live: str, dr: str, store: ObjectStore) -> None:
    write_and_seal(live, store, random_rows(120, 1))
    with CatchUp.opened(dr, store, plan=PLAN) as session:
        session.once()
        before = tables(dr)
        assert bring_history(session).rows == 120
        assert bring_history(session).rows == 0
    assert ledger(dr) == ledger(live)
    assert tables(dr) == before, "history changes nothing but the ledger"


def test_rows_that_are_here_already_stay(live: str, store: ObjectStore) -> None:
    write_and_seal(live, store, random_rows(30, 1))
    before = ledger(live)
    put_chain(store, [random_rows(20, 2)], site="west", epoch=1)
    with CatchUp.opened(live, store, plan=PLAN) as session:
        session.once()
        assert bring_history(session).rows == 20
    found = ledger(live)
    assert len(found) == 50
    assert set(before) < set(found)


def test_what_came_back_is_not_sealed_again(live: str, dr: str, store: ObjectStore) -> None:
    write_and_seal(live, store, random_rows(50, 1))
    with CatchUp.opened(dr, store, plan=PLAN) as session:
        session.once(upto={(SITE, 1): 25})
        bring_history(session)
    # The database was lost and this is the new one, as a person says: its sealer goes on.
    with psycopg.connect(dr, autocommit=True) as connection:
        assert not site_epoch(connection).held, "catching up holds nothing"
        raise_epoch(connection, 1)
    assert seal_all(dr, store) == 0
    write_live(dr, random_rows(10, 2))
    assert seal_all(dr, store) == 10
    with CatchUp.opened(dr, store, plan=PLAN) as session:
        bring_history(session)
    write_live(dr, random_rows(10, 3))
    assert seal_all(dr, store) == 10
    ids = chained_ids(store)
    assert len(ids) == len(set(ids)) == 70


def test_a_running_sealers_own_chains_are_left_out(live: str, store: ObjectStore) -> None:
    write_and_seal(live, store, random_rows(10, 1))
    put_chain(store, [random_rows(20, 2)], site="west", epoch=1)
    with sealing(live, store) as running, CatchUp.opened(live, store, plan=PLAN) as session:
        running.seal_once()
        session.once()
        brought = bring_history(session)
    assert (brought.rows, brought.left_out) == (20, ((SITE, 1),))
