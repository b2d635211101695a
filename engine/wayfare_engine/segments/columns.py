"""Customers as columns: one numpy array a column, with a mask of what is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wayfare_engine.plan import Attribute, AttributeType, Schema, times

Mask: TypeAlias = npt.NDArray[np.bool_]

_NUMPY: dict[AttributeType, type[np.generic]] = {
    AttributeType.INT: np.int64,
    AttributeType.DOUBLE: np.float64,
    AttributeType.BOOL: np.bool_,
    AttributeType.TIMESTAMP: np.int64,
    AttributeType.STRING: np.int32,
}


@dataclass(frozen=True, slots=True)
class Column:
    """One attribute of all customers.

    values: int64, float64, bool; int64 microseconds since 1970 for timestamps; int32 codes into
    `texts` for strings. Where `known` is false the value is 0 and means nothing.
    """

    type: AttributeType
    values: npt.NDArray[Any]
    known: Mask
    texts: tuple[str, ...] = ()


class Columns:
    """All customers of an engine, in the order of their dense ids.

    dense: uint32, one id a customer; membership bitmaps hold these.
    """

    def __init__(
        self,
        customer_ids: Sequence[str],
        columns: Mapping[str, Column],
        dense: npt.NDArray[np.uint32] | None = None,
    ) -> None:
        """Raises ValueError when lengths differ."""
        self.customer_ids = customer_ids
        self.columns = dict(columns)
        given = np.arange(len(customer_ids), dtype=np.uint32) if dense is None else dense
        self.dense: npt.NDArray[np.uint32] = given
        lengths = {len(given), *(len(column.values) for column in columns.values())}
        if lengths != {len(customer_ids)}:
            raise ValueError(f"columns have different lengths: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.customer_ids)

    @cached_property
    def position(self) -> Mapping[str, int]:
        """Position by customer id; about 100 bytes a customer, made when first asked for."""
        return {customer: position for position, customer in enumerate(self.customer_ids)}

    @cached_property
    def capacity(self) -> int:
        """One more than the largest dense id."""
        return int(self.dense.max()) + 1 if len(self.dense) else 0

    @classmethod
    def from_rows(
        cls,
        schema: Schema,
        rows: Iterable[tuple[str, Mapping[str, Any]]],
        dense: npt.NDArray[np.uint32] | None = None,
    ) -> Columns:
        """From (customer id, attributes); absent and None are unknown. See `column` for values."""
        customer_ids: list[str] = []
        cells: dict[str, list[Any]] = {attribute.name: [] for attribute in schema.attributes}
        filled = list(cells.items())
        for customer, attributes in rows:
            customer_ids.append(customer)
            for name, values in filled:
                values.append(attributes.get(name))
        made = {a.name: column(a, cells.pop(a.name)) for a in schema.attributes}
        return cls(customer_ids, made, dense)

    @classmethod
    def from_arrow(
        cls,
        schema: Schema,
        table: pa.Table,
        *,
        id_column: str,
        dense: npt.NDArray[np.uint32] | None = None,
    ) -> Columns:
        """From an Arrow table with a column for each attribute; a missing one is unknown."""
        names = set(table.column_names)
        made = {
            attribute.name: arrow_column(attribute, table.column(attribute.name))
            if attribute.name in names
            else column(attribute, [None] * table.num_rows)
            for attribute in schema.attributes
        }
        return cls(ArrowTexts(table.column(id_column)), made, dense)


class ArrowTexts(Sequence[str]):
    """Texts of an Arrow column, made into Python's only when they are asked for."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return str(self._column[index].as_py())

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self._column), 65536):
            yield from self._column.slice(start, 65536).to_pylist()


def column(attribute: Attribute, values: Sequence[Any]) -> Column:
    """A column from Python values; None is unknown.

    Timestamps may be datetimes with an offset, or RFC 3339 texts. Raises ValueError or TypeError
    when a value is not of the attribute's type.
    """
    known = np.fromiter((value is not None for value in values), np.bool_, len(values))
    kind = attribute.type
    if kind is AttributeType.STRING:
        codes: dict[str, int] = {}
        found = np.zeros(len(values), np.int32)
        for position, value in enumerate(values):
            if value is not None:
                found[position] = codes.setdefault(value, len(codes))
        return _ordered(found, known, tuple(codes))
    if kind is AttributeType.TIMESTAMP:
        values = [None if value is None else _microseconds(value) for value in values]
    array = np.fromiter(
        (0 if value is None else value for value in values), _NUMPY[kind], len(values)
    )
    return Column(kind, array, known)


def _microseconds(value: Any) -> int:
    moment = value if isinstance(value, datetime) else times.parse(value)
    return times.epoch_microseconds(moment)


def _ordered(codes: npt.NDArray[np.int32], known: Mask, texts: tuple[str, ...]) -> Column:
    """A string column whose codes follow the texts' order, so that `<` can compare codes."""
    order = sorted(range(len(texts)), key=texts.__getitem__)
    rank = np.zeros(max(len(texts), 1), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    found = rank[codes]
    found[~known] = 0
    return Column(AttributeType.STRING, found, known, tuple(texts[i] for i in order))


_ARROW: dict[AttributeType, pa.DataType] = {
    AttributeType.INT: pa.int64(),
    AttributeType.DOUBLE: pa.float64(),
    AttributeType.BOOL: pa.bool_(),
    AttributeType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
}


def arrow_column(attribute: Attribute, chunked: pa.ChunkedArray) -> Column:
    """A column from an Arrow one; null is unknown. Raises pyarrow.ArrowInvalid for other types."""
    known = np.asarray(chunked.is_valid().to_numpy(), dtype=np.bool_)
    if attribute.type is AttributeType.STRING:
        # One dictionary for all chunks, and no chunk with more text than its offsets can hold.
        chunks = chunked.dictionary_encode().chunks
        codes = [pc.fill_null(c.indices, 0).to_numpy(zero_copy_only=False) for c in chunks]
        texts = tuple(chunks[0].dictionary.to_pylist()) if chunks else ()
        joined = np.concatenate(codes) if codes else np.zeros(0, np.int32)
        return _ordered(joined.astype(np.int32), known, texts)
    array = chunked.cast(_ARROW[attribute.type]).combine_chunks()
    if attribute.type is AttributeType.TIMESTAMP:
        array = array.cast(pa.int64())
    empty = False if attribute.type is AttributeType.BOOL else 0
    values = pc.fill_null(array, empty).to_numpy(zero_copy_only=False)
    return Column(attribute.type, values.astype(_NUMPY[attribute.type]), known)
