"""Checkpoints: what the projections are at a position of the acting chain, for a site that is gone.

An ordinary snapshot of a database that is written to is no prefix of the chain's order: it sees
rows that are committed above the horizon, and misses some below. So the epoch's lock is taken
exclusively for a moment, when no writer is inside, and a snapshot is taken then: exactly the rows
of transactions below its upper end. A cut makes the sealer end a segment there, at the checkpoint's
position. The digest is computed afterwards, in that snapshot, while writers go on.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.journal import digesting
from wayfare_engine.journal.chain import chains
from wayfare_engine.journal.checkpoint_problems import (
    NotAPrefix,
    NotSealed,
    RowsElsewhere,
    WritersInside,
)
from wayfare_engine.journal.unsealed_rows import unsealed_rows
from wayfare_engine.ledger import Kind, LedgerRow, append_rows, bodies
from wayfare_engine.ledger.fence import enter_exclusively
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.projections.digests import Document
from wayfare_engine.projections.digests.writing import Progress, rewrite

cut_made = crash_point("journal.checkpoint.cut", "a cut is committed and a snapshot taken")
digest_put = crash_point("journal.checkpoint.put", "a checkpoint's digest is in the store")
row_written = crash_point("journal.checkpoint.row", "a checkpoint's row is committed")

#: How long writers wait at most for a checkpoint that waits for one of them.
LOCK_SECONDS = 2.0
SEAL_SECONDS = 60.0
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was taken: what it is of, its digest's path, and its row's id."""

    document: Document
    path: str
    row: uuid.UUID


@dataclass(frozen=True)
class _Cut:
    """Rows of transactions below `below`. At that moment those up to transaction `sealed` were in
    segments, up to position `seq`; after it came `rows` rows, of which `unsealed` were to be
    sealed."""

    epoch: int
    below: int
    sealed: int
    seq: int
    rows: int
    unsealed: int


def take(
    dsn: str,
    store: ObjectStore,
    *,
    site: str,
    ids: Callable[[], uuid.UUID],
    clock: Callable[[], datetime],
    progress: Progress | None = None,
    lock_seconds: float = LOCK_SECONDS,
    seal_seconds: float = SEAL_SECONDS,
    monotonic: Callable[[], float] = time.monotonic,
) -> Checkpoint:
    """Take a checkpoint of the present epoch's chain, on a direct connection.

    Writers wait for at most `lock_seconds`, and usually for a moment. Raises WritersInside,
    NotSealed (nobody seals), NotAPrefix, StaleEpoch, StoreProblem, psycopg.Error: then there is no
    checkpoint, and nothing else is changed.
    """
    with (
        tempfile.NamedTemporaryFile(prefix="wayfare-checkpoint-") as file,
        tempfile.TemporaryFile() as taken,
    ):
        with digesting.session(dsn) as reading:
            cut = _cut(dsn, reading, site, clock, lock_seconds)
            cut_made()
            try:
                _check_others(reading, site, cut.epoch)
                document = digesting.take(reading, taken, site=site, clock=clock, progress=progress)
                reading.rollback()
                seq = _sealed(reading, site, cut, seal_seconds, monotonic)
            finally:
                _forget(dsn, site, cut)
        watermark = {**document.watermark, f"{site}/{cut.epoch}": seq}
        document = msgspec.structs.replace(
            document, watermark={c: n for c, n in watermark.items() if n}, unsealed=0
        )
        rewrite(taken, file.file, document)
        file.flush()
        path = paths.checkpoint(site, cut.epoch, seq)
        store.put_file(path, Path(file.name))
    digest_put()
    row = _append(dsn, site, cut.epoch, document, ids(), clock())
    row_written()
    return Checkpoint(document, path, row)


def prune(store: ObjectStore, *, keep: int) -> list[str]:
    """Remove the digests of all chains' checkpoints beyond the newest `keep` (at least 1); returns
    their paths. Their rows stay in the chains. Raises ValueError, ChainProblem, StoreProblem.
    """
    if keep < 1:
        raise ValueError("the newest checkpoint is always kept: keep is at least 1")
    newest_first = [
        listed.path
        for chain in sorted(chains(store), key=lambda each: -each[1])
        for listed in reversed(list(store.list(paths.checkpoints(*chain))))
    ]
    for path in newest_first[keep:]:
        store.delete(path)
    return newest_first[keep:]


