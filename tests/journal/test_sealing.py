"""What the sealer promises: each row once, in order, whole transactions, through every mishap."""

from __future__ import annotations

import random
import threading
from typing import Any

import psycopg
import pytest

from tests.journal.making import (
    PLAN,
    SITE,
    chain,
    chained_ids,
    put_chain,
    row,
    rows,
    seal_all,
    sealing,
    transaction,
    write,
)
from tests.servers.postgresql import rows as ask
from wayfare_engine.clock import now
from wayfare_engine.journal.closing import close_chain
from wayfare_engine.journal.problems import ChainConflict, EpochOver
from wayfare_engine.journal.segment import Closed, Segment
from wayfare_engine.ledger import append_rows
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable, open_store, paths


def segments(store: ObjectStore, epoch: int = 1) -> list[Segment]:
    return [s for s in chain(store, epoch) if isinstance(s, Segment)]


def test_every_row_is_in_the_chain_once_with_all_its_columns(dsn: str, store: ObjectStore) -> None:
    strange = row('{ "b" : "ü\\n\\"x\\"" , "b":2}', key="", customer_id='a"b,c\nd', version=7)
    ids = write(dsn, [row(), strange], rows(3), [row("[]", customer_id=None)])

    assert seal_all(dsn, store) == 6

    assert sorted(chained_ids(store)) == sorted(ids)
    stored = ask(
        dsn,
        "SELECT uuid_send(id), tx::text::bigint, kind, key, version, customer_id, at, body::text "
        "FROM wayfare.ledger ORDER BY tx, id",
    )
    [segment] = segments(store)
    assert [tuple(r.values()) for r in segment.rows.to_pylist()] == stored
    assert (segment.header.plan, segment.header.site, segment.header.epoch) == (PLAN, SITE, 1)


def test_nothing_is_sealed_twice_and_a_later_row_follows_on(dsn: str, store: ObjectStore) -> None:
    write(dsn, rows(3))
    assert seal_all(dsn, store) == 3
    assert seal_all(dsn, store) == 0
    write(dsn, rows(2))
    assert seal_all(dsn, store) == 2

    assert [(s.header.first, s.header.last) for s in segments(store)] == [(1, 3), (4, 5)]


def test_a_transaction_is_never_cut(dsn: str, store: ObjectStore) -> None:
    write(dsn, rows(3), rows(4), rows(25), rows(2), rows(9))

    seal_all(dsn, store, max_rows=8)

    sizes = [s.rows.num_rows for s in segments(store)]
    assert sizes == [7, 25, 2, 9]


def test_a_transaction_that_is_open_holds_back_what_came_after_it(
    dsn: str, store: ObjectStore
) -> None:
    with transaction(dsn) as open_one:
        append_rows(open_one, rows(2))
        write(dsn, rows(3))
        assert seal_all(dsn, store) == 0
    assert seal_all(dsn, store) == 5


def test_commits_in_another_order_than_transaction_ids_are_all_sealed(
    dsn: str, store: ObjectStore
) -> None:
    """A gets its id first and commits last: B's rows wait for it, and none is passed over."""
    with transaction(dsn) as a:
        with transaction(dsn) as b:
            append_rows(b, [row(key="k", version=1, kind="attribute")])
        assert seal_all(dsn, store) == 0
        append_rows(a, [row(key="k", version=2, kind="attribute")])
    seal_all(dsn, store)

    [segment] = segments(store)
    # By position A comes first, by version it comes second: so state follows versions.
    assert segment.rows["version"].to_pylist() == [2, 1]


class Unsure:
    """A store whose answer to a write does not come, whether it took effect or not."""

    def __init__(self, store: ObjectStore, *, effect: bool) -> None:
        self._store = store
        self._effect = effect

    def create(self, path: str, data: bytes) -> bytes | None:
        if not path.startswith(paths.JOURNAL):
            return self._store.create(path, data)
        if self._effect:
            self._store.create(path, data)
        raise StoreUnavailable(self._store.url, "no answer")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize("effect", [True, False])
def test_a_put_without_an_answer_is_finished_before_anything_else(
    dsn: str, store: ObjectStore, effect: bool
) -> None:
    ids = write(dsn, rows(5))
    unsure: Any = Unsure(store, effect=effect)
    with sealing(dsn, unsure) as made:
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                made.seal_once()
    ids += write(dsn, rows(2))

    assert seal_all(dsn, store) == 7

    assert chained_ids(store) == ids
    assert [s.header.last for s in segments(store)] == [5, 7]


def test_other_rows_at_our_place_are_a_conflict(dsn: str, store: ObjectStore) -> None:
    write(dsn, rows(5))
    assert seal_all(dsn, store) == 5
    write(dsn, rows(5))
    [path] = put_chain(store, [5], first=6, previous=segments(store)[-1].digest)

    with sealing(dsn, store) as made, pytest.raises(ChainConflict, match=path):
        made.seal_once()
    assert made.rows == 0


def test_another_store_than_the_one_sealed_to_is_a_conflict(
    dsn: str, store: ObjectStore, tmp_path: object
) -> None:
    write(dsn, rows(5))
    seal_all(dsn, store)
    other = open_store(f"file://{tmp_path}/other")
    with sealing(dsn, other) as made, pytest.raises(ChainConflict, match="does not have it"):
        made.seal_once()


