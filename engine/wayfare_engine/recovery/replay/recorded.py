"""Recorded decisions, from the chains that this database applied, or else from its own ledger.

Of long chains the newest objects are read, and others that the seed chooses.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection

from wayfare_engine.journal import intents
from wayfare_engine.journal.chain import chains, fetch, objects, opened
from wayfare_engine.journal.positions import positions
from wayfare_engine.journal.segment import Closed
from wayfare_engine.ledger import Kind, bodies
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.objectstore.store import Listed
from wayfare_engine.recovery.replay.sampling import Sampler

_LEDGER: Final = 200_000
_BATCH: Final = 5000
Decision = bodies.Decision


@dataclass(frozen=True)
class Recorded:
    """A decision as it was written. `decision` is None when it cannot be read."""

    row_id: uuid.UUID
    customer: str
    at: datetime
    decision: Decision | None


@dataclass
class Source:
    """Where a sample is from. `whole_from`: from then on every change of a segment's members is
    known, with the last of each segment's key in `changed`; before it, changes may be missed."""

    name: str
    decisions: int = 0
    objects: int = 0
    of_objects: int = 0
    strata: int = 0
    whole_from: datetime | None = None
    changed: dict[str, datetime] = field(default_factory=dict)


def sampled(
    connection: Connection[Any],
    store: ObjectStore | None,
    *,
    size: int,
    seed: int,
    say: Callable[[str], None],
    newest: int,
    others: int,
) -> tuple[list[Recorded], Source]:
    """`size` recorded decisions, stratified over slots and winning journeys, of so many of the
    newest objects of each chain and so many of all others.

    Raises ChainProblem, NewerFormat, StoreProblem, StoreUnavailable, psycopg.Error.
    """
    sampler: Sampler[Recorded] = Sampler(size, seed)
    source = Source("the chains")
    if store is not None:
        _from_chains(connection, store, sampler, source, seed, say, newest, others)
    if not source.decisions:
        source = Source("the ledger")
        _from_ledger(connection, sampler, source)
    source.strata = len(sampler.counts)
    _changed_here(connection, source)
    return sampler.taken(), source


def _from_chains(
    connection: Connection[Any],
    store: ObjectStore,
    sampler: Sampler[Recorded],
    source: Source,
    seed: int,
    say: Callable[[str], None],
    newest: int,
    others: int,
) -> None:
    applied = {chain: at.seq for chain, at in positions(connection).items()}
    for site, epoch in chains(store):
        upto = max(applied.get((site, epoch), 0), intents.position(connection, site, epoch).seq)
        listed = objects(store, site, epoch)
        source.of_objects += len(listed)
        chosen, whole = _chosen(listed, seed, newest, others)
        first_whole: datetime | None = None
        for path, data in fetch(store, chosen):
            found = opened(path, data)
            if isinstance(found, Closed) or found.header.first > upto:
                break
            source.objects += 1
            if source.objects % 100 == 0:
                say(f"DecisionsReplayed: {source.objects:,} objects read")
            rows = found.rows.slice(0, upto - found.header.first + 1)
            if path in whole:
                first_whole = first_whole or pc.min(rows["at"]).as_py()
                _note_changes(rows, source)
            _take(rows, sampler, source)
        if first_whole is not None:
            source.whole_from = max(source.whole_from or first_whole, first_whole)


def _chosen(
    listed: list[Listed], seed: int, newest: int, others: int
) -> tuple[list[Listed], set[str]]:
    """The objects to read, in order, and the paths of those behind which none is left out."""
    older, last = listed[:-newest], listed[-newest:]
    if len(older) > others:
        # Which ones is nobody's secret: the same seed has to choose the same.
        places = sorted(random.Random(seed).sample(range(len(older)), others))  # noqa: S311
        older = [older[place] for place in places]
        whole = {entry.path for entry in last}
    else:
        whole = {entry.path for entry in listed}
    return older + last, whole


def _note_changes(rows: pa.Table, source: Source) -> None:
    changes = rows.filter(pc.equal(rows["kind"], Kind.SEGMENT_REFRESH.value))
    for key, moment in zip(changes["key"].to_pylist(), changes["at"].to_pylist(), strict=True):
        source.changed[key] = max(moment, source.changed.get(key, moment))


def _take(rows: pa.Table, sampler: Sampler[Recorded], source: Source) -> None:
    decisions = rows.filter(pc.equal(rows["kind"], Kind.DECISION.value))
    columns = (decisions[name].to_pylist() for name in ("id", "customer_id", "at", "body"))
    for row_id, customer, moment, body in zip(*columns, strict=True):
        _one(sampler, source, uuid.UUID(bytes=row_id), customer, moment, body)


def _from_ledger(connection: Connection[Any], sampler: Sampler[Recorded], source: Source) -> None:
    """The newest decisions that the ledger has here."""
    with connection.cursor(name="decisions") as cursor:
        cursor.itersize = _BATCH
        cursor.execute(
            "SELECT id, customer_id, at, body::text FROM wayfare.ledger WHERE kind = %s "
            "ORDER BY id DESC LIMIT %s",
            (Kind.DECISION.value, _LEDGER),
        )
        for row_id, customer, moment, body in cursor:
            _one(sampler, source, row_id, customer, moment, body)


def _one(
    sampler: Sampler[Recorded],
    source: Source,
    row_id: uuid.UUID,
    customer: str | None,
    moment: datetime,
    body: str,
) -> None:
    source.decisions += 1
    found: Decision | None
    try:
        found = bodies.decode(Kind.DECISION, body)
    except (bodies.NewerBody, bodies.WrongBody, msgspec.MsgspecError):
        found = None
    if found is None:
        sampler.add(("", ""), row_id.bytes, Recorded(row_id, customer or "", moment, None))
        return
    journey = found.winner.journey if found.winner is not None else ""
    recorded = Recorded(row_id, customer or found.customer, moment, found)
    sampler.add((found.slot, journey), row_id.bytes, recorded)


def _changed_here(connection: Connection[Any], source: Source) -> None:
    """Changes of segments' members that this database wrote itself, in no chain (yet)."""
    if source.whole_from is None:
        return
    found = connection.execute(
        "SELECT key, max(at) FROM wayfare.ledger WHERE id >= wayfare.first_id(%s) "
        "AND kind = %s AND key IS NOT NULL GROUP BY key",
        (source.whole_from.date(), Kind.SEGMENT_REFRESH.value),
    ).fetchall()
    for key, moment in found:
        source.changed[key] = max(moment, source.changed.get(key, moment))
