"""A snapshot into an empty database: its tables over several connections, then its watermark.

Until the watermark is there, which is committed last, a row of `wayfare.restore` says that tables
may be full or not. A process that is killed leaves that row, and the next catch-up begins by
emptying the tables.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from psycopg import Connection, sql

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.errors import SaidToPeople
from wayfare_engine.journal import positions
from wayfare_engine.journal.positions import Applied
from wayfare_engine.journal.snapshot import CODEC, Manifest, Piece, TableManifest, revision
from wayfare_engine.journal.snapshot_tables import BESIDE, empty, tables
from wayfare_engine.journal.snapshots import usable
from wayfare_engine.ledger.fence import saw_epoch
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.store.postgresql import end_with_client, patient

log = structlog.get_logger(__name__)

begun = crash_point("journal.restore.begun", "the database says that a restore is under way")
table_in = crash_point("journal.restore.table", "a table is restored and committed")
filled = crash_point("journal.restore.filled", "all tables are restored, the watermark is not")
whole_in = crash_point("journal.restore.committed", "a snapshot is restored and committed")

#: Tables at once: one connection is one core of PostgreSQL.
AT_ONCE = 3
#: Pieces of a table that are fetched before PostgreSQL takes them.
_AHEAD = 3


@dataclass(eq=False)
class SnapshotDamaged(SaidToPeople):
    """A snapshot's piece is missing or not what the manifest says."""

    snapshot: str
    path: str
    what: str

    def __str__(self) -> str:
        return f"snapshot {self.snapshot}: {self.path} {self.what}"


def is_empty(connection: Connection[Any]) -> bool:
    """Whether nothing was ever written or applied here."""
    known = [t.name for t in tables(connection) if t.name not in BESIDE]
    for name in ("chain_positions", "ledger", "id_blocks", *known):
        query = sql.SQL("SELECT FROM wayfare.{} LIMIT 1").format(sql.Identifier(name))
        if connection.execute(query).fetchone() is not None:
            return False
    return True


