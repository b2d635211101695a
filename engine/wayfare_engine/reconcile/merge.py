"""Merging a tail at the site that acts: each row is decided about by the written rules, and the
decision is a row of the acting epoch, in the transaction that applies it. A rebuild reads chains
and nothing else.

Interrupted or run again, it goes on with the rows that have no decision yet.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.facts import record
from wayfare_engine.facts.versions import lock_keys
from wayfare_engine.journal import positions
from wayfare_engine.ledger import Kind, LedgerRow, bodies
from wayfare_engine.ledger.fence import enter_present
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.objectstore.marker import check
from wayfare_engine.reconcile import known as acting_site
from wayfare_engine.reconcile.keys import StateKey, state_key
from wayfare_engine.reconcile.problems import MergeRunning, NotCaughtUp, NotRebuilt
from wayfare_engine.reconcile.rules import RULES, Span, resolve
from wayfare_engine.reconcile.tail import StrandedRow, Tail, rows
from wayfare_engine.store.postgresql import end_with_client

_deciding = crash_point("reconcile.merge.deciding", "rows of a tail were read, none is decided")
_decided = crash_point("reconcile.merge.decided", "decisions are written, and not committed")
_committed = crash_point("reconcile.merge.committed", "some rows of a tail are merged")
_ended = crash_point("reconcile.merge.ended", "the whole tail is merged, and a row says so")

_LOCK = 0x57464D47  # "WFMG"
#: Rows in one transaction: far below the second that one may last.
BATCH = 500
#: Told of `(rows done, rows to do)`.
Progress = Callable[[int, int], None]
Fence = Callable[[Connection[Any]], object]
_Decoded = tuple[StrandedRow, Any, StateKey | None]


@dataclass(frozen=True)
class Merged:
    """What one call did. `rows` got a decision now, `before` had one already; `again`: the tail
    had been merged whole. `resolutions` are of the whole tail."""

    tail: Tail
    epoch: int
    rows: int
    before: int
    again: bool
    resolutions: dict[str, int] = field(default_factory=dict)


def merge(
    connection: Connection[Any],
    store: ObjectStore,
    tail: Tail,
    *,
    plan: str,
    site: str,
    ids: Callable[[], uuid.UUID],
    clock: Callable[[], datetime],
    progress: Progress = lambda done, total: None,
    batch: int = BATCH,
    fence: Fence = lambda connection: None,
) -> Merged:
    """Decide about each row of a tail, at `site`, under the epoch that its database holds.

    `connection` is in autocommit mode. Everything is read and decoded once before anything is
    written. `fence` is called in each transaction, and raises when its caller may write no more.
    Raises StaleEpoch when this site does not act, NotCaughtUp, NotRebuilt, MergeRunning,
    TailDamaged, ForeignStore, NewerBody, WrongBody, StoreProblem, StoreUnavailable, psycopg.Error;
    what was decided until then stays decided.
    """
    check(store, plan)
    with _only_one(connection):
        _require(connection, tail)
        spans, total = _read_through(store, tail)
        work = _Merge(connection, tail, site, spans, ids, clock, fence)
        # Erasures first: whatever else the tail has is then decided by what is left, however the
        # rows fall into batches.
        for erasures in (True, False):
            for some in rows(store, tail):
                chosen = [row for row in some if (row.kind == Kind.ERASURE) is erasures]
                for start in range(0, len(chosen), batch):
                    work.decide(chosen[start : start + batch])
                    progress(work.done, total)
        return work.end()


class _Merge:
    def __init__(
        self,
        connection: Connection[Any],
        tail: Tail,
        site: str,
        spans: dict[StateKey, Span],
        ids: Callable[[], uuid.UUID],
        clock: Callable[[], datetime],
        fence: Fence,
    ) -> None:
        self._fence = fence
        self._connection = connection
        self._tail = tail
        self._site = site
        self._spans = spans
        self._ids = ids
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self.rows = 0
        self.before = 0

    @property
    def done(self) -> int:
        """Rows that have a decision."""
        return self.rows + self.before

    def decide(self, some: Sequence[StrandedRow]) -> None:
        """Decide about some rows in one transaction; those that have a decision keep it."""
        connection = self._connection
        decoded: list[_Decoded] = [
            (row, body, state_key(row.kind, body))
            for row in some
            for body in (bodies.decode(row.kind, row.body),)
        ]
        _deciding()
        with connection.transaction():
            epoch = enter_present(connection)
            self._fence(connection)
            lock_keys(connection, (key for _, _, key in decoded if key is not None))
            before = _decisions(connection, [row for row, _, _ in decoded])
            new = [one for one in decoded if one[0].origin_id not in before]
            known = acting_site.look(connection, new)
            made = []
            at = self._clock()
            for row, body, key in new:
                span = self._spans.get(key) if key is not None else None
                found = resolve(row, body, key, span, known)
                self._counts[found.resolution] += 1
                made.append(self._row(epoch, row, found.rule, found.as_version, at))
            if made:
                record(connection, made)
                acting_site.note_repeats(connection, new, known)
                _decided()
        if made:
            _committed()
        self._counts.update(before.values())
        self.rows += len(made)
        self.before += len(before)

    def end(self) -> Merged:
        """Say that the tail is merged whole, once."""
        connection, tail = self._connection, self._tail
        with connection.transaction():
            epoch = enter_present(connection)
            self._fence(connection)
            again = (
                connection.execute(
                    "SELECT FROM wayfare.merges WHERE tail = %s", (tail.digest,)
                ).rowcount
                > 0
            )
            if not again:
                body = bodies.Merge(
                    origin_site=tail.manifest.site,
                    origin_epoch=tail.manifest.epoch,
                    digest=tail.digest,
                    rows=self.done,
                    resolutions=dict(sorted(self._counts.items())),
                )
                record(connection, [self._fact(epoch, Kind.MERGE, body, self._clock())])
        _ended()
        return Merged(
            tail, epoch, self.rows, self.before, again, dict(sorted(self._counts.items()))
        )

    def _row(
        self, epoch: int, row: StrandedRow, rule: str, as_version: int | None, at: datetime
    ) -> LedgerRow:
        body = bodies.Merged(
            origin_site=row.site,
            origin_epoch=row.epoch,
            origin_id=str(row.id),
            kind=row.kind,
            key=row.key,
            version=row.version,
            customer=row.customer,
            at=row.at,
            body=msgspec.Raw(row.body.encode()),
            resolution=RULES[rule][0].value,
            rule=rule,
            as_version=as_version,
        )
        return self._fact(epoch, Kind.MERGED, body, at)

    def _fact(self, epoch: int, kind: Kind, body: bodies.Body, at: datetime) -> LedgerRow:
        return LedgerRow(
            self._ids(), self._site, epoch, kind, None, None, None, at, bodies.encode(body)
        )


def _require(connection: Connection[Any], tail: Tail) -> None:
    waiting = connection.execute(
        "SELECT coalesce(sum(rows), 0) FROM wayfare.recovered_tails WHERE NOT rebuilt"
    ).fetchone()
    if waiting is not None and waiting[0]:
        raise NotRebuilt(int(waiting[0]))
    manifest = tail.manifest
    at = positions.positions(connection).get((manifest.site, manifest.epoch))
    if at is None or at.closed_by != manifest.closed_by:
        raise NotCaughtUp(manifest.site, manifest.epoch)


def _read_through(store: ObjectStore, tail: Tail) -> tuple[dict[StateKey, Span], int]:
    """The versions of each key, and the number of rows: all is read before anything is written.
    What an erased customer had counts for nobody else's versions."""
    spans: dict[StateKey, Span] = {}
    total = 0
    erased: set[str | None] = set()
    for some in rows(store, tail):
        total += len(some)
        erased |= {
            row.customer or bodies.decode(row.kind, row.body).customer
            for row in some
            if row.kind == Kind.ERASURE
        }
    for some in rows(store, tail):
        for row in some:
            body = bodies.decode(row.kind, row.body)
            key = state_key(row.kind, body)
            if key is None or (row.customer or getattr(body, "customer", None)) in erased:
                continue
            version = row.version or 0
            span = spans.get(key)
            if span is None:
                spans[key] = Span(version, version)
            else:
                spans[key] = Span(min(span.first, version), max(span.last, version))
    return spans, total


def _decisions(connection: Connection[Any], some: Sequence[StrandedRow]) -> dict[bytes, str]:
    found = connection.execute(
        "SELECT origin_id, resolution FROM wayfare.merged_rows WHERE origin_id = ANY(%s)",
        ([row.id for row in some],),
    ).fetchall()
    return {origin.bytes: resolution for origin, resolution in found}


@contextmanager
def _only_one(connection: Connection[Any]) -> Iterator[None]:
    end_with_client(connection)
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
    if row is None or not row[0]:
        raise MergeRunning
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
