"""One customer's attributes as they are at this moment: loads, single changes, keys, erasures."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psycopg
import pyarrow as pa
import pytest

from tests.customers.loading import NOW, load_csv
from wayfare_engine.clock import new_id
from wayfare_engine.customers.erasing import erase
from wayfare_engine.customers.lookup import CustomerLookup, Index
from wayfare_engine.facts import Draft, Fact, write
from wayfare_engine.ledger import bodies
from wayfare_engine.privacy import CustomerKeys, MasterKeys
from wayfare_engine.store.blob_cache import BlobCache

Connection = psycopg.Connection[Any]
CSV = b"id,name,phone,joined,zone\na,Anna,+1,2024-01-02T03:04:05Z,Europe/Lisbon\nb,Bob,+2,,\n"
SENSITIVE = frozenset({"phone"})
NAMES = ("name", "phone", "joined", "zone", "never_loaded")


@pytest.fixture
def masters(tmp_path: Path) -> MasterKeys:
    path = tmp_path / "master"
    path.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    return MasterKeys.read(path, random=secrets.token_bytes)


@pytest.fixture
def keys(masters: MasterKeys) -> Callable[[Connection], CustomerKeys]:
    return lambda connection: CustomerKeys(connection, None, masters, ids=new_id)


@pytest.fixture
def lookup(
    here: Connection, keys: Callable[[Connection], CustomerKeys], tmp_path: Path
) -> CustomerLookup:
    return CustomerLookup(over(here), None, NAMES, keys=keys, cache=BlobCache(tmp_path / "cache"))


def over(connection: Connection) -> Any:
    @contextmanager
    def connected() -> Iterator[Connection]:
        yield connection

    return connected


def load(here: Connection, keys: Callable[[Connection], CustomerKeys], csv: bytes = CSV) -> None:
    load_csv(here, None, csv, keys=keys(here), sensitive=SENSITIVE)


def change(here: Connection, customer: str, name: str, value: Any) -> None:
    body = bodies.AttributeChange(
        customer=customer, name=name, value=msgspec.Raw(msgspec.json.encode(value))
    )
    write(here, [Draft(new_id(), Fact(body, NOW))], site="east")


def test_values_of_a_customer(
    here: Connection, keys: Callable[[Connection], CustomerKeys], lookup: CustomerLookup
) -> None:
    assert lookup("a") is None, "nothing was loaded yet"
    load(here, keys)
    anna, bob = lookup("a"), lookup("b")
    assert anna is not None
    assert bob is not None
    assert (anna["name"], anna["phone"], anna["never_loaded"]) == ("Anna", "+1", None)
    assert anna["joined"].isoformat() == "2024-01-02T03:04:05+00:00"
    assert (bob["phone"], bob["joined"]) == ("+2", None)
    assert lookup("c") is None


def test_a_newer_load_counts_at_once(
    here: Connection, keys: Callable[[Connection], CustomerKeys], lookup: CustomerLookup
) -> None:
    load(here, keys)
    assert (lookup("a") or {})["name"] == "Anna"
    load(here, keys, CSV.replace(b"Anna", b"Ann") + b"c,Cleo,+3,,\n")
    assert (lookup("a") or {})["name"] == "Ann"
    assert (lookup("c") or {})["phone"] == "+3"


def test_single_changes_count_until_a_load_overtakes_them(
    here: Connection, keys: Callable[[Connection], CustomerKeys], lookup: CustomerLookup
) -> None:
    load(here, keys)
    change(here, "a", "name", "Annika")
    change(here, "a", "joined", "2025-06-07T08:09:10Z")
    change(here, "a", "never_loaded", 7)
    change(here, "nobody", "name", "Nemo")
    anna = lookup("a") or {}
    assert (anna["name"], anna["joined"].year, anna["never_loaded"]) == ("Annika", 2025, 7)
    assert (lookup("b") or {})["name"] == "Bob"
    assert lookup("nobody") is None
    load(here, keys, CSV.replace(b"Anna", b"Ann"))
    assert (lookup("a") or {})["name"] == "Ann"
    change(here, "a", "name", 7)
    assert (lookup("a") or {})["name"] is None, "a value of another type is unknown"


def test_an_erased_customer_is_not_known_any_more(
    here: Connection, keys: Callable[[Connection], CustomerKeys], lookup: CustomerLookup
) -> None:
    load(here, keys)
    assert lookup("a") is not None
    erase(here, None, "a", reason="a test", site="east", row_id=new_id(), now=NOW)
    assert lookup("a") is None
    assert lookup("b") is not None


def test_without_a_master_key_what_is_sealed_is_unknown(
    here: Connection, keys: Callable[[Connection], CustomerKeys], tmp_path: Path
) -> None:
    load(here, keys)
    cache = BlobCache(tmp_path / "other")
    lookup = CustomerLookup(over(here), None, NAMES, keys=lambda _: None, cache=cache)
    anna = lookup("a") or {}
    assert (anna["name"], anna["phone"]) == ("Anna", None)


def test_zones_are_those_of_who_has_one(
    here: Connection, keys: Callable[[Connection], CustomerKeys], lookup: CustomerLookup
) -> None:
    load(here, keys)
    assert lookup.zones("zone")(["a", "b", "c"]) == {"a": "Europe/Lisbon"}


def test_the_index_finds_every_id_in_12_bytes_a_customer() -> None:
    ids = [f"customer-{i}" for i in range(50_000)]
    column = pa.chunked_array([ids[:20_000], ids[20_000:]], pa.large_string())
    index = Index(column)
    assert index.nbytes - column.nbytes == 12 * len(ids)
    assert all(index.row(ids[i]) == i for i in range(0, len(ids), 97))
    assert index.row("customer-50000") is None


def test_ids_of_one_hash_are_told_apart() -> None:
    index = Index(pa.chunked_array([["a", "b", "c"]], pa.large_string()))
    index._hashes = np.full(3, hash("b"), np.int64)
    index._rows = np.array([2, 0, 1], np.uint32)
    assert index.row("b") == 1
    index._rows = np.array([2, 0, 0], np.uint32)
    assert index.row("b") is None
