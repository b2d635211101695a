"""Bringing an empty or a lagging database to what the journal holds.

Chains are read in the order of epochs, segments in the order of a chain, and each batch is applied
in one transaction with the advance of its chain's position. A process that is killed anywhere goes
on from the position; one that finds what it was going to apply already applied skips it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
import structlog
from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.journal import positions
from wayfare_engine.journal.chain import Links, chains
from wayfare_engine.journal.positions import Applied, Chain, HeldHere
from wayfare_engine.journal.problems import StrandedHere
from wayfare_engine.journal.reading_ahead import (
    Batch,
    Listing,
    as_found,
    batches,
    end_of,
    listing,
    load,
)
from wayfare_engine.journal.restoring import is_empty, restore_newest, take_back
from wayfare_engine.journal.segment import Closed
from wayfare_engine.journal.snapshot import Manifest
from wayfare_engine.journal.starting_over import start_over
from wayfare_engine.journal.unsealed_rows import stranded_rows
from wayfare_engine.ledger.standing import enter_standby
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable
from wayfare_engine.objectstore.marker import check
from wayfare_engine.projections import write
from wayfare_engine.projections.writing import Applied as Outcome
from wayfare_engine.store.postgresql import patient

log = structlog.get_logger(__name__)

before_apply = crash_point("journal.catch_up.begun", "a batch's transaction has begun")
before_commit = crash_point("journal.catch_up.applied", "a batch is applied, and not committed")
after_commit = crash_point("journal.catch_up.committed", "a batch and its position are committed")

#: What everybody waits for a worker that follows, which applies one round at a time, in seconds.
PATIENCE = 10.0
#: Told of `(rows done, rows to do)` of this call.
Progress = Callable[[int, int], None]
#: Called first in each transaction that writes; raises when its caller may write no more.
Fence = Callable[[Connection[Any]], object]


@dataclass(frozen=True)
class CatchUpReport:
    """What one call did. `rows` counts by kind what was applied; `outcome` says what became of it
    (erased: skipped, because the customer was erased); `left_out` rows are in segments that this
    database itself sealed. `remaining` rows are in the store above the watermark. `seconds` by
    the caller's clock; `sealed_at` is the newest applied segment's time, in ISO 8601; `snapshot` is
    the one that was restored first."""

    rows: Mapping[str, int] = field(default_factory=dict)
    outcome: Outcome = field(default_factory=Outcome)
    left_out: int = 0
    segments: int = 0
    seconds: float = 0.0
    watermark: Mapping[Chain, int] = field(default_factory=dict)
    closed: Mapping[Chain, int] = field(default_factory=dict)
    remaining: int = 0
    sealed_at: str | None = None
    snapshot: str | None = None

    @property
    def total(self) -> int:
        """Rows that were applied."""
        return sum(self.rows.values())

    def facts(self) -> dict[str, Any]:
        """For JSON and for people."""
        return {
            "rows": dict(sorted(self.rows.items())),
            "total": self.total,
            "skipped": {
                "erased": self.outcome.erased,
                "expired": self.outcome.expired,
                "unattributed": self.outcome.unattributed,
                "repeated": self.outcome.repeated,
                "sealed_here": self.left_out,
            },
            "segments": self.segments,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.total / self.seconds) if self.seconds > 0 else None,
            "watermark": positions.by_name(dict(self.watermark)),
            "closed": positions.by_name(dict(self.closed)),
            "remaining": self.remaining,
            "sealed_at": self.sealed_at,
            "snapshot": self.snapshot,
        }


class _Moved(Exception):
    """The chain's position is not where it was read: somebody else moved it on."""


@dataclass
class _Plan:
    """What there is to do in one chain."""

    listed: Listing
    at: Applied
    end: int


