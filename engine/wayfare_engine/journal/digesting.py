"""Taking the digest of a database, with the watermark that it is of, and opening one again.

A digest lies in a file or in the store, at `digests/<name>`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import Connection

from wayfare_engine.journal import positions
from wayfare_engine.journal.snapshot import revision
from wayfare_engine.journal.unsealed_rows import unsealed_rows
from wayfare_engine.objectstore import ObjectStore, StoreProblem
from wayfare_engine.projections.digests import Digest, DigestDamaged, Document, write
from wayfare_engine.projections.digests.hashing import prepare
from wayfare_engine.projections.digests.reading import Read
from wayfare_engine.projections.digests.writing import Progress

#: A comparison reads thousands of small ranges, near each other: a request for each took 11 ms.
_BLOCK, _MOST_BLOCKS = 1024 * 1024, 64


def take(
    connection: Connection[Any],
    into: IO[bytes],
    *,
    site: str,
    clock: Callable[[], datetime],
    progress: Progress | None = None,
) -> Document:
    """Write the digest of what the connection's transaction sees: it must be REPEATABLE READ (see
    `one_snapshot`). Raises psycopg.Error, OSError."""
    reached = positions.positions(connection)
    watermark = positions.by_name({chain: at.seq for chain, at in reached.items()})
    ahead = sum(unsealed_rows(connection).values())
    named = revision(connection)
    return write(
        connection,
        into,
        lambda tables: Document(1, site, named, clock(), watermark, ahead, tables),
        progress=progress,
    )


@contextmanager
def session(dsn: str) -> Iterator[Connection[Any]]:
    """A session that can hash and show rows. Raises psycopg.Error."""
    with psycopg.connect(dsn, autocommit=True, application_name="wayfare-digest") as connection:
        prepare(connection)
        yield connection


@contextmanager
def one_snapshot(dsn: str) -> Iterator[Connection[Any]]:
    """A read-only transaction on one snapshot, in a session of its own. Raises psycopg.Error."""
    with session(dsn) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield connection


@contextmanager
def digested(
    dsn: str,
    source: str,
    *,
    site: str,
    clock: Callable[[], datetime],
    progress: Progress | None = None,
) -> Iterator[tuple[Digest, Connection[Any]]]:
    """The digest of a database, and the transaction that it was taken in, where its rows can be
    read as they were. Raises psycopg.Error, OSError."""
    with (
        tempfile.NamedTemporaryFile(prefix="wayfare-digest-") as file,
        one_snapshot(dsn) as connection,
    ):
        take(connection, file.file, site=site, clock=clock, progress=progress)
        file.flush()
        with opened_file(Path(file.name), source) as digest:
            yield digest, connection


@contextmanager
def opened_file(path: Path, source: str | None = None) -> Iterator[Digest]:
    """A digest in a file. Raises DigestDamaged, NewerDigest, OSError."""
    with path.open("rb") as file:

        def read(start: int, length: int) -> bytes:
            file.seek(start)
            return file.read(length)

        yield Digest(source or str(path), read)


def opened_in_store(store: ObjectStore, path: str) -> Digest:
    """A digest in the store. Raises DigestDamaged, NewerDigest, StoreProblem, StoreUnavailable."""
    size = store.size(path)
    if size is None:
        raise DigestDamaged(f"{path} in {store.url}", "it is not there")
    return Digest(path, in_blocks(lambda start, length: store.get_range(path, start, length), size))


def in_blocks(read: Read, size: int, *, block: int = _BLOCK) -> Read:
    """`read` of an object of `size` bytes, asked for whole blocks alone, each of which is kept for
    the next reads of it; None where `read` says None. What lies behind the end is left out."""

    @lru_cache(maxsize=_MOST_BLOCKS)
    def one(number: int) -> bytes | None:
        start = number * block
        return read(start, min(block, size - start))

    def joined(start: int, length: int) -> bytes | None:
        end = min(start + length, size)
        found = bytearray()
        for number in range(start // block, -(-end // block)):
            part = one(number)
            if part is None:
                return None
            first = number * block
            found += part[max(0, start - first) : end - first]
        return bytes(found)

    return joined


def put(store: ObjectStore, path: str, file: Path) -> None:
    """Put a digest into the store, where nothing may be yet. Raises StoreProblem,
    StoreUnavailable."""
    if store.exists(path):
        raise StoreProblem(store.url, f"{path} is there already", "choose another name")
    store.put_file(path, file)