def restore_newest(
    dsn: str,
    connection: Connection[Any],
    store: ObjectStore,
    *,
    plan: str,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest | None:
    """Restore the newest snapshot that is whole, or none when there is none. The database must be
    empty (see `is_empty`). `progress` is told bytes done and to do.

    A damaged snapshot is passed over with a word, and the one before it used. Raises
    StoreUnavailable, StoreProblem, psycopg.Error, as `restore`.
    """
    damaged: set[str] = set()
    while True:
        manifest = usable(
            store, plan=plan, revision=revision(connection), not_these=frozenset(damaged)
        )
        if manifest is None:
            return None
        try:
            restore(dsn, connection, store, manifest, progress=progress)
        except SnapshotDamaged as error:
            log.warning("snapshot.passed_over", snapshot=manifest.id, problem=str(error))
            damaged.add(manifest.id)
        else:
            return manifest


def restore(
    dsn: str,
    connection: Connection[Any],
    store: ObjectStore,
    manifest: Manifest,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """All tables and the watermark. `connection` is in autocommit mode and has the lock of
    catching up; tables come in over connections of their own, some at once.

    Raises SnapshotDamaged when the database is empty again; and StoreProblem, StoreUnavailable,
    psycopg.Error, after which the next `take_back` or `restore` empties it.
    """
    _begin(connection, manifest.id)
    begun()
    try:
        _all_tables(dsn, store, manifest, progress)
    except SnapshotDamaged:
        take_back(connection)
        raise
    filled()
    with connection.transaction():
        connection.execute("DELETE FROM wayfare.restore")
        for at in manifest.watermark:
            positions.advance(
                connection, (at.site, at.epoch), Applied(at.seq, at.segment, at.closed_by)
            )
        saw_epoch(connection, manifest.highest_epoch)
    whole_in()


def take_back(connection: Connection[Any]) -> None:
    """Empty the database again if a restore of it was interrupted. Raises psycopg.Error."""
    with connection.transaction():
        found = connection.execute("DELETE FROM wayfare.restore RETURNING snapshot").fetchone()
        if found is not None:
            log.info("snapshot.taken_back", snapshot=found[0])
            empty(connection)


def _begin(connection: Connection[Any], snapshot: str) -> None:
    """From here on until the watermark is there, tables may be full or not."""
    with connection.transaction():
        connection.execute(
            "INSERT INTO wayfare.restore (snapshot) VALUES (%s) "
            "ON CONFLICT (single) DO UPDATE SET snapshot = excluded.snapshot",
            (snapshot,),
        )


def _all_tables(
    dsn: str,
    store: ObjectStore,
    manifest: Manifest,
    progress: Callable[[int, int], None] | None,
) -> None:
    """The largest first, so that none is left over at the end; the first problem ends all."""
    ordered = sorted(manifest.tables, key=lambda table: -sum(p.raw for p in table.pieces))
    done = 0
    lock = threading.Lock()
    ended = threading.Event()

    def told(size: int) -> None:
        nonlocal done
        with lock:
            done += size
            if progress is not None:
                progress(done, manifest.size)

    def one(table: TableManifest) -> None:
        if ended.is_set():
            return
        dsn_here = patient(dsn, "wayfare-restore")
        with ExitStack() as stack:
            connection = stack.enter_context(psycopg.connect(dsn_here, autocommit=True))
            end_with_client(connection)
            stack.enter_context(connection.transaction())
            connection.execute("SET LOCAL maintenance_work_mem = '128MB'")
            # The other connections have the other cores.
            connection.execute("SET LOCAL max_parallel_maintenance_workers = 0")
            # What a crash of PostgreSQL takes back, it takes back together with the watermark.
            connection.execute("SET LOCAL synchronous_commit = off")
            for size in _copy_in(connection, store, manifest.id, table):
                if ended.is_set():
                    raise _Ended
                told(size)
        table_in()

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="restore-table") as pool:
        try:
            for future in as_completed([pool.submit(one, table) for table in ordered]):
                future.result()
        finally:
            ended.set()


class _Ended(Exception):
    """Another table has a problem; this one need not go on."""


def _copy_in(
    connection: Connection[Any], store: ObjectStore, snapshot: str, table: TableManifest
) -> Iterator[int]:
    """The rows first and the indexes after them: half the time of keeping them up row by row.

    Making the indexes leaves the planner the table's size; autovacuum takes its other statistics,
    as it does after a replay."""
    name = sql.Identifier(table.name)
    # What migrations put there, or what an interrupted restore left.
    connection.execute(sql.SQL("TRUNCATE wayfare.{}").format(name))
    indexes = _take_indexes(connection, table.name)
    query = sql.SQL("COPY wayfare.{} ({}) FROM STDIN (FORMAT BINARY, FREEZE)").format(
        name, sql.SQL(", ").join(map(sql.Identifier, table.columns))
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for piece, raw in _pieces(store, snapshot, table):
            copy.write(raw)
            yield piece.size
    for definition in indexes:
        connection.execute(definition.encode())


def _take_indexes(connection: Connection[Any], table: str) -> list[str]:
    """Drop a table's indexes and keys; what makes them again, all within the transaction."""
    found = connection.execute(
        "SELECT c.conname, NULL, format('ALTER TABLE wayfare.%%I ADD CONSTRAINT %%I %%s', "
        "r.relname, c.conname, pg_get_constraintdef(c.oid)) FROM pg_constraint c "
        "JOIN pg_class r ON r.oid = c.conrelid WHERE c.contype IN ('p', 'u') "
        "AND r.oid = format('wayfare.%%I', %(table)s::text)::regclass "
        "UNION ALL SELECT NULL, i.relname, pg_get_indexdef(i.oid) FROM pg_index x "
        "JOIN pg_class i ON i.oid = x.indexrelid "
        "WHERE x.indrelid = format('wayfare.%%I', %(table)s::text)::regclass "
        "AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.oid)",
        {"table": table},
    ).fetchall()
    for constraint, index, _ in found:
        connection.execute(
            sql.SQL("ALTER TABLE wayfare.{} DROP CONSTRAINT {}").format(
                sql.Identifier(table), sql.Identifier(constraint)
            )
            if constraint is not None
            else sql.SQL("DROP INDEX wayfare.{}").format(sql.Identifier(index))
        )
    return [definition for _, _, definition in found]


def _pieces(
    store: ObjectStore, snapshot: str, table: TableManifest
) -> Iterator[tuple[Piece, bytes]]:
    waiting: deque[tuple[Piece, Future[bytes]]] = deque()
    pool = ThreadPoolExecutor(2, thread_name_prefix="restore")
    try:
        for number, piece in enumerate(table.pieces):
            path = paths.snapshot_chunk(snapshot, table.name, number)
            waiting.append((piece, pool.submit(_piece, store, snapshot, path, piece)))
            if len(waiting) >= _AHEAD:
                piece, future = waiting.popleft()
                yield piece, future.result()
        while waiting:
            piece, future = waiting.popleft()
            yield piece, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _piece(store: ObjectStore, snapshot: str, path: str, piece: Piece) -> bytes:
    data = store.get(path)
    if data is None:
        raise SnapshotDamaged(snapshot, path, "is missing")
    if len(data) != piece.size or hashlib.sha256(data).hexdigest() != piece.sha256:
        raise SnapshotDamaged(snapshot, path, "does not have the digest that the manifest says")
    return bytes(CODEC.decompress(data, decompressed_size=piece.raw, asbytes=True))
