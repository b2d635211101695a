"""Noticing that the database is not the one that sealed last, and finding the way back.

After a failover inside the site, a restore from a backup or a copy into another cluster, the
database may lack rows that are in our own chain, and its transaction ids no longer tell what was
sealed. Then, under the sealer's lock: rows of our chain that are missing here come back (and what
follows from them); rows here that are in no segment, found by their ids, are sealed; and sealing
resumes at this instance's horizon. A crash on the way starts this over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog
from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.journal import intents
from wayfare_engine.journal.chain import chains, read
from wayfare_engine.journal.intents import Intent, Position
from wayfare_engine.journal.problems import ChainConflict, EpochOver
from wayfare_engine.journal.putting import id_blocks_in, put_segment
from wayfare_engine.journal.segment import Closed, Segment, rows_digest
from wayfare_engine.journal.unsealed import rows_by_id
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.ledger.restore import restore_rows
from wayfare_engine.objectstore.store import ObjectStore
from wayfare_engine.projections import apply

log = structlog.get_logger(__name__)

imported = crash_point("journal.instance.imported", "a segment's missing rows are back")
resealed = crash_point("journal.instance.sealed", "rows found by their ids are in the store")
settled = crash_point("journal.instance.settled", "the chain's end is known, sealing can resume")

_TRIES = 3


@dataclass(frozen=True)
class Instance:
    """One history of one PostgreSQL cluster."""

    system_identifier: str
    timeline: int


def present(connection: Connection[Any]) -> Instance:
    """What this session is connected to. The timeline is the one being written, which a promotion
    changes before its first checkpoint."""
    row = connection.execute(
        "SELECT system_identifier::text, "
        "('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int "
        "FROM pg_control_system()"
    ).fetchone()
    assert row is not None, "a function returns one row"
    return Instance(str(row[0]), int(row[1]))


def remembered(connection: Connection[Any]) -> Instance | None:
    """The instance that this schema was last sealed from."""
    row = connection.execute(
        "SELECT system_identifier, timeline FROM wayfare.sealed_instance"
    ).fetchone()
    return None if row is None else Instance(str(row[0]), int(row[1]))


def settle(
    connection: Connection[Any],
    store: ObjectStore,
    *,
    plan: str,
    site: str,
    clock: Callable[[], datetime],
    max_rows: int,
) -> bool:
    """Make the database and this site's open chains agree, if the instance is another than the one
    remembered; whether there was anything to do. The connection holds the sealer's lock.

    Raises ChainProblem, ChainConflict, StoreProblem, psycopg.Error.
    """
    here = present(connection)
    before = remembered(connection)
    if here == before:
        connection.execute(
            "DELETE FROM wayfare.settled_rows WHERE tx <= (SELECT min(to_tx) FROM "
            "(SELECT max(to_tx) AS to_tx FROM wayfare.seal_intents i "
            "JOIN wayfare.sealed_epochs e USING (site, epoch) "
            "WHERE sealed_at IS NOT NULL AND NOT e.over GROUP BY site, epoch) ends)"
        )
        return False
    if before is not None:
        log.warning("sealer.other_instance", before=before, here=here)
        # Numbers of its transactions say nothing here.
        connection.execute("DELETE FROM wayfare.seal_cuts")
    newest = site_epoch(connection).epoch
    ours = {epoch for found, epoch in chains(store) if found == site}
    for epoch in sorted(ours):
        if epoch > newest:
            continue  # taken already, and this database has not heard of it
        work = _Settling(connection, store, plan, site, epoch, clock, max_rows)
        for left in reversed(range(_TRIES)):
            try:
                work.settle()
                break
            except ChainConflict:
                # A write of the old instance arrived late. Read the chain again: it is longer.
                if not left:
                    raise
    connection.execute(
        "INSERT INTO wayfare.sealed_instance (system_identifier, timeline) VALUES (%s, %s) "
        "ON CONFLICT (single) DO UPDATE SET system_identifier = excluded.system_identifier, "
        "timeline = excluded.timeline",
        (here.system_identifier, here.timeline),
    )
    settled()
    return before is not None


class _Settling:
    """One chain of this site."""

    def __init__(
        self,
        connection: Connection[Any],
        store: ObjectStore,
        plan: str,
        site: str,
        epoch: int,
        clock: Callable[[], datetime],
        max_rows: int,
    ) -> None:
        self._connection = connection
        self._store = store
        self._plan = plan
        self._site = site
        self._epoch = epoch
        self._clock = clock
        self._max_rows = max_rows

    def settle(self) -> None:
        c = self._connection
        c.execute("DROP TABLE IF EXISTS pg_temp.chain_ids, pg_temp.unsealed_ids")
        c.execute("CREATE TEMP TABLE chain_ids (id uuid NOT NULL)")
        c.execute("CREATE TEMP TABLE unsealed_ids (place bigint, id uuid NOT NULL, tx xid8)")
        at, closed = self._import()
        with c.transaction():
            c.execute(
                "INSERT INTO wayfare.sealed_epochs (site, epoch, over, closed_by) "
                "VALUES (%s, %s, %s, %s) ON CONFLICT (site, epoch) DO UPDATE "
                "SET over = excluded.over, closed_by = excluded.closed_by",
                (self._site, self._epoch, closed is not None, closed.by if closed else None),
            )
            intents.resume_at(c, self._site, self._epoch, at)
        if closed is None:
            self._seal_the_rest(at)
        c.execute("DROP TABLE chain_ids, unsealed_ids")

    def _import(self) -> tuple[Position, Closed | None]:
        """Read the whole chain: the ids in it are noted, rows that are missing here come back."""
        at = Position()
        watermark = self._watermark()
        for found in read(self._store, self._site, self._epoch, plan=self._plan):
            if isinstance(found, Closed):
                return at, found
            head = found.header
            at = Position(head.last, 0, found.digest, head.first)
            note_ids(self._connection, found.rows["id"])
            if head.last > watermark:
                self._bring_back(found)
        return at, None

    def _watermark(self) -> int:
        row = self._connection.execute(
            "SELECT seq FROM wayfare.chain_positions WHERE site = %s AND epoch = %s",
            (self._site, self._epoch),
        ).fetchone()
        return 0 if row is None else int(row[0])

    def _bring_back(self, segment: Segment) -> None:
        """Rows of one segment that are not here, and what they change, in one transaction."""
        c = self._connection
        with c.transaction():
            ids = segment.rows["id"].to_pylist()
            present = c.execute(
                "SELECT uuid_send(id) FROM wayfare.ledger WHERE id = ANY(%s::uuid[])",
                ([i.hex() for i in ids],),
            ).fetchall()
            here = pa.array([row[0] for row in present], pa.binary(16))
            missing = segment.rows.filter(pc.invert(pc.is_in(segment.rows["id"], value_set=here)))
            if missing.num_rows:
                log.info("sealer.brought_back", rows=missing.num_rows, epoch=self._epoch)
                restore_rows(c, missing, site=self._site, epoch=self._epoch)
                apply(c, missing, site=self._site, epoch=self._epoch)
            intents.watermark(c, self._site, self._epoch, segment.header.last, segment.digest)
        imported()

    def _seal_the_rest(self, at: Position) -> None:
        c = self._connection
        ours = {"site": self._site, "epoch": self._epoch}
        with c.transaction():
            c.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            row = c.execute(
                "SELECT pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text "
                "FROM pg_current_snapshot() s"
            ).fetchone()
            assert row is not None, "a function returns one row"
            bounds = {"horizon": row[0], "end": row[1]}
            # Given up by a person: not to be sealed, as if they were in a chain already.
            c.execute("INSERT INTO pg_temp.chain_ids SELECT id FROM wayfare.discarded_rows")
            c.execute("CREATE INDEX ON pg_temp.chain_ids (id)")
            # Ids from `end` on are another instance's: nothing here has such a number yet. What
            # lies between horizon and end is sealed in its turn.
            c.execute(
                "INSERT INTO pg_temp.unsealed_ids SELECT row_number() OVER (ORDER BY tx, id), "
                "id, tx FROM wayfare.ledger l WHERE site = %(site)s AND epoch = %(epoch)s "
                "AND (tx < %(horizon)s::xid8 OR tx >= %(end)s::xid8) "
                "AND NOT EXISTS (SELECT FROM pg_temp.chain_ids s WHERE s.id = l.id)",
                ours | bounds,
            )
            c.execute(
                "INSERT INTO wayfare.settled_rows SELECT id, tx FROM wayfare.ledger l "
                "WHERE site = %(site)s AND epoch = %(epoch)s AND tx >= %(horizon)s::xid8 "
                "AND (tx >= %(end)s::xid8 "
                "OR EXISTS (SELECT FROM pg_temp.chain_ids s WHERE s.id = l.id)) "
                "ON CONFLICT DO NOTHING",
                ours | bounds,
            )
        try:
            for place, count in self._batches():
                rows = rows_by_id(c, "unsealed_ids", limit=count, offset=place)
                at = self._seal(at, rows)
        except EpochOver as error:
            c.execute(
                "UPDATE wayfare.sealed_epochs SET over = true, closed_by = %s "
                "WHERE site = %s AND epoch = %s",
                (error.by, self._site, self._epoch),
            )
        with c.transaction():
            resumed = Position(at.seq, int(bounds["horizon"]) - 1, at.digest, at.first)
            intents.resume_at(c, self._site, self._epoch, resumed)

    def _batches(self) -> Iterator[tuple[int, int]]:
        """(rows before, rows) of each segment to make: whole transactions."""
        start = end = 0
        for (count,) in self._connection.execute(
            "SELECT count(*) FROM pg_temp.unsealed_ids GROUP BY tx ORDER BY min(place)"
        ).fetchall():
            if end > start and end + count - start > self._max_rows:
                yield start, end - start
                start = end
            end += count
        if end > start:
            yield start, end - start

    def _seal(self, at: Position, rows: pa.Table) -> Position:
        intent = Intent(
            site=self._site,
            epoch=self._epoch,
            first=at.seq + 1,
            last=at.seq + rows.num_rows,
            from_tx=rows["tx"][0].as_py(),
            to_tx=rows["tx"][-1].as_py(),
            rows_digest=rows_digest(rows, site=self._site, epoch=self._epoch),
            previous=at.digest,
        )
        digest = put_segment(self._store, intent, rows, plan=self._plan, clock=self._clock)
        intents.sealed(self._connection, intent, digest, id_blocks_in(rows))
        resealed()
        return Position(intent.last, 0, digest, intent.first)


def note_ids(connection: Connection[Any], ids: pa.ChunkedArray) -> None:
    """Add ids of a chain's rows to the session's table `pg_temp.chain_ids (id uuid)`."""
    with connection.cursor().copy("COPY pg_temp.chain_ids (id) FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(_binary_ids(ids))


def _binary_ids(ids: pa.ChunkedArray) -> bytes:
    """One column of uuids as PostgreSQL's binary COPY wants it."""
    array = pa.concat_arrays(ids.chunks)
    raw = np.frombuffer(array.buffers()[1], np.uint8)[array.offset * 16 :][: len(array) * 16]
    lines = np.empty((len(array), 22), np.uint8)
    lines[:, :6] = np.frombuffer(b"\x00\x01\x00\x00\x00\x10", np.uint8)
    lines[:, 6:] = raw.reshape(-1, 16)
    return b"PGCOPY\n\xff\r\n\x00" + bytes(8) + lines.tobytes() + b"\xff\xff"
