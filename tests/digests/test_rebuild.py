"""`wayfare ledger rebuild`: what the chains say, and nothing that could not be built again."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from tests.catchup.databases import random_rows, scalar, tables, write_and_seal, write_live
from tests.digests.taking import sql
from tests.digests.test_commands import run
from tests.journal.making import PLAN, SITE, chained_ids, seal_all, sealing
from tests.projections.drawing import ORDINARY
from wayfare_engine.clock import now
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.problems import ChainProblem
from wayfare_engine.journal.rebuilding import RebuildReport, rebuild
from wayfare_engine.journal.rebuilding_problems import (
    NotFenced,
    RowsUnsealed,
    SealerAtWork,
    StoreLacksChain,
)
from wayfare_engine.ledger.fence import StaleEpoch, raise_epoch
from wayfare_engine.objectstore import ObjectStore, open_store


def rebuilt(dsn: str, store: ObjectStore, discard: int | None = None) -> RebuildReport:
    return rebuild(dsn, store, plan=PLAN, site=SITE, clock=now, discard=discard)


def held(dsn: str) -> bool:
    return bool(scalar(dsn, "SELECT held FROM wayfare.site_epoch"))


def test_a_whole_database_comes_out_as_it_was(a: str, store: ObjectStore) -> None:
    write_and_seal(a, store, random_rows(300, 1))
    before = tables(a)
    report = rebuilt(a, store)
    assert (report.different, report.applied.total, report.resumed) == ((), 300, False)
    assert tables(a) == before
    assert held(a), "the site may write again"
    write_and_seal(a, store, random_rows(50, 2))
    assert len(chained_ids(store)) == 350


def test_a_damaged_projection_is_repaired_and_said_to_have_differed(
    a: str, b: str, store: ObjectStore
) -> None:
    write_and_seal(a, store, random_rows(300, 1, kinds=ORDINARY))
    catch_up(b, store, plan=PLAN)
    sql(a, "UPDATE wayfare.counters SET shown = shown + 1")
    sql(a, "DELETE FROM wayfare.outbox")
    report = rebuilt(a, store)
    assert report.different == ("counters", "outbox")
    assert tables(a) == tables(b)


def test_rows_in_no_segment_are_not_given_up_unasked(a: str, store: ObjectStore) -> None:
    write_and_seal(a, store, random_rows(100, 1))
    write_live(a, random_rows(7, 2))
    before = tables(a)
    for said in (None, 6, 8):
        with pytest.raises(RowsUnsealed, match="7 rows"):
            rebuilt(a, store, said)
    assert tables(a) == before
    assert held(a)


def test_rows_that_are_given_up_are_never_sealed(a: str, b: str, store: ObjectStore) -> None:
    write_and_seal(a, store, random_rows(100, 1, kinds=ORDINARY))
    write_live(a, random_rows(7, 2, kinds=ORDINARY))
    assert rebuilt(a, store, 7).discarded == 7
    write_and_seal(a, store, random_rows(20, 3, kinds=ORDINARY))
    # Another instance looks for what is not sealed by id.
    sql(a, "UPDATE wayfare.sealed_instance SET timeline = timeline + 1")
    seal_all(a, store)
    assert len(chained_ids(store)) == 120
    catch_up(b, store, plan=PLAN)
    assert tables(a) == tables(b), "the effects are gone as well"
    assert rebuilt(a, store).different == (), "and they are asked for once"


def test_it_is_refused_while_a_worker_seals(a: str, store: ObjectStore) -> None:
    write_and_seal(a, store, random_rows(20, 1))
    with sealing(a, store) as sealer:
        sealer.seal_once()
        with pytest.raises(SealerAtWork, match="session"):
            rebuilt(a, store)


def test_it_is_refused_with_a_store_that_has_less(
    a: str, store: ObjectStore, tmp_path: Path
) -> None:
    write_and_seal(a, store, random_rows(20, 1))
    other = open_store(f"file://{tmp_path}/other")
    with pytest.raises(StoreLacksChain, match="20 rows of chain east/1"):
        rebuilt(a, other)


def test_it_gives_up_when_a_transaction_does_not_end(
    a: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wayfare_engine.journal.rebuilding._LOCK_SECONDS", 1)
    write_and_seal(a, store, random_rows(20, 1))
    with psycopg.connect(a) as connection:
        connection.execute("SELECT wayfare.enter_present_epoch()")
        with pytest.raises(NotFenced, match="nothing changed"):
            rebuilt(a, store)
    assert held(a)


def test_nobody_writes_to_a_database_that_is_half_built(a: str, store: ObjectStore) -> None:
    write_and_seal(a, store, random_rows(20, 1))
    store_path = next(iter(store.list("journal/"))).path
    good = store.get(store_path)
    assert good is not None
    store.put(store_path, good[:-3] + b"xxx")
    with pytest.raises(ChainProblem):
        rebuilt(a, store)
    with pytest.raises(StaleEpoch):
        write_live(a, random_rows(1, 2))
    with (
        psycopg.connect(a) as connection,
        pytest.raises(psycopg.Error, match="being rebuilt"),
    ):
        raise_epoch(connection, 2)

    store.put(store_path, good)
    report = rebuilt(a, store)
    assert (report.resumed, report.different) == (True, ())
    write_live(a, random_rows(1, 2))


def test_as_a_command(a: str, store: ObjectStore) -> None:
    write_and_seal(a, store, random_rows(60, 1))
    given = ("rebuild", "--dsn", a, "--store", store.url, "--plan", PLAN)
    done = run(*given, WAYFARE_SITE=SITE)
    assert done.returncode == 0, done.stderr
    assert "applied 60 rows" in done.stdout
    assert "the digests before and after are equal" in done.stdout
    write_live(a, random_rows(3, 2))
    done = run(*given)
    assert done.returncode == 1
    assert "--discard-unsealed 3" in done.stderr
    done = run(*given, "--discard-unsealed", "3", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["discarded"] == 3
