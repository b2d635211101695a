"""A row's hash is a function of its values, and of nothing of the database that it is in."""

from __future__ import annotations

import hashlib
import struct
import uuid
from datetime import UTC, datetime
from typing import Any

import psycopg

from tests.digests.taking import sql
from wayfare_engine.projections.digests import COVERED
from wayfare_engine.projections.digests.hashing import entries, prepare

AT = datetime(2026, 3, 1, 22, 30, 0, 17, UTC)
ROW = uuid.UUID("01234567-89ab-7def-8123-456789abcdef")
TYPES = {"text": 25, "bigint": 20, "int": 23, "uuid": 2950, "timestamptz": 1184, "json": 114}


def canonical(*values: tuple[str, Any]) -> bytes:
    """What is hashed, written down independently: of (type, value) each."""
    found = struct.pack(">i", len(values))
    for kind, value in values:
        match kind, value:
            case _, None:
                raw = None
            case "text" | "json", _:
                raw = value.encode()
            case "bigint", _:
                raw = struct.pack(">q", value)
            case "int", _:
                raw = struct.pack(">i", value)
            case "uuid", _:
                raw = value.bytes
            case _:
                since = value - datetime(2000, 1, 1, tzinfo=UTC)
                raw = struct.pack(">q", round(since.total_seconds() * 1_000_000))
        found += struct.pack(">Ii", TYPES[kind], -1 if raw is None else len(raw)) + (raw or b"")
    return found


def hashed(dsn: str, table: str, *settings: str) -> tuple[str, str]:
    """(key's hash, row's hash) of a table's only row."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for setting in settings:
            connection.execute(setting.encode())
        prepare(connection)
        (found,) = [e for *_, some in entries(connection, COVERED[table]) for e in some]
        raw = found.tobytes()
    return raw[:16].hex(), raw[16:32].hex()


def short(data: bytes) -> str:
    return hashlib.sha256(data).digest()[:16].hex()


INSTANCE = (
    "INSERT INTO wayfare.journey_instances VALUES ('ı-1', 7, 2, %s, 'çelik 😀', 'j', 'n', 3, "
    "'Waiting', '', %s)"
)


def test_it_is_of_the_binary_form_of_the_values(a: str) -> None:
    sql(a, INSTANCE, ROW, AT)
    values = [
        ("text", "ı-1"),
        ("bigint", 7),
        ("bigint", 2),
        ("uuid", ROW),
        ("text", "çelik 😀"),
        ("text", "j"),
        ("text", "n"),
        ("int", 3),
        ("text", "Waiting"),
        ("text", ""),
        ("timestamptz", AT),
    ]
    key, row = hashed(a, "journey_instances")
    assert key == short(canonical(values[0]))
    assert row == short(canonical(*values))
    # The same in every later version: digests of two versions are compared.
    assert row == "1c873d09bb04f1b02ba0400a2eee4050"


def test_settings_of_the_session_do_not_matter(a: str) -> None:
    sql(a, INSTANCE, ROW, AT)
    assert hashed(a, "journey_instances") == hashed(
        a,
        "journey_instances",
        "SET TimeZone = 'Asia/Kathmandu'",
        "SET DateStyle = 'SQL, DMY'",
        "SET bytea_output = 'escape'",
        "SET extra_float_digits = 0",
        "SET client_encoding = 'LATIN5'",
    )


def test_null_and_empty_are_two_values(a: str) -> None:
    insert = "INSERT INTO wayfare.outbox (send_key, customer_id, detail) VALUES ('s', 'c', "
    sql(a, insert + "NULL)")
    null = hashed(a, "outbox")
    sql(a, "TRUNCATE wayfare.outbox")
    sql(a, insert + "'')")
    empty = hashed(a, "outbox")
    assert null[0] == empty[0]
    assert null[1] != empty[1]


def test_values_do_not_run_into_each_other(a: str) -> None:
    insert = "INSERT INTO wayfare.opt_outs VALUES (%s, %s, 1, 1, %s, true)"
    sql(a, insert, "ab", "c", ROW)
    one = hashed(a, "opt_outs")
    sql(a, "TRUNCATE wayfare.opt_outs")
    sql(a, insert, "a", "bc", ROW)
    assert hashed(a, "opt_outs")[0] != one[0]


def test_json_counts_as_its_text(a: str) -> None:
    insert = "INSERT INTO wayfare.profile_changes VALUES ('c', 'n', 1, 1, %s, %s)"
    sql(a, insert, ROW, '{"a": 1,  "b":2}')
    assert hashed(a, "profile_changes")[1] == short(
        canonical(
            ("text", "c"),
            ("text", "n"),
            ("bigint", 1),
            ("bigint", 1),
            ("uuid", ROW),
            ("json", '{"a": 1,  "b":2}'),
        )
    )
