"""Blobs: immutable bytes by their SHA-256, in the object store and in PostgreSQL.

A row of the ledger refers to one; the bytes are in the store before the row commits. The copy in
PostgreSQL is for the pods, which reach no store, and for engines that have none. It is written in
parts that commit one by one, because a long transaction would hold the sealer back.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from psycopg import AsyncConnection, Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.objectstore.paths import blob as blob_path
from wayfare_engine.objectstore.streams import PIECE, pieces, upload
from wayfare_engine.store.blob_cache import BlobCache, BlobDamaged, BlobMissing

PART = PIECE

_upload_point = crash_point("blobs.upload", "nothing of the blob was written yet")
_uploaded_point = crash_point("blobs.uploaded", "the blob is in the store and not in PostgreSQL")
_part_point = crash_point("blobs.part", "a part of the blob's local copy is committed")
_whole_point = crash_point("blobs.whole", "the blob's local copy is whole, and no row refers to it")

#: Blobs that rows in use refer to. The store's copies are not bound to this.
_PRESENT = """
    SELECT blob FROM wayfare.customer_version WHERE blob IS NOT NULL
    UNION SELECT blob FROM wayfare.segment_memberships WHERE blob IS NOT NULL
"""
#: And the one that pods may be reading while they change over.
_IN_USE = f"""
    {_PRESENT}
    UNION SELECT previous_blob FROM wayfare.customer_version WHERE previous_blob IS NOT NULL
"""  # noqa: S608


def digest_of(data: bytes) -> str:
    """The name of a blob: its SHA-256, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def put_blob(connection: Connection[Any], store: ObjectStore | None, data: bytes) -> str:
    """Keep bytes, in the store first; returns their digest. What is there already stays.

    On an autocommit connection each part commits by itself. Call it before the transaction that
    writes the row. Raises StoreProblem, StoreUnavailable, psycopg.Error.
    """
    digest = digest_of(data)
    _upload_point()
    if store is not None:
        store.put_if_absent(blob_path(digest), data)
    _uploaded_point()
    _put_local(connection, digest, io.BytesIO(data), len(data))
    return digest


