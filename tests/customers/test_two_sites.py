"""Loads at one site, applied by reference at the other."""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from tests.customers.loading import NOW, blob_rows, load_csv, tables, values
from wayfare_engine.clock import new_id
from wayfare_engine.customers import applying
from wayfare_engine.ledger import Kind, LedgerRow, append_rows, bodies
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable, open_store
from wayfare_engine.plan import AttributeType
from wayfare_engine.projections import BlobRow, apply_rows
from wayfare_engine.store import blobs
from wayfare_engine.store.blob_cache import BlobCache, BlobMissing

Connection = psycopg.Connection[Any]
LOADS = (
    b"id,age\na,1\nb,2\n",
    b"id,age,city\nb,5,Ghent\nc,,Bruges\n",
    b"id,age\nd,4\na,1\nb,5\nc,7\n",
)


def test_the_second_site_has_the_same_customers_from_the_store(
    here: Connection, there: Connection, s3: ObjectStore, tmp_path: Path
) -> None:
    cache = BlobCache(tmp_path / "there")
    for content in LOADS:
        load_csv(here, s3, content)

    for row in blob_rows(here):
        applying.apply_load(there, row)
    assert blobs.fetch_missing(there, s3) == 1, "only what still counts is fetched"

    assert tables(there) == tables(here)
    assert values(there, None, cache, "age", AttributeType.DOUBLE) == {
        "a": 1.0,
        "b": 5.0,
        "c": 7.0,
        "d": 4.0,
    }
    assert values(there, None, cache, "city", AttributeType.STRING) == {
        "a": None,
        "b": "Ghent",
        "c": "Bruges",
        "d": None,
    }


def test_loads_give_the_same_in_whatever_order_they_come(
    here: Connection, there: Connection, store: ObjectStore
) -> None:
    for content in LOADS:
        load_csv(here, store, content)

    for order in itertools.permutations(blob_rows(here)):
        there.execute(
            "WITH s AS (DELETE FROM wayfare.customer_schema) UPDATE wayfare.customer_version SET "
            "version = 0, customers = 0, capacity = 0, epoch = 0, blob = NULL"
        )
        for row in order:
            applying.apply_load(there, row)
        assert tables(there) == tables(here)


def test_a_load_of_a_later_epoch_counts_though_its_version_is_not_higher(
    here: Connection, there: Connection, store: ObjectStore
) -> None:
    load_csv(here, store, LOADS[0])
    [stranded] = blob_rows(here)
    here.execute("SELECT wayfare.raise_epoch(2)")
    here.execute("UPDATE wayfare.customer_version SET version = 0, blob = NULL")
    load_csv(here, store, LOADS[1])
    newer = blob_rows(here)[-1]

    applying.apply_load(there, newer)
    applying.apply_load(there, stranded)

    assert tables(there) == tables(here)


def test_a_load_of_a_later_epoch_that_changes_nothing_leaves_the_same_at_both_sites(
    here: Connection, there: Connection, store: ObjectStore
) -> None:
    load_csv(here, store, LOADS[0])
    here.execute("SELECT wayfare.raise_epoch(2)")
    load_csv(here, store, LOADS[0])

    for row in blob_rows(here):
        applying.apply_load(there, row)

    assert tables(there) == tables(here)


def test_a_blob_that_is_not_here_yet_is_named(
    here: Connection, there: Connection, store: ObjectStore, tmp_path: Path
) -> None:
    load_csv(here, store, LOADS[0])
    applying.apply_load(there, blob_rows(here)[0])

    with pytest.raises(BlobMissing):
        values(there, None, BlobCache(tmp_path / "there"), "age", AttributeType.INT)


def test_while_the_store_is_away_a_load_changes_nothing(here: Connection, tmp_path: Path) -> None:
    before = tables(here)
    away = open_store(
        "s3://wayfare/x",
        options={
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_REGION": "us-east-1",
        },
        retries=0,
        timeout_seconds=2,
    )

    with pytest.raises(StoreUnavailable):
        load_csv(here, away, LOADS[0])

    assert tables(here) == before
    assert blob_rows(here) == []


