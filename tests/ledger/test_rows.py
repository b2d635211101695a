"""The ledger's table: partitions by id, rows that nobody changes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import psycopg
import pytest

from tests.ledger.making import row
from tests.servers.postgresql import rows
from wayfare_engine.ledger import LedgerRow, append_rows
from wayfare_engine.store.migrate import migrate, newest_revision


def write(dsn: str, *made: LedgerRow) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        append_rows(connection, made)


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
    far = uuid.UUID(int=uuid.uuid4().int >> 8)
    write(dsn, row(), row(row_id=far))
    today = f"ledger_{datetime.now(UTC):%Y%m%d}"
    before = rows(dsn, "SELECT count(*) FROM wayfare.ledger")
    with psycopg.connect(dsn) as connection:
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA wayfare TO CURRENT_USER")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="never changed or removed"):
            connection.execute(statement.format(today=today).encode())
        connection.rollback()
    assert rows(dsn, "SELECT count(*) FROM wayfare.ledger") == before


def test_migrating_again_changes_nothing(dsn: str) -> None:
    assert migrate(dsn) == newest_revision() == "0023"
