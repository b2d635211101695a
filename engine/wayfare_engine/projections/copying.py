"""Columns of Python values as the payload of a binary COPY, without a call a row.

The payload is put together by Arrow: each field is its length (4 bytes, -1 for NULL) and its value,
big-endian, as PostgreSQL's binary format has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wayfare_engine.projections.declared import Column

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
#: Microseconds and days from 1970 to 2000, where PostgreSQL counts from.
_MICROSECONDS_2000: Final = 946_684_800_000_000
_DAYS_2000: Final = 10_957
_NULL: Final = pa.scalar(b"\xff\xff\xff\xff", pa.binary())
_WIDTHS: Final = {"bigint": 8, "int": 4, "boolean": 1, "timestamptz": 8, "date": 4, "uuid": 16}
#: Rows that are put together at a time, which bounds the memory.
_ROWS: Final = 50_000


def payload(columns: Sequence[Column], values: Sequence[Sequence[Any]]) -> Iterator[memoryview]:
    """`values` has a sequence a column: text as str, times as µs and days as days since 1970."""
    yield memoryview(HEADER)
    count = len(values[0])
    for start in range(0, count, _ROWS):
        yield _rows(columns, [column[start : start + _ROWS] for column in values])
    yield memoryview(TRAILER)


def _rows(columns: Sequence[Column], values: Sequence[Sequence[Any]]) -> memoryview:
    parts: list[Any] = [pa.scalar(len(columns).to_bytes(2, "big"), pa.binary())]
    # Columns of a fixed width that stand together make one field of bytes.
    placed = zip(columns, values, strict=True)
    for fixed, group in groupby(placed, lambda c: c[0].type in _WIDTHS and None not in c[1]):
        if fixed:
            parts.append(_fixed(list(group)))
            continue
        for column, some in group:
            parts += _nullable(column, some) if column.type in _WIDTHS else _text(some)
    joined = pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.binary()))
    return memoryview(_data(joined))


def _fixed(group: Sequence[tuple[Column, Sequence[Any]]]) -> pa.Array:
    fields: list[tuple[str, str]] = []
    for i, (column, _) in enumerate(group):
        fields += [(f"n{i}", ">i4"), (f"v{i}", _dtype(column))]
    count = len(group[0][1])
    rows = np.empty(count, np.dtype(fields))
    for i, (column, values) in enumerate(group):
        rows[f"n{i}"] = _WIDTHS[column.type]
        rows[f"v{i}"] = _numbers(column, values)
    return _binary(rows)


def _nullable(column: Column, values: Sequence[Any]) -> list[pa.Array]:
    absent = np.fromiter((value is None for value in values), bool, len(values))
    zero = bytes(16) if column.type == "uuid" else 0
    filled = [zero if value is None else value for value in values]
    return [pc.if_else(pa.array(absent), _NULL, _fixed([(column, filled)]))]


def _text(values: Sequence[Any]) -> list[pa.Array]:
    data = pa.array(values, pa.string()).cast(pa.binary())
    lengths = pc.fill_null(pc.binary_length(data), -1).to_numpy(zero_copy_only=False)
    return [_binary(lengths.astype(">i4")), pc.fill_null(data, b"")]


def _numbers(column: Column, values: Sequence[Any]) -> Any:
    if column.type == "uuid":
        return np.frombuffer(b"".join(values), dtype="V16")
    numbers = np.array(values, dtype=np.int64)
    if column.type == "timestamptz":
        numbers -= _MICROSECONDS_2000
    elif column.type == "date":
        numbers -= _DAYS_2000
    return numbers


def _dtype(column: Column) -> str:
    if column.type == "uuid":
        return "V16"
    return f">i{_WIDTHS[column.type]}" if column.type != "boolean" else "u1"


def _binary(rows: Any) -> pa.Array:
    fixed = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(rows.dtype.itemsize), len(rows), [None, pa.py_buffer(rows.tobytes())]
    )
    return fixed.cast(pa.binary())


def _data(joined: pa.Array) -> Any:
    _, offsets, data = joined.buffers()
    ends = np.frombuffer(offsets, np.int32)[joined.offset : joined.offset + len(joined) + 1]
    return memoryview(data)[int(ends[0]) : int(ends[-1])]
