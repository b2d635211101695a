"""How long repeats are known, and how they are forgotten."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import AsyncConnection

from tests.catchup.databases import put_chain
from tests.facts.test_committed import event, write_now
from tests.journal.making import PLAN, SITE, row, seal_all
from tests.servers.postgresql import rows
from wayfare_engine.clock import new_id
from wayfare_engine.facts import repeats
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.ledger import fence
from wayfare_engine.objectstore import ObjectStore

HOUR = 3600.0


def forget(dsn: str, *, in_seconds: float, **limits: int) -> int:
    async def work() -> int:
        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            now = datetime.now(UTC) + timedelta(seconds=in_seconds)
            return await repeats.forget(connection, now=now, seconds=HOUR, **limits)

    return asyncio.run(work())


def test_an_id_is_known_for_its_window_and_then_counts_as_new(live: str) -> None:
    [first] = write_now(live, event("e1"))

    assert forget(live, in_seconds=HOUR - 60) == 0
    assert write_now(live, event("e1"))[0].id == first.id
    assert forget(live, in_seconds=HOUR + 60) == 1
    assert not write_now(live, event("e1"))[0].repeat


def test_ids_are_forgotten_a_bounded_number_at_a_time(live: str) -> None:
    write_now(live, *(event(f"e{i}") for i in range(50)))

    assert forget(live, in_seconds=2 * HOUR, batch=8, most=3) == 24
    assert rows(live, "SELECT count(*) FROM wayfare.event_repeats") == [(26,)]
    assert forget(live, in_seconds=2 * HOUR, batch=8, most=30) == 26


def test_a_site_that_caught_up_knows_what_the_other_one_took(
    live: str, dr: str, store: ObjectStore
) -> None:
    [first] = write_now(live, event("e1"))
    seal_all(live, store)
    catch_up(dr, store, plan=PLAN)
    with psycopg.connect(dr, autocommit=True) as connection:
        fence.raise_epoch(connection, 2)

    again, other = write_now(dr, event("e1"), event("e2"))

    # Its row came by the chain, so it is in the store.
    assert (again.id, again.repeat, again.tx) == (first.id, True, None)
    assert not other.repeat
    assert rows(dr, "SELECT sum(events)::int FROM wayfare.event_windows") == [(2,)]


def test_what_was_never_shipped_counts_as_new_at_the_other_site(
    live: str, dr: str, store: ObjectStore
) -> None:
    write_now(live, event("e0"))
    seal_all(live, store)
    write_now(live, event("e1"))
    catch_up(dr, store, plan=PLAN)
    with psycopg.connect(dr, autocommit=True) as connection:
        fence.raise_epoch(connection, 2)

    [again] = write_now(dr, event("e1"))

    assert not again.repeat


def test_catching_up_notes_no_ids_of_long_ago(dr: str, store: ObjectStore) -> None:
    milliseconds = int((datetime.now(UTC) - timedelta(days=2)).timestamp() * 1000)
    old = uuid.UUID(bytes=milliseconds.to_bytes(6, "big") + new_id().bytes[6:])
    body = '{"customer":"anna","name":"buy","client_id":"%s"}'
    put_chain(store, [[row(body % "old", id=old), row(body % "new")]], site=SITE, epoch=1)

    catch_up(dr, store, plan=PLAN)
    catch_up(dr, store, plan=PLAN)

    assert rows(dr, "SELECT client_id FROM wayfare.event_repeats") == [("new",)]
    assert rows(dr, "SELECT sum(events)::int FROM wayfare.event_windows") == [(2,)]
