"""Blobs: in the store first, whole or not at all, and never other bytes than their name says."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.servers.objects import ObjectServer
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable, open_store, paths
from wayfare_engine.store import blobs
from wayfare_engine.store.blob_cache import BlobCache, BlobDamaged, BlobMissing

BIG = random.Random(1).randbytes(2 * blobs.PART + 12345)
Connection = psycopg.Connection[Any]


def parts(connection: Connection) -> list[int]:
    found = connection.execute("SELECT octet_length(data) FROM wayfare.blobs ORDER BY digest, part")
    return [size for (size,) in found.fetchall()]


@pytest.mark.parametrize("data", [b"", b"small", BIG], ids=["empty", "small", "parts"])
def test_what_one_site_puts_the_other_gets(
    here: Connection, there: Connection, s3: ObjectStore, data: bytes
) -> None:
    digest = blobs.put_blob(here, s3, data)

    assert digest == hashlib.sha256(data).hexdigest()
    assert blobs.get_blob(here, None, digest) == data
    assert blobs.get_blob(there, s3, digest) == data
    assert blobs.get_blob(there, None, digest) == data, "it is in PostgreSQL now"


def test_a_file_goes_up_and_comes_down_in_parts(
    here: Connection, there: Connection, s3: ObjectStore, tmp_path: Path
) -> None:
    file = tmp_path / "big"
    file.write_bytes(BIG)
    cache = BlobCache(tmp_path / "cache")

    digest = blobs.put_file(here, s3, file)
    path = blobs.fetch_file(there, s3, digest, cache)

    assert path.read_bytes() == BIG
    assert s3.size(paths.blob(digest)) == len(BIG)
    assert parts(here) == parts(there) == [blobs.PART, blobs.PART, 12345]


def test_nothing_is_in_postgresql_before_it_is_in_the_store(
    here: Connection, objects: ObjectServer
) -> None:
    away = open_store(
        objects.url(),
        options={**objects.options, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
        retries=0,
        timeout_seconds=2,
    )

    with pytest.raises(StoreUnavailable):
        blobs.put_blob(here, away, b"x")

    assert here.execute("SELECT count(*) FROM wayfare.blob_copies").fetchall() == [(0,)]


def test_a_put_that_was_interrupted_is_finished_by_the_next(
    here: Connection, store: ObjectStore
) -> None:
    digest = blobs.put_blob(here, store, BIG)
    here.execute("DELETE FROM wayfare.blobs WHERE part > 0")
    here.execute("UPDATE wayfare.blob_copies SET parts = NULL")
    assert not blobs.has_local(here, digest)

    blobs.put_blob(here, store, BIG)

    assert blobs.get_blob(here, None, digest) == BIG


def test_other_bytes_in_postgresql_are_noticed(here: Connection, tmp_path: Path) -> None:
    digest = blobs.put_blob(here, None, BIG)
    here.execute("UPDATE wayfare.blobs SET data = set_byte(data, 5, 0) WHERE part = 1")

    with pytest.raises(BlobDamaged, match="PostgreSQL has other bytes"):
        blobs.get_blob(here, None, digest)
    with pytest.raises(BlobDamaged):
        blobs.fetch_file(here, None, digest, BlobCache(tmp_path / "cache"))
    assert BlobCache(tmp_path / "cache").find(digest) is None


def test_other_bytes_in_the_store_are_noticed_and_not_kept(
    there: Connection, store: ObjectStore
) -> None:
    digest = hashlib.sha256(b"right").hexdigest()
    store.put(paths.blob(digest), b"wrong")

    with pytest.raises(BlobDamaged, match="store"):
        blobs.get_blob(there, store, digest)

    assert not blobs.has_local(there, digest)


def test_what_is_nowhere_is_named(there: Connection, store: ObjectStore) -> None:
    digest = "0" * 64

    with pytest.raises(BlobMissing, match="no object store is configured"):
        blobs.get_blob(there, None, digest)
    with pytest.raises(BlobMissing, match="file://"):
        blobs.get_blob(there, store, digest)


def test_only_what_nothing_refers_to_is_collected_after_a_while(
    here: Connection, store: ObjectStore
) -> None:
    used, unused = blobs.put_blob(here, store, b"used"), blobs.put_blob(here, store, b"unused")
    here.execute("UPDATE wayfare.customer_version SET blob = %s", (used,))

    assert blobs.collect(here, older_than_seconds=3600) == 0
    assert blobs.collect(here, older_than_seconds=-1) == 1

    assert blobs.has_local(here, used)
    assert not blobs.has_local(here, unused)
    assert parts(here) == [len(b"used")]
    assert blobs.get_blob(here, store, unused) == b"unused", "the store keeps it"


def test_a_second_put_keeps_a_blob_from_being_collected(here: Connection) -> None:
    blobs.put_blob(here, None, b"x")
    here.execute("UPDATE wayfare.blob_copies SET at = now() - interval '1 day'")

    blobs.put_blob(here, None, b"x")

    assert blobs.collect(here, older_than_seconds=3600) == 0


def test_the_cache_keeps_the_last_few(here: Connection, tmp_path: Path) -> None:
    cache = BlobCache(tmp_path / "cache")
    digests = [blobs.put_blob(here, None, bytes([n])) for n in range(7)]

    for digest in digests:
        blobs.fetch_file(here, None, digest, cache)

    assert cache.find(digests[-1]) is not None
    assert cache.find(digests[0]) is None
    assert len(list(cache.folder.iterdir())) == 4
