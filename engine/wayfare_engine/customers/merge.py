"""A load put into the present base, column by column; pure, apart from the keys that it asks for.

New customers go to the end, changed ones keep their places, columns that the load does not have
stay. A single change of an attribute that the load brings anew is overtaken: its version is kept
beside the attribute, so that both sites know that it counts no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wayfare_engine.customers.changes import Changes
from wayfare_engine.customers.problems import ImportRefused
from wayfare_engine.customers.sealing import Sealing
from wayfare_engine.plan import AttributeType
from wayfare_engine.store import customer_base as base_format
from wayfare_engine.store.customers import StoredColumn

Positions: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]
_WIDER = {(AttributeType.INT, AttributeType.DOUBLE)}


@dataclass(frozen=True)
class Merged:
    """The new base (without dense ids of those added, at its end) and how it differs.

    `columns` is the whole schema after it.
    """

    table: pa.Table
    added: int
    changed: int
    columns: tuple[StoredColumn, ...]
    differs: bool


@dataclass(frozen=True)
class _Match:
    """source: for each customer of the base its row in the load, or -1. new: the load's rows of
    customers that the base lacks."""

    source: Positions
    new: Positions

    @property
    def present(self) -> Flags:
        return self.source >= 0


def merge(
    base: pa.Table,
    loaded: pa.Table,
    columns: Sequence[tuple[str, AttributeType]],
    *,
    stored: Sequence[StoredColumn],
    sensitive: frozenset[str],
    changes: Changes,
    sealing: Callable[[], Sealing],
) -> Merged:
    """`loaded` has `id` and a column for each of `columns`. Raises ImportRefused when a type would
    change under customers whom the load lacks."""
    match = _match(base, loaded)
    before = {c.name: c for c in stored}
    _refuse_narrowing(columns, before, match)
    present = match.present
    in_place = bool((match.source == np.arange(base.num_rows)).all())
    ids = _joined(base.column("id"), loaded.column("id").take(pa.array(match.new)))
    changed = np.zeros(base.num_rows, np.bool_)
    made: dict[str, pa.ChunkedArray] = {}
    kept: dict[str, pa.Field] = base_format.attributes_of(base)
    fields: dict[str, pa.Field] = dict(kept)
    marked = {c.name for c in stored if c.sensitive} | sensitive
    for name, kind in columns:
        given = loaded.column(name)
        if name in marked:
            given = sealing().without_erased(given, loaded.column("id"))
        taken = (
            given.slice(0, base.num_rows)
            if in_place
            else given.take(pa.array(match.source, mask=~present))
        )
        was = _plain(base, name, kept.get(name), kind, sealing)
        known = changes.over(was, base.column("id"), name, kind, base)
        differs = present & _different(known, taken)
        changed |= differs
        plain = taken if bool(present.all()) else pc.if_else(pa.array(present), taken, was)
        whole = _joined(plain, given.take(pa.array(match.new)))
        fields[name] = base_format.field(name, kind, sensitive=name in marked)
        if name in marked:
            old = base.column(base_format.attribute(name)) if name in kept else None
            whole = sealing().seal_column(
                whole, ids, name, old=old, differs=differs, before=base.num_rows
            )
        made[name] = whole
    for name in kept.keys() - made.keys():
        made[name], fields[name] = _untouched(
            base, name, kept[name], ids, len(match.new), name in marked, sealing
        )
    table = _assembled(base, ids, made, fields, changes, columns, match, loaded)
    after = _schema(stored, columns, marked)
    count = int(changed.sum())
    differs_at_all = bool(count or len(match.new) or tuple(stored) != after)
    return Merged(table, len(match.new), count, after, differs_at_all)


def with_dense(merged: pa.Table, before: int, dense: npt.NDArray[np.uint32]) -> pa.Table:
    """The table with the dense ids of those that were added after the first `before` rows."""
    column = merged.column(base_format.DENSE).slice(0, before)
    whole = _joined(column, pa.chunked_array([pa.array(dense, pa.uint32())]))
    return merged.set_column(0, base_format.DENSE, whole)


def _match(base: pa.Table, loaded: pa.Table) -> _Match:
    count = loaded.num_rows
    if not base.num_rows:
        return _Match(np.zeros(0, np.int64), np.arange(count))
    if base.num_rows == count and base.column("id").equals(loaded.column("id")):
        return _Match(np.arange(count), np.zeros(0, np.int64))
    found = pc.index_in(loaded.column("id"), value_set=base.column("id").combine_chunks())
    places = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    source = np.full(base.num_rows, -1, np.int64)
    known = np.flatnonzero(places >= 0)
    source[places[known]] = known
    return _Match(source, np.flatnonzero(places < 0))


def _refuse_narrowing(
    columns: Sequence[tuple[str, AttributeType]],
    before: Mapping[str, StoredColumn],
    match: _Match,
) -> None:
    if bool(match.present.all()):
        return
    for name, kind in columns:
        was = AttributeType(before[name].type) if name in before else kind
        if was is not kind and (was, kind) not in _WIDER:
            raise ImportRefused(
                f"column {name!r} is stored as {was.value} and would become {kind.value}, but "
                "there are customers whom this file does not have",
                f"load a file with all customers, or give --type {name}={was.value}",
            )


def _plain(
    base: pa.Table,
    name: str,
    field: pa.Field | None,
    kind: AttributeType,
    sealing: Callable[[], Sealing],
) -> pa.ChunkedArray:
    """The attribute's values in the base as `kind`; unknown where they are of another type."""
    held = base_format.HELD[kind]
    if field is None:
        return pa.chunked_array([pa.nulls(base.num_rows, held)])
    was = base_format.kind_of(field)
    column = base.column(base_format.attribute(name))
    if base_format.is_sensitive(field):
        column = sealing().open_column(column, base.column("id"), name, was)
    if was is kind:
        return column
    if (was, kind) in _WIDER:
        return column.cast(held, safe=False)
    return pa.chunked_array([pa.nulls(base.num_rows, held)])


