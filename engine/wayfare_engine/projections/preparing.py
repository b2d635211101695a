"""Decoding rows and folding them: pure computation, apart from the writing that follows.

One `Prepared` may take rows of several chains, in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wayfare_engine.ledger.bodies import WrongBody
from wayfare_engine.ledger.row import LedgerRow
from wayfare_engine.projections.columns import as_columns, in_order
from wayfare_engine.projections.copying import payload
from wayfare_engine.projections.feeds import FEEDS
from wayfare_engine.projections.prepared import (
    Chunk,
    InnerRow,
    Prepared,
    Staged,
    microseconds,
)
from wayfare_engine.projections.problems import RowDamaged

#: From so many keys on a fold is written by COPY; below, it is given as arrays.
STAGED_FROM = 400
#: Small tables whose rows decide about those of the others.
_NEVER_STAGED = ("merged_rows", "erased", "retention_cutoffs")
_NEEDED = ["id", "version", "customer_id", "at", "body"]
#: Rows that are turned into Python objects at a time.
_SLICE = 8192
_DAMAGE = (WrongBody, msgspec.MsgspecError, TypeError, ValueError, KeyError, OverflowError)


def prepare(rows: pa.Table, *, site: str, epoch: int) -> Prepared:
    """Rows of one chain in the journal's columns, folded. Raises RowDamaged."""
    into = Prepared()
    add_table(into, rows, site=site, epoch=epoch)
    finish(into)
    return into


def add_table(into: Prepared, rows: pa.Table, *, site: str, epoch: int) -> None:
    """Take rows of one chain in the journal's columns. Raises RowDamaged."""
    if rows.num_rows == 0:
        return
    kinds = rows["kind"]
    if pa.types.is_dictionary(kinds.type):
        kinds = kinds.cast(pa.string())
    into.customers.append(rows["customer_id"])
    rows = rows.select(_NEEDED)
    for kind in pc.unique(kinds).to_pylist():
        chosen = rows.filter(pc.equal(kinds, kind))
        for start in range(0, chosen.num_rows, _SLICE):
            add_chunk(into, _chunk(kind, site, epoch, chosen.slice(start, _SLICE)))


def add_rows(into: Prepared, rows: Iterable[LedgerRow]) -> None:
    """Take rows as this process made them. Raises RowDamaged."""
    groups: dict[tuple[str, str, int], list[LedgerRow]] = {}
    for row in rows:
        groups.setdefault((row.kind, row.site, row.epoch), []).append(row)
    for (kind, site, epoch), some in groups.items():
        into.customers.append([row.customer_id for row in some])
        add_chunk(
            into,
            Chunk(
                str(kind),
                site,
                epoch,
                [row.id.bytes for row in some],
                [row.version for row in some],
                [row.customer_id for row in some],
                [microseconds(row.at) for row in some],
                [row.body for row in some],
            ),
        )


def add_inner(into: Prepared, rows: Iterable[InnerRow]) -> None:
    """Take rows that a merge put back, as if they had come in their own chains."""
    groups: dict[tuple[str, str, int], list[InnerRow]] = {}
    for row in rows:
        groups.setdefault((row.kind, row.site, row.epoch), []).append(row)
    for (kind, site, epoch), some in groups.items():
        into.customers.append([row.customer for row in some])
        add_chunk(
            into,
            Chunk(
                kind,
                site,
                epoch,
                [row.origin_id for row in some],
                [row.version for row in some],
                [row.customer for row in some],
                [row.at for row in some],
                [row.body for row in some],
            ),
        )


def finish(into: Prepared) -> None:
    """Put large folds into the form in which they travel; `write` does it if nobody did.

    It takes as long as the folding: do it where PostgreSQL need not wait for it. After it no more
    rows can be added.
    """
    for name, folds in into.folds.items():
        if name in _NEVER_STAGED or len(folds.states) < max(1, STAGED_FROM):
            continue
        projection = folds.projection
        keys = in_order(folds.states, len(projection.key))
        blocks = tuple(payload(projection.columns, as_columns(folds, keys)))
        into.staged[name] = Staged(projection, len(keys), blocks)
        folds.states.clear()


def add_chunk(into: Prepared, chunk: Chunk) -> None:
    """Fold rows of one kind. Raises RowDamaged, after which `into` is of no use."""
    if into.staged:
        raise ValueError("rows cannot be added to what is finished")
    into.rows += len(chunk.ids)
    feed = FEEDS.get(chunk.kind)
    if feed is None:
        raise RowDamaged(
            chunk.ids[0], chunk.kind, chunk.site, chunk.epoch, "its kind is not known here"
        )
    try:
        feed(into, chunk)
    except _DAMAGE:
        _find_damage(feed, chunk)


def _find_damage(feed: Callable[[Prepared, Chunk], None], chunk: Chunk) -> None:
    """Say which row it was: one by one into a fold that is thrown away."""
    for i in range(len(chunk.ids)):
        one = Chunk(
            chunk.kind,
            chunk.site,
            chunk.epoch,
            *(column[i : i + 1] for column in _columns(chunk)),
        )
        try:
            feed(Prepared(), one)
        except _DAMAGE as error:
            cause = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RowDamaged(chunk.ids[i], chunk.kind, chunk.site, chunk.epoch, cause) from None
    raise RowDamaged(chunk.ids[0], chunk.kind, chunk.site, chunk.epoch, "its batch is damaged")


def _columns(chunk: Chunk) -> tuple[Sequence[Any], ...]:
    return chunk.ids, chunk.versions, chunk.customers, chunk.ats, chunk.bodies


def _chunk(kind: str, site: str, epoch: int, rows: pa.Table) -> Chunk:
    ids = rows["id"].combine_chunks()
    if isinstance(ids, pa.ChunkedArray):
        ids = pa.concat_arrays(ids.chunks)
    start = ids.offset * 16
    raw = memoryview(ids.buffers()[1])[start : start + 16 * len(ids)]
    return Chunk(
        kind,
        site,
        epoch,
        np.frombuffer(raw, dtype="V16").tolist(),
        rows["version"].to_pylist(),
        rows["customer_id"].to_pylist(),
        rows["at"].cast(pa.int64()).to_pylist(),
        rows["body"].to_pylist(),
    )