def test_loads_at_once_come_one_after_the_other_in_the_order_of_transactions(
    here: Connection, store: ObjectStore
) -> None:
    failures: list[BaseException] = []

    def one(number: int) -> None:
        try:
            with psycopg.connect(here.info.dsn, password=here.info.password, autocommit=True) as c:
                load_csv(c, store, f"id,age\nc{number},{number}\nshared,{number}\n".encode())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
    found = here.execute(
        "SELECT (body->>'customers_version')::int, (body->>'customers')::int FROM wayfare.ledger "
        "WHERE kind = 'load' ORDER BY tx"
    ).fetchall()
    assert found == [(n, n + 1) for n in range(1, 6)]


def change(here: Connection, customer: str, name: str, value: Any, version: int) -> None:
    """A single change, as it reaches the ledger and its projection."""
    body = bodies.AttributeChange(
        customer=customer, name=name, value=msgspec.Raw(msgspec.json.encode(value))
    )
    row = LedgerRow(
        new_id(), "east", 1, Kind.ATTRIBUTE, f"{customer}/{name}", version, customer, NOW,
        bodies.encode(body),
    )  # fmt: skip
    with here.transaction():
        append_rows(here, [row])
        apply_rows(here, [row])


def test_a_single_change_counts_until_a_load_brings_the_attribute_anew(
    here: Connection, store: ObjectStore, tmp_path: Path
) -> None:
    cache = BlobCache(tmp_path / "here")

    def ages() -> dict[str, Any]:
        return values(here, store, cache, "age", AttributeType.INT)

    load_csv(here, store, b"id,age\na,1\nb,2\n")
    change(here, "a", "age", 30, 1)
    change(here, "b", "age", 40, 1)
    assert ages() == {"a": 30, "b": 40}

    result = load_csv(here, store, b"id,age\na,1\n")
    assert result.changed == 1, "the file says otherwise than the change"
    assert ages() == {"a": 1, "b": 40}

    change(here, "a", "age", 31, 2)
    load_csv(here, store, b"id,city\na,Ghent\n")
    assert ages() == {"a": 31, "b": 40}, "a load without the attribute overtakes nothing"


def refresh(epoch: int, size: int, seconds: int, blob: str | None) -> BlobRow:
    body = bodies.SegmentRefresh(
        name="savers",
        key="k",
        size=size,
        digest=f"sha256:{size}",
        as_of=NOW + timedelta(seconds=seconds),
        customers_version=1,
        blob=blob,
    )
    return BlobRow("east", epoch, new_id().bytes, Kind.SEGMENT_REFRESH, bodies.encode(body))


def test_memberships_are_applied_by_reference_and_the_newest_counts(
    here: Connection, there: Connection, store: ObjectStore
) -> None:
    digests = {n: blobs.put_blob(here, store, bytes([n])) for n in (1, 2, 3)}
    rows = [
        refresh(1, 1, 5, digests[1]),
        refresh(1, 2, 9, digests[2]),
        refresh(2, 3, 1, digests[3]),
    ]
    for order in itertools.permutations(rows):
        there.execute("DELETE FROM wayfare.segment_memberships")
        for row in order:
            applying.apply_refresh(there, row)
        found = there.execute("SELECT size, blob FROM wayfare.segment_memberships").fetchall()
        assert found == [(3, digests[3])]

    assert blobs.fetch_missing(there, store) == 1
    assert blobs.get_blob(there, None, digests[3]) == bytes([3])


def test_a_membership_without_a_blob_is_computed_again_here(
    here: Connection, there: Connection, store: ObjectStore
) -> None:
    old = refresh(1, 1, 5, blobs.put_blob(here, store, b"1"))
    new = refresh(1, 2, 9, None)
    for order in itertools.permutations([old, new]):
        there.execute("DELETE FROM wayfare.segment_memberships")
        for row in order:
            applying.apply_refresh(there, row)
        found = there.execute("SELECT size, blob FROM wayfare.segment_memberships").fetchall()
        assert found == [(2, None)]