def _untouched(
    base: pa.Table,
    name: str,
    field: pa.Field,
    ids: pa.ChunkedArray,
    added: int,
    sensitive: bool,
    sealing: Callable[[], Sealing],
) -> tuple[pa.ChunkedArray, pa.Field]:
    """A column that the load does not have: sealed now when it was marked since."""
    column = base.column(base_format.attribute(name))
    whole = _joined(column, pa.chunked_array([pa.nulls(added, field.type)]))
    if not sensitive or base_format.is_sensitive(field):
        return whole, field
    all_differ = np.ones(base.num_rows, np.bool_)
    sealed = sealing().seal_column(
        whole, ids, name, old=None, differs=all_differ, before=base.num_rows
    )
    return sealed, base_format.field(name, base_format.kind_of(field), sensitive=True)


def _assembled(
    base: pa.Table,
    ids: pa.ChunkedArray,
    made: Mapping[str, pa.ChunkedArray],
    fields: Mapping[str, pa.Field],
    changes: Changes,
    columns: Sequence[tuple[str, AttributeType]],
    match: _Match,
    loaded: pa.Table,
) -> pa.Table:
    added = len(match.new)
    dense = _joined(base.column("dense"), pa.chunked_array([pa.nulls(added, pa.uint32())]))
    arrays = [dense, ids]
    schema = [pa.field("dense", pa.uint32()), pa.field("id", pa.large_string())]
    loads = {name for name, _ in columns}
    for name, field in fields.items():
        arrays.append(made[name])
        schema.append(field)
        column = base_format.overtaken(name)
        versions = (
            _joined(base.column(column), pa.chunked_array([pa.nulls(added, pa.int64())]))
            if column in base.column_names
            else None
        )
        if name in loads:
            versions = changes.overtake(versions, ids, name, loaded.column("id"))
        if versions is not None:
            arrays.append(versions)
            schema.append(pa.field(column, pa.int64()))
    return pa.table(arrays, schema=pa.schema(schema))


def _schema(
    stored: Sequence[StoredColumn],
    columns: Sequence[tuple[str, AttributeType]],
    marked: set[str],
) -> tuple[StoredColumn, ...]:
    kinds = {c.name: c.type for c in stored} | {name: kind.value for name, kind in columns}
    return tuple(StoredColumn(name, kind, name in marked) for name, kind in kinds.items())


def _different(one: pa.ChunkedArray, other: pa.ChunkedArray) -> Flags:
    same = pc.fill_null(pc.equal(one, other), False)
    neither = pc.and_(pc.is_null(one), pc.is_null(other))
    return ~np.asarray(pc.or_(same, neither), dtype=np.bool_)


def _joined(one: pa.ChunkedArray, other: pa.ChunkedArray) -> pa.ChunkedArray:
    if not len(other):
        return one
    return pa.chunked_array([*one.chunks, *other.chunks]) if len(one) else other