def test_a_closed_chain_is_the_end_of_the_epoch(dsn: str, store: ObjectStore) -> None:
    write(dsn, rows(5))
    seal_all(dsn, store)
    closed = close_chain(store, SITE, 1, plan=PLAN, by=2, clock=now)
    assert closed.at_seq == 5
    write(dsn, rows(3))

    with sealing(dsn, store) as made:
        for _ in range(2):
            with pytest.raises(EpochOver) as told:
                made.seal_once()
            assert told.value.by == 2
    assert len(chained_ids(store)) == 5


def test_a_raised_epoch_goes_on_in_a_chain_of_its_own(dsn: str, store: ObjectStore) -> None:
    first = write(dsn, rows(5))
    with sealing(dsn, store) as made:
        made.seal_once()
        first += write(dsn, rows(2))
        with psycopg.connect(dsn) as connection:
            connection.execute("SELECT wayfare.raise_epoch(3)")
        second = write(dsn, rows(4, epoch=3))
        while made.seal_once():
            pass
    assert chained_ids(store, 1) == first
    assert chained_ids(store, 3) == second


def test_the_tail_of_an_epoch_that_was_taken_stays_out(dsn: str, store: ObjectStore) -> None:
    write(dsn, rows(5))
    with sealing(dsn, store) as made:
        made.seal_once()
        write(dsn, rows(2))
        close_chain(store, SITE, 1, plan=PLAN, by=2, clock=now)
        with psycopg.connect(dsn) as connection:
            connection.execute("SELECT wayfare.raise_epoch(2)")
        second = write(dsn, rows(4, epoch=2))
        while made.seal_once():
            pass
    assert len(chained_ids(store, 1)) == 5
    assert isinstance(chain(store, 1)[-1], Closed)
    assert chained_ids(store, 2) == second


def test_epochs_that_came_and_went_unsealed_are_sealed_later(dsn: str, store: ObjectStore) -> None:
    made = {1: write(dsn, rows(2))}
    for epoch in (2, 5):
        with psycopg.connect(dsn) as connection:
            connection.execute("SELECT wayfare.raise_epoch(%s)", (epoch,))
        made[epoch] = write(dsn, rows(3, epoch=epoch))
    seal_all(dsn, store)
    assert {e: chained_ids(store, e) for e in made} == made


def test_the_epoch_is_raised_while_writers_write_and_the_sealer_seals(
    dsn: str, store: ObjectStore
) -> None:
    written: dict[int, list[object]] = {1: [], 2: []}
    lock = threading.Lock()

    def writing(seed: int) -> None:
        source = random.Random(seed)
        epoch = 1
        with psycopg.connect(dsn, autocommit=True) as connection:
            for _ in range(25):
                made = rows(source.randrange(1, 6), epoch=epoch)
                try:
                    append_rows(connection, made)
                except Exception:
                    epoch = 2
                    continue
                with lock:
                    written[epoch] += [r.id for r in made]

    stop = threading.Event()
    with sealing(dsn, store, seconds=0.01, max_rows=20) as made:
        runner = threading.Thread(target=made.run, args=(stop,))
        writers = [threading.Thread(target=writing, args=(s,)) for s in range(6)]
        for thread in (runner, *writers):
            thread.start()
        with psycopg.connect(dsn) as connection:
            connection.execute("SELECT wayfare.raise_epoch(2)")
        for thread in writers:
            thread.join()
        stop.set()
        runner.join()
    seal_all(dsn, store)

    for epoch, ids in written.items():
        if ids:
            found = chained_ids(store, epoch)
            assert len(found) == len(set(found))
            assert set(found) == set(ids)
    assert written[2]


def test_id_blocks_may_be_used_once_their_row_is_sealed(dsn: str, store: ObjectStore) -> None:
    with psycopg.connect(dsn) as connection:
        for first in (0, 1000):
            connection.execute(
                "INSERT INTO wayfare.id_blocks (site, epoch, first, size, next) "
                "VALUES (%s, 1, %s, 1000, %s)",
                (SITE, first, first),
            )
    write(dsn, [row('{"first":1000,"size":1000}', kind="id_block")])
    seal_all(dsn, store)
    assert ask(dsn, "SELECT first FROM wayfare.id_blocks WHERE sealed") == [(1000,)]


def test_the_watermark_of_our_own_chain_goes_with_the_seal(dsn: str, store: ObjectStore) -> None:
    write(dsn, rows(5))
    seal_all(dsn, store)
    [(site, epoch, seq, digest)] = ask(
        dsn, "SELECT site, epoch, seq, segment FROM wayfare.chain_positions"
    )
    assert (site, epoch, seq, digest) == (SITE, 1, 5, segments(store)[0].digest)


def test_a_large_batch_is_cut_by_bytes(dsn: str, store: ObjectStore) -> None:
    big = '{"text":"' + "x" * 1_000_000 + '"}'
    write(dsn, *([row(big)] for _ in range(40)))
    seal_all(dsn, store, max_bytes=16 << 20)
    assert sum(s.rows.num_rows for s in segments(store)) == 40
    assert len(segments(store)) > 1
