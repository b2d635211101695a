"""Blocks of dense ids: used when they are in the store, never shared, never given out twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection, Connection

from tests.servers.postgresql import rows
from wayfare_engine.clock import new_id
from wayfare_engine.ledger import StaleEpoch, bodies, fence, id_blocks
from wayfare_engine.ledger.id_blocks import SMALLEST, BlockNotSealed, IdsExhausted, TooFewIds

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def connect(dsn: str) -> Connection[Any]:
    return psycopg.connect(dsn, autocommit=True)


def reserve(
    connection: Connection[Any],
    count: int,
    *,
    site: str = "east",
    epoch: int = 1,
    sealed: Callable[[int], bool] | None = None,
) -> None:
    id_blocks.reserve(connection, count, site=site, epoch=epoch, ids=new_id, at=NOW, sealed=sealed)


def take(connection: Connection[Any], count: int, epoch: int = 1) -> list[range]:
    return id_blocks.take(connection, count, site="east", epoch=epoch)


def test_ids_are_dense_and_come_from_blocks_that_rows_tell_of(own_dsn: str) -> None:
    with connect(own_dsn) as connection:
        reserve(connection, SMALLEST)
        assert take(connection, 4) == [range(4)]
        assert take(connection, SMALLEST - 6) == [range(4, SMALLEST - 2)]
        reserve(connection, 10)
        assert take(connection, 10) == [
            range(SMALLEST - 2, SMALLEST),
            range(SMALLEST, SMALLEST + 8),
        ]
        found = rows(
            own_dsn, "SELECT kind, site, epoch, body::text FROM wayfare.ledger ORDER BY id"
        )
    told = [(kind, site, epoch, bodies.decode(kind, body)) for kind, site, epoch, body in found]
    assert told == [
        ("id_block", "east", 1, bodies.IdBlock(first=0, size=SMALLEST)),
        ("id_block", "east", 1, bodies.IdBlock(first=SMALLEST, size=SMALLEST)),
    ]


def test_without_enough_ids_nothing_is_taken(own_dsn: str) -> None:
    with connect(own_dsn) as connection:
        reserve(connection, 1)
        with pytest.raises(TooFewIds) as refused:
            take(connection, SMALLEST + 1)
        assert (refused.value.wanted, refused.value.left) == (SMALLEST + 1, SMALLEST)
        assert take(connection, 1) == [range(1)]


def test_a_block_is_not_used_before_its_row_is_in_the_store(own_dsn: str) -> None:
    asked: list[int] = []

    def not_yet(tx: int) -> bool:
        asked.append(tx)
        return False

    with connect(own_dsn) as connection:
        with pytest.raises(BlockNotSealed):
            reserve(connection, 5, sealed=not_yet)
        with pytest.raises(TooFewIds):
            take(connection, 1)
        # The block is kept, and taken up again, by another process too.
        reserve(connection, 5, sealed=lambda tx: tx == asked[0])
        assert take(connection, 5) == [range(5)]
    assert rows(own_dsn, "SELECT tx::text, count(*) OVER () FROM wayfare.ledger") == [
        (str(asked[0]), 1)
    ]


def test_ids_of_a_transaction_that_rolled_back_are_taken_again(own_dsn: str) -> None:
    with connect(own_dsn) as connection:
        reserve(connection, 5)
        with connection.transaction(force_rollback=True):
            assert take(connection, 5) == [range(5)]
        assert take(connection, 5) == [range(5)]


def test_takers_at_once_never_get_the_same_id(own_dsn: str) -> None:
    def work(_: int) -> list[int]:
        with connect(own_dsn) as connection:
            got: list[int] = []
            for _ in range(20):
                reserve(connection, 700)
                try:
                    got += [one for part in take(connection, 700) for one in part]
                except TooFewIds:
                    continue  # another took what was reserved
            return got

    with ThreadPoolExecutor(8) as pool:
        taken = [one for part in pool.map(work, range(8)) for one in part]
    assert len(taken) == len(set(taken)) >= 20 * 700
    blocks = rows(own_dsn, "SELECT first, size FROM wayfare.id_blocks ORDER BY first")
    ends = [first + size for first, size in blocks]
    assert [first for first, _ in blocks] == [0, *ends[:-1]]


def test_the_next_epoch_starts_behind_every_block_that_is_known(own_dsn: str) -> None:
    with connect(own_dsn) as connection:
        reserve(connection, 5)
        take(connection, 5)
        connection.execute(id_blocks.APPLY, ("west", 1, 50_000, 300, 50_300))
        fence.raise_epoch(connection, 2)
        with pytest.raises(TooFewIds):
            take(connection, 1, epoch=2)
        reserve(connection, 5, epoch=2)
        assert take(connection, 5, epoch=2) == [range(50_300, 50_305)]
        with pytest.raises(StaleEpoch):
            take(connection, 1, epoch=1)
        with pytest.raises(StaleEpoch):
            reserve(connection, SMALLEST * 2, epoch=1)


def test_a_block_that_came_by_replay_is_handed_out_no_further(own_dsn: str) -> None:
    with connect(own_dsn) as connection:
        # This site's own block, as a database that was rebuilt from the chains sees it.
        connection.execute(id_blocks.APPLY, ("east", 1, 0, 300, 300))
        with pytest.raises(TooFewIds):
            take(connection, 1)


def test_replay_at_the_site_that_allocated_the_block_leaves_its_place(own_dsn: str) -> None:
    with connect(own_dsn) as connection:
        with pytest.raises(BlockNotSealed):
            reserve(connection, 5, sealed=lambda tx: False)
        connection.execute(id_blocks.APPLY, ("east", 1, 0, SMALLEST, SMALLEST))
        assert take(connection, 3) == [range(3)]
        connection.execute(id_blocks.APPLY, ("east", 1, 0, SMALLEST, SMALLEST))
        assert take(connection, 3) == [range(3, 6)]


def test_customers_that_are_there_already_keep_their_ids(own_dsn: str) -> None:
    with connect(own_dsn) as connection:
        connection.execute("UPDATE wayfare.customer_version SET capacity = 42")
        reserve(connection, 1)
        assert take(connection, 1) == [range(42, 43)]


def test_numbers_end(own_dsn: str) -> None:
    with connect(own_dsn) as connection:
        top = id_blocks.LIMIT - 7
        connection.execute(id_blocks.APPLY, ("west", 1, top - 10, 10, top))
        reserve(connection, 7)
        assert take(connection, 7) == [range(top, id_blocks.LIMIT)]
        with pytest.raises(IdsExhausted):
            reserve(connection, 1)


async def test_asyncio_takes_them_too(own_dsn: str) -> None:
    with connect(own_dsn) as connection:
        reserve(connection, 5)
    async with await AsyncConnection.connect(own_dsn, autocommit=True) as connection:
        assert await id_blocks.take_async(connection, 5, site="east", epoch=1) == [range(5)]


def test_a_block_is_committed_before_it_is_used(own_dsn: str) -> None:
    with psycopg.connect(own_dsn) as connection, pytest.raises(ValueError, match="autocommit"):
        reserve(connection, 1)
