"""Snapshots: all projections as they were at a watermark, so that a replay need not start at 1.

`snapshots/<id>/<table>/<number>` are pieces of PostgreSQL's binary COPY, compressed by zstd, and
`snapshots/<id>/manifest.json` is put last: a snapshot without it does not exist. Ids sort by time.

A snapshot is what the chains say up to its watermark, and nothing else. So its source may hold no
row that is in no segment: the recovery site after catch-up, a follower, or a site at rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import psycopg
import pyarrow as pa
from psycopg import Connection, sql

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.decoding import known
from wayfare_engine.errors import SaidToPeople
from wayfare_engine.journal import positions
from wayfare_engine.journal.problems import NewerFormat
from wayfare_engine.journal.snapshot_tables import Table, tables
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable, paths
from wayfare_engine.objectstore.marker import claim
from wayfare_engine.store.migrate import VERSION_TABLE

chunk_put = crash_point("journal.snapshot.chunk", "a piece of a snapshot is in the store")
before_manifest = crash_point("journal.snapshot.whole", "all pieces are there, the manifest is not")
after_manifest = crash_point("journal.snapshot.manifest", "the manifest is in the store")

FORMAT = 1
#: Bytes of COPY in one piece, before compression.
PIECE = 8 << 20
CODEC = pa.Codec("zstd", compression_level=3)


class Piece(msgspec.Struct, frozen=True):
    """An object of a table: bytes of COPY in it, its own size, and its SHA-256."""

    raw: int
    size: int
    sha256: str


class TableManifest(msgspec.Struct, frozen=True):
    """A table: its columns in the order of the rows."""

    name: str
    columns: tuple[str, ...]
    pieces: tuple[Piece, ...]


class Reached(msgspec.Struct, frozen=True):
    """How far one chain is in the snapshot."""

    site: str
    epoch: int
    seq: int
    segment: str
    closed_by: int | None = None


class Manifest(msgspec.Struct, frozen=True):
    """A snapshot. `revision` is the schema's; `watermark` what of the chains is in it."""

    format: int
    plan: str
    id: str
    taken_at: datetime
    revision: str
    highest_epoch: int
    watermark: tuple[Reached, ...]
    tables: tuple[TableManifest, ...]

    @property
    def rows_covered(self) -> int:
        """Rows of chains that need not be replayed."""
        return sum(reached.seq for reached in self.watermark)

    @property
    def size(self) -> int:
        """Bytes in the store."""
        return sum(piece.size for table in self.tables for piece in table.pieces)


@dataclass(eq=False)
class SourceNotSealed(SaidToPeople):
    """The database holds rows that are in no segment."""

    site: str
    epoch: int

    def __str__(self) -> str:
        return (
            f"this database holds rows of site {self.site}, epoch {self.epoch}, that are in no "
            "segment of the journal, so its tables are ahead of every watermark; take snapshots "
            "at the recovery site after `wayfare journal catch-up`, or here while nothing is "
            "written and everything is sealed"
        )


@dataclass(eq=False)
class NothingToSnapshot(SaidToPeople):
    """No chain was applied to this database."""

    def __str__(self) -> str:
        return "nothing was applied to this database yet: run `wayfare journal catch-up` first"


def snapshot_id(moment: datetime, nonce: str) -> str:
    """An id that sorts by time."""
    return f"{moment:%Y%m%dT%H%M%SZ}-{nonce}"


def take(
    dsn: str,
    store: ObjectStore,
    *,
    plan: str,
    snapshot: str,
    clock: Callable[[], datetime],
    progress: Callable[[str, int], None] | None = None,
) -> Manifest:
    """Write a snapshot of the database; `progress` is told each table and its bytes so far.

    Memory: a few pieces. Raises SourceNotSealed, NothingToSnapshot, ForeignStore, StoreProblem
    (a snapshot that was begun has no manifest, and is removed by `prune`), psycopg.Error.
    """
    claim(store, plan)
    with (
        psycopg.connect(dsn, autocommit=True, application_name="wayfare-snapshot") as connection,
        connection.transaction(),
    ):
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        reached = positions.positions(connection)
        _check_source(connection)
        if not reached:
            raise NothingToSnapshot
        copied = [
            _copy_out(connection, store, snapshot, table, progress) for table in tables(connection)
        ]
        manifest = Manifest(
            format=FORMAT,
            plan=plan,
            id=snapshot,
            taken_at=clock(),
            revision=revision(connection),
            highest_epoch=site_epoch(connection).highest_seen,
            watermark=tuple(
                Reached(*chain, at.seq, at.segment, at.closed_by)
                for chain, at in sorted(reached.items())
            ),
            tables=tuple(copied),
        )
    _check_pieces(store, manifest)
    before_manifest()
    path = paths.snapshot_manifest(snapshot)
    if store.create(path, msgspec.json.encode(manifest)) is not None:
        raise StoreUnavailable(store.url, f"{path} is there already", "choose another id")
    after_manifest()
    return manifest


