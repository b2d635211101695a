"""Single changes of attributes, laid over the columns of a base."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wayfare_engine.customers.typing_columns import hold
from wayfare_engine.customers.values import Unfit, from_text
from wayfare_engine.plan import AttributeType
from wayfare_engine.store import customer_base as base_format
from wayfare_engine.store.customers import Change

#: (customer, attribute, value as JSON or an envelope as JSON) to the value as JSON, or None.
Opener = Callable[[str, str, bytes], bytes | None]


class Changes:
    """Changes by attribute. `opened` opens envelopes."""

    def __init__(self, changes: Iterable[Change], opened: Opener) -> None:
        self._by_name: defaultdict[str, list[Change]] = defaultdict(list)
        for change in changes:
            self._by_name[change.name].append(change)
        self._opened = opened

    @property
    def names(self) -> frozenset[str]:
        """The attributes that have changes."""
        return frozenset(self._by_name)

    def over(
        self,
        column: pa.ChunkedArray,
        ids: pa.ChunkedArray,
        name: str,
        kind: AttributeType,
        base: pa.Table,
    ) -> pa.ChunkedArray:
        """The column with the changes that no load overtook; `base` has their versions.

        A value that is not of the type is unknown.
        """
        found = self._by_name.get(name)
        if not found or not len(ids):
            return column
        places, found = _places(found, ids)
        overtaken = base_format.overtaken(name)
        if overtaken in base.column_names:
            versions = pc.fill_null(base.column(overtaken).take(pa.array(places)), 0).to_pylist()
            standing = [c.version > v for c, v in zip(found, versions, strict=True)]
            found = [c for c, stands in zip(found, standing, strict=True) if stands]
            places = places[np.array(standing, np.bool_)] if len(places) else places
        if not found:
            return column
        values = [self._value(change, kind) for change in found]
        pool = pa.chunked_array([*column.chunks, hold(values, kind)], column.type)
        order = np.arange(len(column))
        order[places] = len(column) + np.arange(len(found))
        return pool.take(pa.array(order))

    def overtake(
        self,
        versions: pa.ChunkedArray | None,
        ids: pa.ChunkedArray,
        name: str,
        loaded: pa.ChunkedArray,
    ) -> pa.ChunkedArray | None:
        """The versions of overtaken changes after a load of `loaded` customers brought `name`."""
        found = self._by_name.get(name)
        if not found:
            return versions
        among = pc.is_in(pa.array([c.customer_id for c in found], ids.type), value_set=_one(loaded))
        found = [c for c, there in zip(found, among.to_pylist(), strict=True) if there]
        places, found = _places(found, ids)
        if not found:
            return versions
        held = np.zeros(len(ids), np.int64)
        if versions is not None:
            held[:] = pc.fill_null(versions, 0).to_numpy()
        held[places] = np.maximum(held[places], [c.version for c in found])
        return pa.chunked_array([pa.array(held, mask=held == 0)])

    def _value(self, change: Change, kind: AttributeType) -> Any:
        text = self._opened(change.customer_id, change.name, change.value.encode())
        return None if text is None else fitting(msgspec.json.decode(text), kind)


def fitting(value: Any, kind: AttributeType) -> Any:
    """A JSON value as `typing_columns.hold` takes it; None when it is not of the type."""
    if kind is AttributeType.DOUBLE and type(value) is int:
        return float(value)
    if kind is AttributeType.TIMESTAMP and type(value) is str:
        try:
            return from_text(kind)(value)
        except Unfit:
            return None
    if kind is AttributeType.INT and type(value) is int and not -(2**63) <= value < 2**63:
        return None
    return value if type(value) is _PYTHON.get(kind) else None


_PYTHON: dict[AttributeType, type] = {
    AttributeType.STRING: str,
    AttributeType.INT: int,
    AttributeType.DOUBLE: float,
    AttributeType.BOOL: bool,
}


def _places(
    found: list[Change], ids: pa.ChunkedArray
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], list[Change]]:
    """Rows of the changes' customers, and the changes of those that there are."""
    wanted = pa.array([c.customer_id for c in found], ids.type)
    # The changes are few, the customers many: the table of hashes is made of the few.
    rows = np.flatnonzero(np.asarray(pc.is_in(ids, value_set=wanted), dtype=np.bool_))
    place_of = dict(zip(ids.take(pa.array(rows)).to_pylist(), rows.tolist(), strict=True))
    known = [c for c in found if c.customer_id in place_of]
    return np.array([place_of[c.customer_id] for c in known], np.int64), known


def _one(chunked: pa.ChunkedArray) -> pa.Array:
    return chunked.combine_chunks()