def _cut(
    dsn: str,
    reading: Connection[Any],
    site: str,
    clock: Callable[[], datetime],
    lock_seconds: float,
) -> _Cut:
    """Begin `reading`'s transaction while no writer is inside, and note the cut."""
    with (
        psycopg.connect(dsn, application_name="wayfare-checkpoint") as locking,
        _bounded(locking, lock_seconds),
    ):
        epoch = enter_exclusively(locking)
        reading.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = reading.execute(_HERE, {"site": site, "epoch": epoch}).fetchone()
        assert row is not None, "an aggregate returns one row"
        below, sealed, *counts = map(int, row)
        locking.execute(
            "INSERT INTO wayfare.seal_cuts (site, epoch, below, at) "
            "VALUES (%s, %s, %s::text::xid8, %s) ON CONFLICT DO NOTHING",
            (site, epoch, str(below), clock()),
        )
    return _Cut(epoch, below, sealed, *counts)


@contextmanager
def _bounded(connection: Connection[Any], seconds: float) -> Iterator[None]:
    connection.execute(f"SET LOCAL lock_timeout = '{int(seconds * 1000)}ms'")
    try:
        yield
    except psycopg.errors.LockNotAvailable:
        raise WritersInside(seconds) from None


def _check_others(reading: Connection[Any], site: str, epoch: int) -> None:
    for chain, rows in unsealed_rows(reading).items():
        if chain != (site, epoch):
            raise RowsElsewhere(*chain, rows)


_HERE = """
SELECT pg_snapshot_xmax(pg_current_snapshot())::text, sealed.tx::text, sealed.seq, count(l.id),
    count(l.id) FILTER (WHERE NOT EXISTS
        (SELECT FROM wayfare.settled_rows s WHERE s.id = l.id))
FROM (SELECT coalesce(max(to_tx), '0'::xid8) AS tx, coalesce(max(last), 0) AS seq
    FROM wayfare.seal_intents
    WHERE site = %(site)s AND epoch = %(epoch)s AND sealed_at IS NOT NULL) sealed
LEFT JOIN wayfare.ledger l ON l.site = %(site)s AND l.epoch = %(epoch)s AND l.tx > sealed.tx
GROUP BY sealed.tx, sealed.seq
"""

#: Whether nothing can come below the cut any more, what did, and whether a segment ends there.
_THERE = """
SELECT pg_snapshot_xmin(pg_current_snapshot()) >= %(below)s::text::xid8,
    (SELECT count(*) FROM wayfare.ledger WHERE site = %(site)s AND epoch = %(epoch)s
        AND tx > %(sealed)s::text::xid8 AND tx < %(below)s::text::xid8),
    (SELECT coalesce(max(last), 0) FROM wayfare.seal_intents
        WHERE site = %(site)s AND epoch = %(epoch)s AND sealed_at IS NOT NULL),
    %(seq)s = 0 OR EXISTS (SELECT FROM wayfare.seal_intents WHERE site = %(site)s
        AND epoch = %(epoch)s AND sealed_at IS NOT NULL AND last = %(seq)s)
"""


def _sealed(
    connection: Connection[Any],
    site: str,
    cut: _Cut,
    seconds: float,
    monotonic: Callable[[], float],
) -> int:
    """The position of the last row before the cut, once everything up to it is in the store."""
    deadline = monotonic() + seconds
    seq = cut.seq + cut.unsealed
    given = {
        "site": site,
        "epoch": cut.epoch,
        "below": str(cut.below),
        "sealed": str(cut.sealed),
        "seq": seq,
    }
    while True:
        row = connection.execute(_THERE, given).fetchone()
        assert row is not None, "a query without FROM returns one row"
        ended, rows, reached, ends_there = row
        if rows != cut.rows or (reached > seq and not ends_there):
            raise NotAPrefix
        if ended and reached >= seq:
            return seq
        if monotonic() > deadline:
            raise NotSealed(site, seconds)
        time.sleep(_LOOK_SECONDS)


def _forget(dsn: str, site: str, cut: _Cut) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "DELETE FROM wayfare.seal_cuts "
            "WHERE site = %s AND epoch = %s AND below <= %s::text::xid8",
            (site, cut.epoch, str(cut.below)),
        )


def _append(
    dsn: str, site: str, epoch: int, document: Document, row_id: uuid.UUID, at: datetime
) -> uuid.UUID:
    tables = {
        table.name: {"rows": table.rows, "digest": table.digest, "columns": list(table.columns)}
        for table in document.tables
    }
    body = bodies.Checkpoint(watermark=document.watermark, tables=tables)
    row = LedgerRow(row_id, site, epoch, Kind.CHECKPOINT, None, None, None, at, bodies.encode(body))
    with psycopg.connect(dsn, autocommit=True) as connection:
        append_rows(connection, [row])
    return row_id