def decode_manifest(data: bytes) -> Manifest:
    """Raises NewerFormat, msgspec.MsgspecError."""

    class _Format(msgspec.Struct):
        format: int

    found = msgspec.json.decode(data, type=_Format).format
    if found > FORMAT:
        raise NewerFormat(found, FORMAT)
    return msgspec.json.decode(data, type=Manifest)


def revision(connection: Connection[Any]) -> str:
    """The schema's revision."""
    row = connection.execute(
        sql.SQL("SELECT version_num FROM wayfare.{}").format(sql.Identifier(VERSION_TABLE))
    ).fetchone()
    assert row is not None, "migrations leave one row"
    return str(row[0])


def _check_source(connection: Connection[Any]) -> None:
    """In one snapshot of the database a segment's rows, their effects and its position are seen
    together or not at all; so what is seen is sealed unless a row is in no segment."""
    row = connection.execute(
        "SELECT c.site, c.epoch FROM wayfare.sealed_epochs c WHERE EXISTS ("
        "  SELECT FROM wayfare.ledger l WHERE l.site = c.site AND l.epoch = c.epoch AND l.tx > "
        "  coalesce((SELECT i.to_tx FROM wayfare.seal_intents i WHERE i.site = c.site "
        "    AND i.epoch = c.epoch AND i.sealed_at IS NOT NULL ORDER BY i.first DESC LIMIT 1), "
        "    '0'::xid8)"
        "  AND NOT EXISTS (SELECT FROM wayfare.settled_rows s WHERE s.id = l.id)) "
        "UNION ALL SELECT * FROM (SELECT DISTINCT site, epoch FROM wayfare.ledger) w "
        "WHERE NOT EXISTS (SELECT FROM wayfare.chain_positions p "
        "  WHERE p.site = w.site AND p.epoch = w.epoch) LIMIT 1"
    ).fetchone()
    if row is not None:
        raise SourceNotSealed(row[0], row[1])


def _copy_out(
    connection: Connection[Any],
    store: ObjectStore,
    snapshot: str,
    table: Table,
    progress: Callable[[str, int], None] | None,
) -> TableManifest:
    query = sql.SQL("COPY (SELECT {} FROM wayfare.{} ORDER BY {}) TO STDOUT (FORMAT BINARY)")
    pieces: list[Piece] = []
    waiting = bytearray()
    total = 0

    def put(raw: bytes) -> None:
        body = bytes(CODEC.compress(raw, asbytes=True))
        store.put(paths.snapshot_chunk(snapshot, table.name, len(pieces)), body)
        chunk_put()
        pieces.append(Piece(len(raw), len(body), hashlib.sha256(body).hexdigest()))

    with (
        connection.cursor() as cursor,
        cursor.copy(
            query.format(_names(table.columns), sql.Identifier(table.name), _names(table.key))
        ) as copy,
    ):
        for data in copy:
            waiting += data
            if len(waiting) >= PIECE:
                put(bytes(waiting))
                total += len(waiting)
                waiting.clear()
                if progress is not None:
                    progress(table.name, total)
    put(bytes(waiting))
    if progress is not None:
        progress(table.name, total + len(waiting))
    return TableManifest(table.name, table.columns, tuple(pieces))


def _check_pieces(store: ObjectStore, manifest: Manifest) -> None:
    """Nobody has removed a piece meanwhile (`prune` takes what has no manifest for left over)."""
    prefix = f"{paths.SNAPSHOTS}{manifest.id}/"
    there = {listed.path: listed.size for listed in store.list(prefix)}
    for table in manifest.tables:
        for number, piece in enumerate(table.pieces):
            path = paths.snapshot_chunk(manifest.id, table.name, number)
            if there.get(path) != piece.size:
                raise StoreUnavailable(store.url, f"{path} is not as it was written", "try again")


def _names(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


known(Manifest)
