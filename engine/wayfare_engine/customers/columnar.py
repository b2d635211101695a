"""A clean file as typed columns; None for a file in which some row may have to be named."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wayfare_engine.customers import plain_csv, typing_columns
from wayfare_engine.customers.csv_file import CsvFile
from wayfare_engine.customers.parquet_file import ParquetFile
from wayfare_engine.customers.problems import MAX_ID
from wayfare_engine.customers.source import Progress, Source
from wayfare_engine.plan import AttributeType
from wayfare_engine.store.customer_base import HELD, ID

T = TypeVar("T")
R = TypeVar("R")


class Columnar(Protocol):
    """A file whose rows are all well-formed."""

    def infer(self) -> list[AttributeType]:
        """The types of the columns."""

    def typed(self, kinds: Mapping[str, AttributeType], progress: Progress) -> pa.Table | None:
        """Columns of those types, as `customer_base.HELD` has them; None when a value is not."""


def open_columnar(source: Source, progress: Progress) -> Columnar | None:
    """The file for reading by columns; None when it has to be read row by row."""
    if isinstance(source, CsvFile):
        texts = plain_csv.read(source, progress)
        return _Texts(texts) if texts is not None else None
    if isinstance(source, ParquetFile):
        return _Parquet(source)
    return None


def identified(table: pa.Table, id_column: str | None) -> pa.Table | None:
    """The table with a first column `id` in place of `id_column` (or the row numbers, from 1);
    None when an id is missing, too long or there twice."""
    if id_column is None:
        numbers = pa.array(range(0), pa.int64()) if not table.num_rows else _numbers(table.num_rows)
        return table.add_column(0, ID, [numbers.cast(pa.large_string())])
    ids = table.column(id_column)
    if ids.null_count:
        return None
    if int(pc.max(pc.binary_length(ids)).as_py() or 0) > MAX_ID:
        return None
    if len(pc.unique(ids)) != len(ids):
        return None
    return table.drop_columns([id_column]).add_column(0, ID, ids)


def _numbers(count: int) -> pa.Array:
    import numpy as np

    return pa.array(np.arange(1, count + 1))


class _Texts:
    """A CSV's columns of texts. Each is let go once it is typed."""

    def __init__(self, table: pa.Table) -> None:
        self._rows = table.num_rows
        self._names = table.column_names
        columns = _each(typing_columns.without_empty, table.columns)
        self._columns = dict(zip(self._names, columns, strict=True))

    def infer(self) -> list[AttributeType]:
        return _each(typing_columns.infer, list(self._columns.values()))

    def typed(self, kinds: Mapping[str, AttributeType], progress: Progress) -> pa.Table | None:
        made: dict[str, pa.ChunkedArray] = {}
        found = _each(
            lambda name: typing_columns.convert(self._columns.pop(name), kinds[name]), self._names
        )
        for name, column in zip(self._names, found, strict=True):
            if column is None:
                return None
            made[name] = column
        return pa.table(made)


class _Parquet:
    """A Parquet file; what its own types do not lead to straight away is read row by row."""

    def __init__(self, file: ParquetFile) -> None:
        self._file = file

    def infer(self) -> list[AttributeType]:
        return self._file.infer(lambda _: None)

    def typed(self, kinds: Mapping[str, AttributeType], progress: Progress) -> pa.Table | None:
        try:
            table = pq.read_table(self._file.path)
        except (pa.ArrowException, OSError):
            return None
        progress(self._file.path.stat().st_size)
        made = _each(lambda name: _native(table.column(name), kinds[name]), table.column_names)
        if any(column is None for column in made):
            return None
        return pa.table(dict(zip(table.column_names, made, strict=True)))


def _native(column: pa.ChunkedArray, kind: AttributeType) -> pa.ChunkedArray | None:
    """A column of a Parquet file as `kind`, where Arrow's conversion is ours; else None."""
    held = HELD[kind]
    of = pa.types
    if of.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        if of.is_null(column.type):
            return column.cast(held)
        if of.is_string(column.type) or of.is_large_string(column.type):
            return _native_texts(column, kind)
        if of.is_integer(column.type) and kind is AttributeType.INT:
            return column.cast(held)
        if of.is_integer(column.type) and kind is AttributeType.DOUBLE:
            return column.cast(held, safe=False)
        if of.is_floating(column.type) and kind is AttributeType.DOUBLE:
            found = column.cast(held)
            return found if pc.all(pc.is_finite(found)).as_py() is not False else None
        if of.is_boolean(column.type) and kind is AttributeType.BOOL:
            return column
        if kind is AttributeType.TIMESTAMP and (
            of.is_date32(column.type)
            or (of.is_timestamp(column.type) and column.type.unit in ("s", "ms", "us"))
        ):
            zone = column.type.tz if of.is_timestamp(column.type) else None
            moved = column.cast(pa.timestamp("us", tz=zone)).cast(held)
            return moved if typing_columns.in_years(moved) else None
    except pa.ArrowInvalid:
        return None
    return None


def _native_texts(column: pa.ChunkedArray, kind: AttributeType) -> pa.ChunkedArray | None:
    column.validate(full=True)
    texts = column.cast(pa.large_string())
    if pc.any(pc.match_substring(texts, "\0")).as_py():
        return None
    return typing_columns.convert(typing_columns.without_empty(texts), kind)


def _each(do: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """One after the other on as many threads as there are cores: Arrow lets Python go on."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        return list(threads.map(do, items))
