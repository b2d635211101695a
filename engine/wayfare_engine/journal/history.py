"""The rows themselves, brought back into the ledger after catch-up.

Nothing needs them to act: projections do. They are for explanations and replays of old decisions,
so they come last, chain by chain, and may be interrupted at any point.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.journal.chain import chains, read
from wayfare_engine.journal.positions import Chain, positions
from wayfare_engine.journal.segment import Closed, Segment
from wayfare_engine.journal.session import kept_out
from wayfare_engine.ledger.restore import restore_rows

if TYPE_CHECKING:
    from wayfare_engine.journal.catch_up import CatchUp

restored = crash_point("journal.history.restored", "rows are in the ledger, and not committed")
committed = crash_point("journal.history.committed", "rows of history and their position are there")


@dataclass(frozen=True)
class History:
    """What one call brought. `left_out`: chains of this site, while its sealer runs."""

    rows: int
    left_out: tuple[Chain, ...] = ()


def bring_history(
    session: CatchUp, *, progress: Callable[[int, int], None] | None = None
) -> History:
    """Bring the rows of every chain, up to what is applied here.

    Rows that are in the ledger already stay as they are. What is brought back of this site's own
    chains must not be sealed again, so those wait while its sealer runs. Raises as `chain.read`
    does, and psycopg.Error; a later call goes on from there.
    """
    connection = session.connection
    with kept_out(connection) as no_sealer:
        own = {
            row[0] for row in connection.execute("SELECT DISTINCT site FROM wayfare.sealed_epochs")
        }
        upto = positions(connection)
        found = [chain for chain in chains(session.store) if chain in upto]
        left_out = tuple(c for c in found if not no_sealer and (c[0] in own or not own))
        wanted = [chain for chain in found if chain not in left_out]
        work = _Work(session, sum(upto[chain].seq for chain in wanted), progress)
        for chain in wanted:
            work.chain(chain, upto[chain].seq)
    return History(work.new, left_out)


class _Work:
    def __init__(
        self, session: CatchUp, total: int, progress: Callable[[int, int], None] | None
    ) -> None:
        self._session = session
        self._total = total
        self._progress = progress
        self._done = 0
        self.new = 0

    def chain(self, chain: Chain, upto: int) -> None:
        seq, digest = _position(self._session.connection, chain)
        self._done += seq
        for found in read(
            self._session.store, *chain, after=seq, previous=digest, plan=self._session.plan
        ):
            if isinstance(found, Closed) or found.header.first > upto:
                return
            with self._session.connection.transaction():
                self.new += _restore(self._session.connection, found, chain)
                _advance(self._session.connection, chain, found.header.last, found.digest)
                restored()
            committed()
            self._done += found.rows.num_rows
            if self._progress is not None:
                self._progress(self._done, self._total)


def _restore(connection: Connection[Any], found: Segment, chain: Chain) -> int:
    ids = [uuid.UUID(bytes=row) for row in found.rows["id"].to_pylist()]
    here = {
        row[0].bytes
        for row in connection.execute("SELECT id FROM wayfare.ledger WHERE id = ANY(%s)", (ids,))
    }
    rows = found.rows
    if here:
        rows = rows.filter(
            pc.invert(pc.is_in(rows["id"], value_set=pa.array(sorted(here), pa.binary(16))))
        )
    if not rows.num_rows:
        return 0
    count = restore_rows(connection, rows, site=chain[0], epoch=chain[1])
    connection.execute(
        "INSERT INTO wayfare.settled_rows (id, tx) SELECT id, pg_current_xact_id() "
        "FROM unnest(%s::uuid[]) AS given (id) WHERE EXISTS (SELECT FROM wayfare.sealed_epochs "
        "WHERE site = %s AND epoch = %s AND NOT over) ON CONFLICT DO NOTHING",
        ([row for row in ids if row.bytes not in here], *chain),
    )
    return count


def _position(connection: Connection[Any], chain: Chain) -> tuple[int, str]:
    row = connection.execute(
        "SELECT seq, segment FROM wayfare.history_positions WHERE site = %s AND epoch = %s", chain
    ).fetchone()
    return (0, "") if row is None else (row[0], row[1])


def _advance(connection: Connection[Any], chain: Chain, seq: int, digest: str) -> None:
    connection.execute(
        "INSERT INTO wayfare.history_positions (site, epoch, seq, segment) "
        "VALUES (%s, %s, %s, %s) ON CONFLICT (site, epoch) DO UPDATE "
        "SET seq = excluded.seq, segment = excluded.segment",
        (*chain, seq, digest),
    )
