"""The projections of a database again, from the chains in the store and from nothing else.

It begins by fencing: from then on nobody writes here, which outlasts this process. Then the tables
are emptied, together with their watermark, and catch-up fills them. A process that is killed
anywhere leaves a database that refuses to be written to, and the next call goes on.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection, sql

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.journal import digesting, positions
from wayfare_engine.journal.catch_up import CatchUp, CatchUpReport, Fence, Progress
from wayfare_engine.journal.chain import last_object, opened
from wayfare_engine.journal.rebuilding_problems import (
    NotFenced,
    RowsUnsealed,
    SealerAtWork,
    StoreLacksChain,
)
from wayfare_engine.journal.segment import Closed
from wayfare_engine.journal.session import kept_out, sealer_pid
from wayfare_engine.journal.snapshot_tables import empty
from wayfare_engine.journal.unsealed_rows import UNSEALED_IDS, unsealed_rows
from wayfare_engine.ledger.fence import raise_epoch, site_epoch
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.projections.digests import Document
from wayfare_engine.projections.digests.writing import Progress as Hashing

fenced = crash_point("journal.rebuild.fenced", "nobody can write, and nothing is emptied yet")
emptied = crash_point("journal.rebuild.emptied", "the projections are empty and committed")
filled = crash_point("journal.rebuild.filled", "everything is applied, nobody can write yet")
released = crash_point("journal.rebuild.released", "a rebuild is over and committed")

#: A writer's transaction lasts a second at most; whatever holds its lock longer is no writer.
_LOCK_SECONDS = 5

_GIVE_UP = sql.SQL("INSERT INTO wayfare.discarded_rows (id, at) SELECT id, %s FROM ({}) u").format(
    sql.SQL(UNSEALED_IDS)
)

_Digests = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class RebuildReport:
    """What a rebuild did. `different`: tables whose digests before and after are not the same.
    `resumed`: an earlier one had been interrupted, and `applied` is only what was left.
    `discarded` rows are in no segment; what they had changed is gone."""

    applied: CatchUpReport
    before: Mapping[str, Any]
    after: Document
    resumed: bool
    discarded: int
    seconds: float

    @property
    def different(self) -> tuple[str, ...]:
        """Names of tables."""
        after = self.after.facts()["tables"]
        return tuple(name for name in after if after[name] != self.before.get(name))

    def facts(self) -> dict[str, Any]:
        """For JSON and for people."""
        return {
            "resumed": self.resumed,
            "discarded": self.discarded,
            "seconds": round(self.seconds, 3),
            "equal": not self.different,
            "different": list(self.different),
            "before": dict(self.before),
            "after": self.after.facts()["tables"],
            "applied": self.applied.facts(),
        }


def rebuild(
    dsn: str,
    store: ObjectStore,
    *,
    plan: str,
    site: str,
    clock: Callable[[], datetime],
    discard: int | None = None,
    hashing: Hashing | None = None,
    progress: Progress | None = None,
    allowed: Fence = lambda connection: None,
    on_the_way: Callable[[CatchUp], object] = lambda session: None,
    monotonic: Callable[[], float] = time.monotonic,
) -> RebuildReport:
    """Empty the projections and fill them from the chains; go on with one that was interrupted.

    `discard`: so many rows are in no segment, and what they changed is given up. `allowed` is
    called in each transaction that writes, and raises when its caller may write no more;
    `on_the_way` before the tables are filled, and may fill them part of the way. Raises
    SealerAtWork, RowsUnsealed, StoreLacksChain and NotFenced before anything is changed; as
    `CatchUp.once` later, and then the next call goes on.
    """
    began = monotonic()
    with CatchUp.opened(dsn, store, plan=plan, fence=allowed) as session:
        connection = session.connection
        with kept_out(connection) as alone:
            if not alone:
                raise SealerAtWork(sealer_pid(connection))
            resumed = _step(connection) is not None
            if not resumed:
                _check_store(connection, store)
                _fence(connection, discard, clock, allowed)
                fenced()
            if _step(connection) == "Fenced":
                _empty(connection, _digests(dsn, site, clock, hashing), allowed)
                emptied()
            on_the_way(session)
            applied = session.once(progress=progress)
            after = _document(dsn, site, clock, hashing)
            filled()
            before, discarded = _release(connection, allowed)
            released()
    return RebuildReport(applied, before, after, resumed, discarded, monotonic() - began)


def _step(connection: Connection[Any]) -> str | None:
    row = connection.execute("SELECT step FROM wayfare.rebuild").fetchone()
    return None if row is None else str(row[0])


def _check_store(connection: Connection[Any], store: ObjectStore) -> None:
    """Everything that was applied here is in the store: else a rebuild would lose it."""
    for chain, at in positions.positions(connection).items():
        last = last_object(store, *chain) if at.seq else None
        seq = 0
        if last is not None:
            found = opened(last.path, store.get(last.path), bodies=False)
            seq = found.at_seq if isinstance(found, Closed) else found.header.last
        if seq < at.seq:
            raise StoreLacksChain(*chain, at.seq, seq)


def _fence(
    connection: Connection[Any],
    discard: int | None,
    clock: Callable[[], datetime],
    allowed: Fence,
) -> None:
    """Keep writers out, and count under the fence what they left in no segment."""
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
            allowed(connection)
            before = site_epoch(connection)
            raise_epoch(connection, before.epoch, held=False)
            unsealed, pending = _left_unsealed(connection)
            if pending or unsealed != (discard or 0):
                raise RowsUnsealed(unsealed, discard, pending)
            connection.execute(_GIVE_UP, (clock(),))
            # The sealer passes over these. Those of a closed chain are the stranded tail.
            connection.execute(
                "INSERT INTO wayfare.settled_rows (id, tx) SELECT l.id, l.tx "
                "FROM wayfare.discarded_rows d JOIN wayfare.ledger l USING (id) "
                "WHERE NOT EXISTS (SELECT FROM wayfare.sealed_epochs c WHERE c.site = l.site "
                "AND c.epoch = l.epoch AND c.over) ON CONFLICT DO NOTHING"
            )
            connection.execute(
                "INSERT INTO wayfare.rebuild (began_at, epoch, held, discarded) "
                "VALUES (%s, %s, %s, %s)",
                (clock(), before.epoch, before.held, unsealed),
            )
    except psycopg.errors.LockNotAvailable:
        raise NotFenced(_LOCK_SECONDS) from None


def _left_unsealed(connection: Connection[Any]) -> tuple[int, bool]:
    """Rows in no segment, and whether a segment is half way to the store. Chains whose stranded
    tail was recovered have neither: they are closed, and the tail is in the store."""
    recovered = {
        (site, epoch)
        for site, epoch in connection.execute("SELECT site, epoch FROM wayfare.recovered_tails")
    }
    pending = {
        (site, epoch)
        for site, epoch in connection.execute(
            "SELECT site, epoch FROM wayfare.seal_intents WHERE sealed_at IS NULL"
        )
    }
    found = unsealed_rows(connection)
    left = sum(rows for chain, rows in found.items() if chain not in recovered)
    return left, bool(pending - recovered)


def _empty(connection: Connection[Any], before: _Digests, allowed: Fence) -> None:
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
            allowed(connection)
            empty(connection)
            connection.execute("DELETE FROM wayfare.chain_positions")
            connection.execute(
                "UPDATE wayfare.rebuild SET step = 'Replaying', before = %s", (json.dumps(before),)
            )
    except psycopg.errors.LockNotAvailable:
        raise NotFenced(_LOCK_SECONDS, fenced=True) from None


def _release(connection: Connection[Any], allowed: Fence) -> tuple[_Digests, int]:
    """Let writers in again, unless the epoch has moved on meanwhile."""
    with connection.transaction():
        allowed(connection)
        row = connection.execute(
            "DELETE FROM wayfare.rebuild RETURNING epoch, held, before, discarded"
        ).fetchone()
        assert row is not None, "a rebuild is under way"
        epoch, held, before, discarded = row
        connection.execute("UPDATE wayfare.recovered_tails SET rebuilt = true WHERE NOT rebuilt")
        if site_epoch(connection).epoch == epoch:
            raise_epoch(connection, epoch, held=held)
    return before, int(discarded)


def _document(
    dsn: str, site: str, clock: Callable[[], datetime], hashing: Hashing | None
) -> Document:
    with tempfile.TemporaryFile() as file, digesting.one_snapshot(dsn) as connection:
        return digesting.take(connection, file, site=site, clock=clock, progress=hashing)


def _digests(
    dsn: str, site: str, clock: Callable[[], datetime], hashing: Hashing | None
) -> _Digests:
    found: _Digests = _document(dsn, site, clock, hashing).facts()["tables"]
    return found