class CatchUp:
    """One session that applies chains to one database. Use `opened`."""

    def __init__(
        self,
        dsn: str,
        connection: Connection[Any],
        store: ObjectStore,
        *,
        plan: str,
        standby: bool = False,
        fence: Fence = lambda connection: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dsn = dsn
        self._standby = standby
        self._connection = connection
        self._store = store
        self._plan = plan
        self._fence = fence
        self._monotonic = monotonic

    @classmethod
    @contextmanager
    def opened(
        cls,
        dsn: str,
        store: ObjectStore,
        *,
        plan: str,
        patience: float = PATIENCE,
        standby: bool = False,
        fence: Fence = lambda connection: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Iterator[CatchUp]:
        """With a connection of its own and the lock that lets only one apply, which another session
        has `patience` seconds to give back. A restore that was interrupted is taken back first.
        `standby`: nothing is applied once this site holds its epoch, however late that is.

        Raises AlreadyRunning, ForeignStore (another plan's store, or a newer one), psycopg.Error,
        and what `fence` raises.
        """
        check(store, plan)
        with ExitStack() as stack:
            connection = stack.enter_context(
                psycopg.connect(
                    patient(dsn, "wayfare-catch-up"),
                    autocommit=True,
                    application_name="wayfare-catch-up",
                )
            )
            stack.enter_context(positions.only_one(connection, patience=patience))
            # What a crash of PostgreSQL takes back, it takes back together with its position.
            connection.execute("SET synchronous_commit = off")
            with connection.transaction():
                fence(connection)
            take_back(connection)
            yield cls(
                dsn,
                connection,
                store,
                plan=plan,
                standby=standby,
                fence=fence,
                monotonic=monotonic,
            )

    @property
    def dsn(self) -> str:
        """Where the database is."""
        return self._dsn

    @property
    def connection(self) -> Connection[Any]:
        """The session that holds the lock."""
        return self._connection

    @property
    def store(self) -> ObjectStore:
        """Where the journal is."""
        return self._store

    @property
    def plan(self) -> str:
        """The recovery plan whose journal it is."""
        return self._plan

    def once(
        self,
        *,
        upto: Mapping[Chain, int] | None = None,
        progress: Progress | None = None,
    ) -> CatchUpReport:
        """Apply what the store has now; with `upto`, only those chains, and each no further than
        the segment that holds that position.

        Raises ChainProblem, NewerFormat, RowDamaged, StrandedHere, HeldHere, StoreProblem,
        StoreUnavailable, psycopg.Error; what was applied until then stays, and the next call goes
        on from there. Formats are looked at before anything is applied.
        """
        began = self._monotonic()
        report = _Counts()
        todo = self._todo(upto)
        rows = sum(max(0, p.end - p.at.seq) for p in todo)  # with `upto`, at most
        for planned in todo:
            self._chain(planned, report, lambda done: progress and progress(done, rows))
        reached = positions.positions(self._connection)
        ends = {p.listed.chain: p.end for p in todo}
        return CatchUpReport(
            rows=dict(report.kinds),
            outcome=report.outcome,
            left_out=report.left_out,
            segments=report.segments,
            seconds=self._monotonic() - began,
            watermark={chain: at.seq for chain, at in reached.items()},
            closed={c: at.closed_by for c, at in reached.items() if at.closed_by is not None},
            remaining=sum(
                max(0, end - reached.get(chain, Applied()).seq) for chain, end in ends.items()
            ),
            sealed_at=report.sealed_at,
        )

    def restore(self, *, progress: Progress | None = None) -> str | None:
        """Restore the newest whole snapshot into the database if it is empty; its id, if any.

        `progress` is told bytes here, from several threads. Raises StoreProblem, StoreUnavailable,
        psycopg.Error; the next session takes back what was restored until then.
        """
        if not is_empty(self._connection):
            return None
        with self._connection.transaction():
            self._fence(self._connection)
        found = restore_newest(
            self._dsn, self._connection, self._store, plan=self._plan, progress=progress
        )
        return None if found is None else found.id

    def start_over(self, manifest: Manifest, *, progress: Progress | None = None) -> None:
        """Leave what is here and go on from a snapshot, for a chain that cannot be read up to
        where the snapshot stands. Raises CannotStartOver before anything is changed; as `restore`.
        """
        start_over(
            self._dsn, self._connection, self._store, manifest, fence=self._fence, progress=progress
        )

    def follow(
        self,
        stop: threading.Event,
        *,
        seconds: float = 0.5,
        told: Callable[[CatchUpReport], None] = lambda _: None,
    ) -> None:
        """`once` again and again, every so many seconds, until `stop` is set.

        A store that is away is waited for. Raises as `once` otherwise.
        """
        while not stop.is_set():
            try:
                told(self.once())
            except StoreUnavailable as problem:
                log.warning("catch_up.waiting", problem=str(problem))
            stop.wait(seconds)

    def _todo(self, upto: Mapping[Chain, int] | None) -> list[_Plan]:
        """Per chain what is above its position; the newest object of each is looked at first."""
        reached = positions.positions(self._connection)
        found = []
        for chain in chains(self._store):
            at = reached.get(chain, Applied())
            if at.closed_by is not None or (upto is not None and chain not in upto):
                continue
            listed = listing(self._store, chain, after=at.seq)
            if not len(listed):
                continue
            end = end_of(self._store, listed)
            last = end.at_seq if isinstance(end, Closed) else end.last
            if upto is not None:
                listed = _cut(listed, upto[chain])
            found.append(_Plan(listed, at, last))
        return found

    def _chain(self, planned: _Plan, report: _Counts, done: Callable[[int], object]) -> None:
        chain, at = planned.listed.chain, planned.at
        links = Links(*chain, after=at.seq, previous=at.segment, plan=self._plan)
        own = positions.sealed_here(self._connection, chain)
        for batch in batches(self._store, planned.listed, without=own):
            for link in batch.links:
                links.add(link.path, as_found(link))
            closed = links.closed.by if links.closed is not None else None
            try:
                # model: CATCH_UP
                at = self._apply(batch, at, Applied(links.seq, links.previous, closed), report)
            except _Moved:
                log.info("catch_up.moved", site=chain[0], epoch=chain[1])
                return
            done(report.rows)

    def _apply(self, batch: Batch, expected: Applied, to: Applied, report: _Counts) -> Applied:
        connection, chain = self._connection, batch.chain
        # A new transaction: its statements see what the sealer of this database has committed.
        with connection.transaction():
            if self._standby and not enter_standby(connection):
                raise HeldHere(chain[1])
            before_apply()
            self._fence(connection)
            if positions.position(connection, chain).seq != expected.seq:
                raise _Moved
            firsts = frozenset(first for _, first in batch.listed)
            own = positions.sealed_here(connection, chain) & firsts
            if own != batch.without & firsts:
                batch = load(self._store, Batch(chain, batch.listed, own))
            if to.closed_by is not None:
                _require_none_stranded(connection, chain, to)
            outcome = write(connection, batch.prepared)
            positions.advance(connection, chain, to)
            connection.execute("SELECT wayfare.applied_epoch(%s, %s)", chain)
            before_commit()
        after_commit()
        report.add(batch, outcome)
        return to


class _Counts:
    """What was done so far."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.outcome = Outcome()
        self.left_out = 0
        self.segments = 0
        self.sealed_at: str | None = None

    @property
    def rows(self) -> int:
        return sum(self.kinds.values()) + self.left_out

    def add(self, batch: Batch, outcome: Outcome) -> None:
        self.kinds += batch.kinds
        self.outcome += outcome
        self.left_out += batch.left_out
        for link in batch.links:
            if not isinstance(link.header, Closed):
                self.segments += 1
                self.sealed_at = max(self.sealed_at or "", link.header.sealed_at)


def catch_up(
    dsn: str,
    store: ObjectStore,
    *,
    plan: str,
    upto: Mapping[Chain, int] | None = None,
    from_snapshot: bool = True,
    progress: Progress | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> CatchUpReport:
    """Open, restore a snapshot if the database is empty and there is one, apply the rest, close.

    Raises as `CatchUp.opened`, `restore` and `once`. `upto` lies at or above the snapshot's
    watermark, or goes without a snapshot.
    """
    began = monotonic()
    with CatchUp.opened(dsn, store, plan=plan, monotonic=monotonic) as session:
        snapshot = session.restore() if from_snapshot else None
        report = session.once(upto=upto, progress=progress)
    return replace(report, snapshot=snapshot, seconds=monotonic() - began)


def _require_none_stranded(connection: Connection[Any], chain: Chain, end: Applied) -> None:
    """What this database applied by itself is in the chain that ends here."""
    rows = stranded_rows(connection, chain, at_seq=end.seq)
    if rows:
        raise StrandedHere(*chain, end.closed_by or 0, rows)


def _cut(listed: Listing, upto: int) -> Listing:
    """Only the objects that begin at or below a position."""
    found = Listing(listed.chain)
    for first, size in zip(listed.firsts, listed.sizes, strict=True):
        if first > upto:
            break
        found.firsts.append(first)
        found.sizes.append(size)
    return found
