"""The stranded tail: rows of a site that are in no segment of its closed chains.

Run at the returned site. What is stranded follows from the chain in the store and the ledger on
the disk; what the site itself noted about sealing is not asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection, sql

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.journal import intents
from wayfare_engine.journal.chain import chains, read
from wayfare_engine.journal.instance import note_ids
from wayfare_engine.journal.putting import object_digest
from wayfare_engine.journal.segment import Closed, encode
from wayfare_engine.journal.unsealed import rows_by_id, spooled_rows
from wayfare_engine.lease.epochs import highest
from wayfare_engine.ledger.fence import raise_epoch, site_epoch
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.objectstore.marker import check
from wayfare_engine.reconcile.problems import ChainOpen
from wayfare_engine.reconcile.tail import FORMAT, Manifest, Part, Tail, put_manifest

_fenced = crash_point("reconcile.recover.fenced", "nobody writes under the lost epoch any more")
_part = crash_point("reconcile.recover.part", "some rows of a tail are in the store")
_manifest = crash_point("reconcile.recover.manifest", "a tail is in the store, and noted nowhere")
_noted = crash_point("reconcile.recover.noted", "the database knows that its tail was recovered")

#: Rows in one object.
PART_ROWS = 50_000
#: Told of `(rows done, rows to do)`.
Progress = Callable[[int, int], None]
#: Called before what it does is written; raises when its caller may write no more.
Fence = Callable[[Connection[Any]], object]


@dataclass
class _Count:
    rows: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    oldest: datetime | None = None
    newest: datetime | None = None

    def add(self, rows: pa.Table) -> None:
        self.rows += rows.num_rows
        for one in pc.value_counts(rows["kind"].cast(pa.string()).combine_chunks()).to_pylist():
            self.kinds[one["values"]] += one["counts"]
        bounds = pc.min_max(rows["at"]).as_py()
        self.oldest = min(self.oldest or bounds["min"], bounds["min"])
        self.newest = max(self.newest or bounds["max"], bounds["max"])


def recover(
    connection: Connection[Any],
    store: ObjectStore,
    *,
    plan: str,
    site: str,
    progress: Progress = lambda done, total: None,
    fence: Fence = lambda connection: None,
) -> list[Tail]:
    """Put the stranded tail of each closed chain of this site into the store; the tails, by epoch,
    those without rows too.

    Writers of the lost epoch are refused from here on, so that the tail stays what it is.
    `connection` is in autocommit mode. Safe to interrupt and to repeat. Raises ChainOpen,
    ChainProblem, ForeignStore, StoreProblem, StoreUnavailable, psycopg.Error.
    """
    check(store, plan)
    _stop_writing(connection, store, plan, site, fence)
    found = []
    for epoch in _epochs(connection, store, site):
        closed = _note_chain(connection, store, plan, site, epoch)
        if closed is None:
            newest = highest(store, plan, seen=site_epoch(connection).highest_seen)
            if newest is not None and newest.epoch > epoch:
                raise ChainOpen(site, epoch, newest.epoch)
            continue  # the present epoch: what is not sealed yet is no tail
        with connection.transaction():
            fence(connection)
        found.append(_put(connection, store, plan, closed, progress))
    return found


def _stop_writing(
    connection: Connection[Any], store: ObjectStore, plan: str, site: str, fence: Fence
) -> None:
    present = site_epoch(connection)
    newest = highest(store, plan, seen=present.highest_seen)
    if newest is not None and newest.epoch > present.epoch and newest.site != site:
        with connection.transaction():
            fence(connection)
            raise_epoch(connection, newest.epoch, held=False)
        _fenced()


def _epochs(connection: Connection[Any], store: ObjectStore, site: str) -> list[int]:
    """Epochs of which this site has rows or a chain."""
    rows = connection.execute(
        "SELECT DISTINCT epoch FROM wayfare.ledger WHERE site = %(site)s "
        "UNION SELECT epoch FROM wayfare.spooled_rows WHERE site = %(site)s",
        {"site": site},
    ).fetchall()
    return sorted({row[0] for row in rows} | {e for s, e in chains(store) if s == site})


def _note_chain(
    connection: Connection[Any], store: ObjectStore, plan: str, site: str, epoch: int
) -> Closed | None:
    """Put the ids of a chain's rows into `pg_temp.chain_ids`; what closed it, or None."""
    connection.execute("DROP TABLE IF EXISTS pg_temp.chain_ids, pg_temp.stranded_ids")
    connection.execute("CREATE TEMP TABLE chain_ids (id uuid NOT NULL)")
    for found in read(store, site, epoch, plan=plan, bodies=False):
        if isinstance(found, Closed):
            return found
        note_ids(connection, found.rows["id"])
    return None


def _put(
    connection: Connection[Any], store: ObjectStore, plan: str, closed: Closed, progress: Progress
) -> Tail:
    total = _choose(connection, closed)
    count = _Count()
    parts: list[Part] = []
    for rows, spooled in _batches(connection, closed, total):
        data = encode(
            rows,
            plan=plan,
            site=closed.site,
            epoch=closed.epoch,
            first=count.rows + 1,
            previous=parts[-1].digest if parts else "",
            # Not the clock: the same rows give the same object.
            sealed_at=closed.closed_at,
        )
        digest = object_digest(data)
        store.put_if_absent(paths.stranded_part(closed.site, closed.epoch, digest), data)
        _part()
        parts.append(Part(digest=digest, rows=rows.num_rows, spooled=spooled))
        count.add(rows)
        progress(count.rows, max(total, count.rows))
    tail = put_manifest(
        store,
        Manifest(
            format=FORMAT,
            plan=plan,
            site=closed.site,
            epoch=closed.epoch,
            closed_by=closed.by,
            at_seq=closed.at_seq,
            closed=closed.digest,
            rows=count.rows,
            kinds=dict(sorted(count.kinds.items())),
            oldest_at=count.oldest,
            newest_at=count.newest,
            parts=tuple(parts),
        ),
    )
    _manifest()
    with connection.transaction():
        connection.execute(
            "INSERT INTO wayfare.recovered_tails (digest, site, epoch, rows) "
            "VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (tail.digest, closed.site, closed.epoch, total),
        )
        # A sealer that was cut off does not know that its chain is closed. It must not look for the
        # rows of what it was about to put: they are the tail's.
        intents.over(connection, closed.site, closed.epoch, by=closed.by)
    _noted()
    return tail


def _choose(connection: Connection[Any], closed: Closed) -> int:
    """Number the ledger's rows that are in no segment; how many."""
    connection.execute("CREATE INDEX ON pg_temp.chain_ids (id)")
    connection.execute("ANALYZE pg_temp.chain_ids")
    query = sql.SQL(
        "CREATE TEMP TABLE stranded_ids AS SELECT row_number() OVER (ORDER BY tx, id) AS place, "
        "id FROM wayfare.ledger l WHERE site = {} AND epoch = {} "
        "AND NOT EXISTS (SELECT FROM pg_temp.chain_ids c WHERE c.id = l.id)"
    ).format(sql.Literal(closed.site), sql.Literal(closed.epoch))
    return connection.execute(query).rowcount


def _batches(
    connection: Connection[Any], closed: Closed, total: int
) -> Iterator[tuple[pa.Table, bool]]:
    for start in range(0, total, PART_ROWS):
        yield rows_by_id(connection, "stranded_ids", limit=PART_ROWS, offset=start), False
    start = 0
    while True:
        rows = spooled_rows(connection, closed.site, closed.epoch, limit=PART_ROWS, offset=start)
        if not rows.num_rows:
            return
        yield rows, True
        start += rows.num_rows
