"""The asynchronous writer: each row once, with what follows from it, whatever goes wrong."""

from __future__ import annotations

import asyncio
import random

import psycopg
from prometheus_client import CollectorRegistry

from tests.facts.making import decision, equal_to_a_rebuild
from tests.servers.postgresql import rows
from tests.servers.tcpproxy import TcpProxy, proxied
from tests.servers.wait import until
from wayfare_engine.facts import LedgerWriter
from wayfare_engine.ledger import LedgerRow, fence
from wayfare_engine.metrics import LedgerMetrics
from wayfare_engine.objectstore import ObjectStore

SHOWN = "SELECT coalesce(sum(shown), 0)::int FROM wayfare.counters"


def new_writer(dsn: str, *, flush_seconds: float = 0.01, capacity: int = 100_000) -> LedgerWriter:
    metrics = LedgerMetrics(CollectorRegistry())
    return LedgerWriter(dsn, metrics=metrics, flush_seconds=flush_seconds, capacity=capacity)


def write(dsn: str, *made: LedgerRow) -> LedgerWriter:
    async def work() -> LedgerWriter:
        writer = new_writer(dsn)
        writer.start()
        for one in made:
            assert writer.put(one)
        assert await writer.stop() == 0
        return writer

    return asyncio.run(work())


def test_counters_are_applied_in_the_transaction_that_appends(
    live: str, dr: str, store: ObjectStore
) -> None:
    write(live, *(decision(f"c{i % 7}", journey="ab"[i % 2]) for i in range(50)))

    assert rows(live, SHOWN) == [(50,)]
    apart = rows(live, "SELECT count(DISTINCT tx::text) FROM wayfare.ledger")
    assert apart == [(1,)]
    assert equal_to_a_rebuild(live, dr, store) == 50


def test_a_batch_whose_commit_was_not_heard_of_is_written_and_applied_once(
    live: str, dr: str, store: ObjectStore
) -> None:
    made = [decision() for _ in range(3)]
    write(live, *made)

    writer = write(live, *made, decision())

    assert writer.dropped == 0
    assert rows(live, SHOWN) == [(4,)]
    assert equal_to_a_rebuild(live, dr, store) == 4


def test_a_row_that_is_refused_does_not_take_its_neighbours_along(
    live: str, dr: str, store: ObjectStore
) -> None:
    bad = decision()._replace(body="{no json")
    unknown = decision()._replace(kind="no-such-kind")

    writer = write(live, decision(), bad, decision("ben"), unknown, decision())

    assert (writer.written, writer.dropped) == (3, 2)
    assert rows(live, SHOWN) == [(3,)]
    assert equal_to_a_rebuild(live, dr, store) == 3


def test_a_refused_row_among_rows_that_were_written_before_applies_nothing_twice(
    live: str, dr: str, store: ObjectStore
) -> None:
    made = [decision() for _ in range(3)]
    write(live, *made)

    write(live, *made, decision()._replace(body="{no json"), decision())

    assert rows(live, SHOWN) == [(4,)]
    assert equal_to_a_rebuild(live, dr, store) == 4


def test_lines_that_are_cut_at_any_moment_lose_nothing_and_apply_nothing_twice(
    live: str, dr: str, store: ObjectStore
) -> None:
    source = random.Random(7)
    made = [decision(f"c{i % 31}") for i in range(1500)]

    async def work(dsn: str, proxy: TcpProxy) -> None:
        writer = new_writer(dsn, flush_seconds=0.001)
        writer.start()
        for number, one in enumerate(made):
            assert writer.put(one)
            if number % 150 == 0:
                await asyncio.sleep(source.random() * 0.02)
                await asyncio.to_thread(until, proxy.cut, every=0.003)
        assert await writer.stop(seconds=60) == 0

    with proxied(live) as (proxy, dsn):
        asyncio.run(work(dsn, proxy))

    assert rows(live, SHOWN) == [(1500,)]
    assert equal_to_a_rebuild(live, dr, store) == 1500


def test_rows_of_an_epoch_that_is_over_are_put_aside_once(live: str) -> None:
    written, late = decision(), [decision("ben"), decision("carl")]
    write(live, written)
    with psycopg.connect(live, autocommit=True) as connection:
        fence.raise_epoch(connection, 2, held=False)

    # As after a commit whose answer was lost: one of them is in the ledger.
    writer = write(live, written, *late)
    write(live, *late)

    assert writer.spooled == 3
    spooled = rows(live, "SELECT id, epoch FROM wayfare.spooled_rows ORDER BY id")
    assert spooled == sorted((row.id, 1) for row in late)
    assert rows(live, SHOWN) == [(1,)]


def test_rows_of_two_epochs_are_written_each_under_its_own(live: str) -> None:
    with psycopg.connect(live, autocommit=True) as connection:
        fence.raise_epoch(connection, 2)

    writer = write(live, decision(epoch=1), decision(epoch=2))

    assert (writer.written, writer.spooled) == (1, 1)


def test_a_full_buffer_is_written_before_its_interval_is_over(live: str) -> None:
    async def work() -> None:
        writer = new_writer(live, flush_seconds=3600)
        writer.start()
        for number in range(5000):
            assert writer.put(decision(f"c{number}"))
        await asyncio.to_thread(until, lambda: not writer.backlog)
        await writer.stop()

    asyncio.run(work())
    assert rows(live, SHOWN) == [(5000,)]


def test_who_waits_for_the_commit_is_told_of_it_and_not_after_the_interval(live: str) -> None:
    async def work() -> tuple[bool, bool]:
        writer = new_writer(live, flush_seconds=3600)
        writer.start()
        good, bad = decision(), decision()._replace(body="{no json")
        writer.put(good)
        told = await writer.committed(good.id, 60)
        assert rows(live, "SELECT count(*) FROM wayfare.ledger WHERE id = %s", good.id) == [(1,)]
        writer.put(bad)
        refused = await writer.committed(bad.id, 60)
        await writer.stop()
        return told, refused

    assert asyncio.run(work()) == (True, False)
