"""The ledger's table: partitions by id, rows that nobody changes, rows that PostgreSQL refuses."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from tests.ledger.making import row
from tests.servers.postgresql import rows
from wayfare_engine.ledger import LedgerRow, LedgerWriter
from wayfare_engine.metrics import LedgerMetrics
from wayfare_engine.store.migrate import migrate, newest_revision


def write(dsn: str, *made: LedgerRow) -> LedgerWriter:
    async def work() -> LedgerWriter:
        writer = LedgerWriter(
            dsn, metrics=LedgerMetrics(CollectorRegistry()), flush_seconds=0.01, capacity=100
        )
        writer.start()
        for one in made:
            assert writer.put(one)
        assert await writer.stop() == 0
        return writer

    return asyncio.run(work())


def test_a_row_lies_in_the_partition_of_its_ids_day(dsn: str) -> None:
    made = row()
    write(dsn, made)

    [(where, transaction)] = rows(
        dsn, "SELECT tableoid::regclass::text, tx::text FROM wayfare.ledger WHERE id = %s", made.id
    )
    assert where.removeprefix("wayfare.") == f"ledger_{datetime.now(UTC):%Y%m%d}"
    assert int(transaction) > 0


def test_a_row_of_a_day_without_a_partition_is_kept_all_the_same(dsn: str) -> None:
    far = uuid.UUID("0fffffff-ffff-7000-8000-000000000001")
    write(dsn, row(row_id=far))

    [(where,)] = rows(dsn, "SELECT tableoid::regclass::text FROM wayfare.ledger WHERE id = %s", far)
    assert where.removeprefix("wayfare.") == "ledger_elsewhere"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE wayfare.ledger SET site = 'west'",
        "DELETE FROM wayfare.ledger",
        "TRUNCATE wayfare.ledger",
        "DELETE FROM wayfare.ledger_elsewhere",
    ],
)
def test_the_engines_role_only_adds_rows(dsn: str, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        rows(dsn, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE wayfare.ledger SET site = 'west'",
        "DELETE FROM wayfare.ledger",
        "DELETE FROM wayfare.ledger_elsewhere",
        "TRUNCATE wayfare.ledger",
        "TRUNCATE wayfare.ledger_elsewhere",
        "TRUNCATE wayfare.{today}",
    ],
)
def test_a_role_with_every_privilege_only_adds_rows_too(dsn: str, statement: str) -> None:
    far = uuid.UUID("0fffffff-ffff-7000-8000-000000000002")
    write(dsn, row(), row(row_id=far))
    today = f"ledger_{datetime.now(UTC):%Y%m%d}"
    before = rows(dsn, "SELECT count(*) FROM wayfare.ledger")
    with psycopg.connect(dsn) as connection:
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA wayfare TO CURRENT_USER")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="never changed or removed"):
            connection.execute(statement.format(today=today).encode())
        connection.rollback()
    assert rows(dsn, "SELECT count(*) FROM wayfare.ledger") == before


def test_a_row_that_is_refused_does_not_take_its_neighbours_along(dsn: str) -> None:
    good, bad, also_good = row(), row("{no json"), row()

    writer = write(dsn, good, bad, also_good)

    assert (writer.written, writer.dropped) == (2, 1)
    found = rows(
        dsn,
        "SELECT count(*) FROM wayfare.ledger WHERE id = ANY(%s)",
        [good.id, bad.id, also_good.id],
    )
    assert found == [(2,)]


def test_a_batch_whose_commit_was_not_heard_of_is_written_once(dsn: str) -> None:
    made = [row() for _ in range(3)]
    write(dsn, *made)

    writer = write(dsn, *made, extra := row())

    assert writer.dropped == 0
    ids = [one.id for one in [*made, extra]]
    assert rows(dsn, "SELECT count(*) FROM wayfare.ledger WHERE id = ANY(%s)", ids) == [(4,)]


def test_migrating_again_changes_nothing(dsn: str) -> None:
    assert migrate(dsn) == newest_revision() == "0008"
