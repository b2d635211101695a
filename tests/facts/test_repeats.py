"""How long repeats are known, and how they are forgotten."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from psycopg import AsyncConnection

from tests.facts.test_committed import event, write_now
from tests.servers.postgresql import rows
from wayfare_engine.facts import repeats

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
