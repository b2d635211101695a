"""Checkpoints: an exact prefix of the chain, taken while writers go on, and compared elsewhere."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.catchup.databases import random_rows, scalar, write_live
from tests.digests.taking import digests, sql
from tests.digests.test_commands import run
from tests.journal.making import PLAN, SITE, chain, seal_all, sealer
from tests.projections.drawing import ORDINARY, draw
from tests.servers.wait import until
from wayfare_engine.clock import new_id, now
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.checking import Verdict, verify
from wayfare_engine.journal.checkpoint import Checkpoint, prune, take
from wayfare_engine.journal.checkpoint_problems import (
    NotAPrefix,
    NotSealed,
    RowsElsewhere,
    WritersInside,
)
from wayfare_engine.journal.segment import Segment
from wayfare_engine.ledger import append_rows
from wayfare_engine.ledger.fence import raise_epoch
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.projections import apply_rows
from wayfare_engine.worker.keeping import checkpoint_interval, until_checkpoint


def taken(dsn: str, store: ObjectStore, **given: Any) -> Checkpoint:
    options: dict[str, Any] = {"site": SITE, "ids": new_id, "clock": now}
    return take(dsn, store, **(options | given))


def verified(dsn: str, store: ObjectStore) -> Verdict:
    return verify(dsn, store, plan=PLAN, site="west", clock=now)


@contextmanager
def sealing_on(dsn: str, store: ObjectStore) -> Iterator[None]:
    """A sealer at work until the end, and then everything is sealed."""
    stop = threading.Event()
    made = sealer(dsn, store, seconds=0.02)
    thread = threading.Thread(target=made.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    seal_all(dsn, store)


@contextmanager
def writing(dsn: str, writers: int) -> Iterator[list[int]]:
    """Writers that write all the time; gives how many rows each has committed."""
    stop = threading.Event()
    done = [0] * writers

    def write(number: int) -> None:
        source = random.Random(number)
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not stop.is_set():
                rows = [
                    draw(source, ORDINARY)._replace(id=new_id(), site=SITE, epoch=1)
                    for _ in range(source.randrange(1, 12))
                ]
                with connection.transaction():
                    append_rows(connection, rows)
                    apply_rows(connection, rows)
                done[number] += len(rows)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_under_load_a_checkpoint_is_exactly_what_a_replay_gives_at_its_position(
    a: str, b: str, store: ObjectStore
) -> None:
    with sealing_on(a, store):
        with writing(a, 3) as done:
            checkpoints = []
            for _ in range(3):
                before = sum(done)
                until(lambda at=before: sum(done) > at + 30)  # type: ignore[misc]
                checkpoints.append(taken(a, store))
            until(lambda: sum(done) > 300)
        write_live(a, random_rows(3, 1, kinds=ORDINARY))
    position = f"{SITE}/1"
    for one in checkpoints:
        seq = one.document.watermark[position]
        catch_up(b, store, plan=PLAN, upto={(SITE, 1): seq}, from_snapshot=False)
        here = digests(b)
        assert here.watermark == {position: seq}
        assert here.facts()["tables"] == one.document.facts()["tables"]
    found = verified(b, store)
    assert found.answer == "equal", found
    assert found.watermark == checkpoints[-1].document.watermark


def test_another_site_verifies_against_the_newest(a: str, b: str, store: ObjectStore) -> None:
    with sealing_on(a, store):
        write_live(a, random_rows(200, 1, kinds=ORDINARY))
        taken(a, store)
        write_live(a, random_rows(50, 2, kinds=ORDINARY))
    found = verified(b, store)
    assert (found.answer, found.watermark) == ("equal", {f"{SITE}/1": 200})
    assert scalar(b, "SELECT seq FROM wayfare.chain_positions") == 200, "and no further"

    sql(b, "UPDATE wayfare.counters SET shown = shown + 1")
    found = verified(b, store)
    assert found.answer == "different"
    assert found.comparison is not None
    assert [t.name for t in found.comparison.tables if not t.equal] == ["counters"]


def test_what_is_not_known_is_not_equal(a: str, b: str, store: ObjectStore) -> None:
    write_live(a, random_rows(20, 1, kinds=ORDINARY))
    seal_all(a, store)
    assert verified(b, store).why == "there is no checkpoint yet"
    with sealing_on(a, store):
        taken(a, store)
    catch_up(b, store, plan=PLAN, from_snapshot=False)
    found = verified(b, store)
    assert found.answer == "unknown"
    assert "is at east/1 21, and the checkpoint is of east/1 20" in found.why


def test_a_digest_that_is_not_the_rows_is_not_believed(a: str, b: str, store: ObjectStore) -> None:
    with sealing_on(a, store):
        write_live(a, random_rows(20, 1, kinds=ORDINARY))
        one = taken(a, store)
        sql(a, "UPDATE wayfare.counters SET shown = shown + 1")
    forged = store.get(one.path)
    assert forged is not None
    digest = one.document.tables[0].digest.encode()
    store.put(one.path, forged.replace(digest, b"0" * 31 + b"1", 1))
    assert verified(b, store).answer == "unknown"


def test_a_writer_that_does_not_end_makes_it_give_up_and_others_go_on(
    a: str, store: ObjectStore
) -> None:
    write_live(a, random_rows(5, 1, kinds=ORDINARY))
    with psycopg.connect(a) as connection:
        connection.execute("SELECT wayfare.enter_present_epoch()")
        with pytest.raises(WritersInside, match=r"longer than 0.2 s"):
            taken(a, store, lock_seconds=0.2)
    assert scalar(a, "SELECT count(*) FROM wayfare.seal_cuts") == 0
    write_live(a, random_rows(5, 2, kinds=ORDINARY))


def test_without_a_sealer_there_is_none(a: str, store: ObjectStore) -> None:
    write_live(a, random_rows(5, 1, kinds=ORDINARY))
    with pytest.raises(NotSealed, match="journal status"):
        taken(a, store, seal_seconds=0.2)
    assert scalar(a, "SELECT count(*) FROM wayfare.seal_cuts") == 0
    assert list(store.list("digests/")) == []


def test_a_transaction_that_is_older_than_its_entry_is_noticed(a: str, store: ObjectStore) -> None:
    (row,) = random_rows(1, 1, kinds=ORDINARY)
    failed: list[Exception] = []

    def checkpoint() -> None:
        try:
            taken(a, store)
        except NotAPrefix as error:
            failed.append(error)

    thread = threading.Thread(target=checkpoint)
    with psycopg.connect(a) as late:
        late.execute("SELECT pg_current_xact_id()")
        sql(a, "SELECT pg_current_xact_id()")  # so that the one before is below the cut
        thread.start()
        until(lambda: scalar(a, "SELECT count(*) FROM wayfare.seal_cuts") == 1)
        append_rows(late, [row])
    thread.join()
    assert len(failed) == 1


def test_rows_of_an_epoch_before_that_wait_are_noticed(a: str, store: ObjectStore) -> None:
    write_live(a, random_rows(5, 1, kinds=ORDINARY))
    with psycopg.connect(a) as connection:
        raise_epoch(connection, 2)
    with pytest.raises(RowsElsewhere, match="epoch 1"):
        taken(a, store)


def test_a_segment_ends_at_a_cut_and_no_row_is_lost_there(a: str, store: ObjectStore) -> None:
    for seed in range(6):
        write_live(a, random_rows(1, seed, kinds=ORDINARY))
    cut = scalar(a, "SELECT tx::text FROM wayfare.ledger ORDER BY tx OFFSET 3 LIMIT 1")
    sql(a, "INSERT INTO wayfare.seal_cuts VALUES ('east', 1, %s::text::xid8, now())", cut)
    assert seal_all(a, store) == 6
    sizes = [s.header.last - s.header.first + 1 for s in chain(store) if isinstance(s, Segment)]
    assert sizes == [3, 3]
    write_live(a, random_rows(2, 9, kinds=ORDINARY))
    assert seal_all(a, store) == 2, "a cut that is passed has no effect"


def test_as_commands(a: str, b: str, store: ObjectStore) -> None:
    with sealing_on(a, store):
        write_live(a, random_rows(30, 1, kinds=ORDINARY))
        given = ("--store", store.url, "--plan", PLAN)
        done = run("checkpoint", "--dsn", a, "--site", SITE, *given)
        assert done.returncode == 0, done.stderr
        assert "east/1 at 30: digests/checkpoint/east/00000001/0000000000000030" in done.stdout
    done = run("verify", "--dsn", b, *given, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answer"] == "equal"
    sql(b, "DELETE FROM wayfare.outbox")
    done = run("verify", "--dsn", b, *given)
    assert done.returncode == 1
    assert "outbox: " in done.stdout
    catch_up(b, store, plan=PLAN)
    assert run("verify", "--dsn", b, *given).returncode == 3


def test_old_ones_go_and_the_newest_still_says_what_the_tables_are(
    a: str, b: str, store: ObjectStore
) -> None:
    for number in range(4):
        write_live(a, random_rows(10, number))
        with sealing_on(a, store):
            taken(a, store)
    before = [one.path for one in store.list(paths.checkpoints(SITE, 1))]
    assert prune(store, keep=2) == before[1::-1]
    assert [one.path for one in store.list(paths.checkpoints(SITE, 1))] == before[2:]
    assert prune(store, keep=2) == []
    with pytest.raises(ValueError, match="at least 1"):
        prune(store, keep=0)
    verdict = verified(b, store)
    assert (verdict.answer, verdict.path) == ("equal", before[-1])


@pytest.mark.parametrize(
    ("rows", "took", "after"),
    [
        (999, 1.0, 3600.0),
        (1_000, 1.0, 300.0),
        (1_000, 6.0, 600.0),
        (1_000, 60.0, 3600.0),
        # More than twice as many, and nobody could tell at a takeover.
        (250_000, 60.0, 300.0),
        (250_000, 190.0, 570.0),
    ],
)
def test_the_next_comes_sooner_where_much_is_written(rows: int, took: float, after: float) -> None:
    assert checkpoint_interval(rows, usual=3600.0, took=took) == after
    assert checkpoint_interval(rows, usual=20.0, took=took) == 20.0


@pytest.mark.parametrize(("rows", "due_after"), [(10, 3600.0), (1_100, 300.0)])
def test_the_next_is_due_by_the_rows_since_the_last(
    a: str, store: ObjectStore, rows: int, due_after: float
) -> None:
    with psycopg.connect(a, autocommit=True) as connection:
        ask = partial(until_checkpoint, connection, store, (SITE, 1), usual=3600.0, took=1.0)
        assert ask(now=now()) is None
        write_live(a, random_rows(5, 1))
        with sealing_on(a, store):
            taken(a, store)
        write_live(a, random_rows(rows, 2))
        seal_all(a, store)
        left = ask(now=now())
        assert left == pytest.approx(due_after, abs=30.0)