def put_file(connection: Connection[Any], store: ObjectStore | None, path: Path) -> str:
    """`put_blob` of a file's content, with bounded memory."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        _upload_point()
        if store is not None:
            upload(store, blob_path(digest), path)
        _uploaded_point()
        file.seek(0)
        _put_local(connection, digest, file, path.stat().st_size)
    return digest


def get_blob(connection: Connection[Any], store: ObjectStore | None, digest: str) -> bytes:
    """The bytes, from PostgreSQL or else from the store (and then they are in PostgreSQL too).

    Raises BlobMissing, BlobDamaged, StoreProblem, StoreUnavailable, psycopg.Error.
    """
    if not has_local(connection, digest):
        bring(connection, store, digest)
    data = b"".join(_local_parts(connection, digest))
    if digest_of(data) != digest:
        raise BlobDamaged(digest, digest_of(data), "PostgreSQL")
    return data


def fetch_file(
    connection: Connection[Any], store: ObjectStore | None, digest: str, cache: BlobCache
) -> Path:
    """`get_blob` as a file of the cache, with bounded memory."""
    found = cache.find(digest)
    if found is not None:
        return found
    if not has_local(connection, digest):
        bring(connection, store, digest, cache)
        found = cache.find(digest)
        if found is not None:
            return found
    with cache.adding(digest, "PostgreSQL") as assembly:
        for part in _local_parts(connection, digest):
            assembly.write(part)
    return cache.folder / digest


async def fetch_file_async(
    connection: AsyncConnection[Any], digest: str, cache: BlobCache
) -> Path | None:
    """`fetch_file` of the local copy; None when there is none. Raises BlobDamaged."""
    found = cache.find(digest)
    if found is not None:
        return found
    cursor = await connection.execute(
        "SELECT parts FROM wayfare.blob_copies WHERE digest = %s", (digest,)
    )
    row = await cursor.fetchone()
    if row is None or row[0] is None:
        return None
    with cache.adding(digest, "PostgreSQL") as assembly:
        for part in range(row[0]):
            cursor = await connection.execute(_PART, (digest, part), binary=True)
            data = await cursor.fetchone()
            if data is None:
                return None  # collected meanwhile: a newer one is in use
            assembly.write(data[0])
    return cache.folder / digest


def bring(
    connection: Connection[Any],
    store: ObjectStore | None,
    digest: str,
    cache: BlobCache | None = None,
) -> None:
    """Make the local copy from the store's. Nothing of it is used before its digest is seen.

    With a cache the file is left in it. Raises BlobMissing, BlobDamaged, StoreProblem,
    StoreUnavailable.
    """
    if store is None:
        raise BlobMissing(digest, "PostgreSQL, and no object store is configured")
    found = pieces(store, blob_path(digest))
    if found is None:
        raise BlobMissing(digest, f"PostgreSQL or {store.url}")
    used = cache or BlobCache()
    with used.adding(digest, store.url) as assembly:
        for piece in found:
            assembly.write(piece)
    path = used.folder / digest
    with path.open("rb") as file:
        _put_local(connection, digest, file, path.stat().st_size)


def has_local(connection: Connection[Any], digest: str) -> bool:
    """Whether PostgreSQL has a whole copy."""
    row = connection.execute(
        "SELECT FROM wayfare.blob_copies WHERE digest = %s AND parts IS NOT NULL", (digest,)
    ).fetchone()
    return row is not None


def fetch_missing(
    connection: Connection[Any], store: ObjectStore | None, cache: BlobCache | None = None
) -> int:
    """Bring every blob that rows in use refer to and that is not here; returns how many.

    A site that caught up calls this: rows are applied by reference, and only what still counts is
    fetched. Raises as `bring` does; what came before that stays.
    """
    missing = connection.execute(
        f"SELECT blob FROM ({_PRESENT}) used WHERE NOT EXISTS (SELECT FROM "  # noqa: S608
        "wayfare.blob_copies c WHERE c.digest = used.blob AND c.parts IS NOT NULL) ORDER BY 1"
    ).fetchall()
    for (digest,) in missing:
        bring(connection, store, digest, cache)
    return len(missing)


#: For `collect`, and for callers on asynchronous connections. Rows go with their parts.
COLLECT = f"""
    WITH gone AS (
        DELETE FROM wayfare.blob_copies
        WHERE at < now() - make_interval(secs => %s) AND digest NOT IN ({_IN_USE})
        RETURNING digest
    ), parts AS (
        DELETE FROM wayfare.blobs b USING gone g WHERE b.digest = g.digest
    )
    SELECT count(*) FROM gone
"""  # noqa: S608


def collect(connection: Connection[Any], *, older_than_seconds: float) -> int:
    """Remove local copies that no row in use refers to and that nobody put for so long."""
    row = connection.execute(COLLECT, (older_than_seconds,)).fetchone()
    return int(row[0]) if row else 0


_PART = "SELECT data FROM wayfare.blobs WHERE digest = %s AND part = %s"


def _put_local(connection: Connection[Any], digest: str, file: BinaryIO, size: int) -> None:
    # The first statement also keeps `collect` off for a while, for what is there already.
    row = connection.execute(
        "INSERT INTO wayfare.blob_copies (digest, size) VALUES (%s, %s) "
        "ON CONFLICT (digest) DO UPDATE SET at = now() RETURNING parts",
        (digest, size),
    ).fetchone()
    if row is not None and row[0] is not None:
        return
    parts = 0
    while piece := file.read(PART):
        connection.execute(
            "INSERT INTO wayfare.blobs (digest, part, data) VALUES (%s, %s, %b) "
            "ON CONFLICT DO NOTHING",
            (digest, parts, piece),
        )
        parts += 1
        _part_point()
    connection.execute(
        "UPDATE wayfare.blob_copies SET parts = %s WHERE digest = %s", (parts, digest)
    )
    _whole_point()


def _local_parts(connection: Connection[Any], digest: str) -> Iterator[bytes]:
    row = connection.execute(
        "SELECT parts FROM wayfare.blob_copies WHERE digest = %s", (digest,)
    ).fetchone()
    if row is None or row[0] is None:
        raise BlobMissing(digest, "PostgreSQL")
    for part in range(row[0]):
        data = connection.execute(_PART, (digest, part), binary=True).fetchone()
        if data is None:
            raise BlobMissing(digest, f"PostgreSQL (part {part} of {row[0]})")
        yield data[0]
