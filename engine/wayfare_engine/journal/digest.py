"""The digest of rows: of their values, not of the bytes of a file that holds them.

Another version of a Parquet writer makes other bytes of the same rows; two sealers of one intent
still have to agree that they sealed the same. So the digest is of this text: for each block of
`BLOCK` rows and each column in the order of the schema, one byte a row that is 1 where there is a
value; then, for text, the lengths as 32-bit little-endian numbers, and the values' bytes, numbers
little-endian, with nothing for a null's text and zero for its number.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BLOCK = 65_536


class RowsDigest:
    """SHA-256 over blocks of rows; every block but the last has `BLOCK` rows."""

    def __init__(self, *words: str) -> None:
        self._hash = hashlib.sha256("\0".join(words).encode() + b"\0")

    def add(self, block: pa.Table) -> None:
        """Add a block's columns, whose types are those of `segment.ROWS`."""
        self._hash.update(block.num_rows.to_bytes(8, "little"))
        for column in block.columns:
            array = pa.concat_arrays(column.chunks) if column.num_chunks else column
            self._hash.update(np.asarray(array.is_valid()).tobytes())
            for part in _parts(array):
                self._hash.update(part)

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return self._hash.hexdigest()


def _parts(array: pa.Array) -> list[Any]:
    kind = array.type
    if pa.types.is_string(kind):
        array = pc.fill_null(array, "")
        offsets = np.frombuffer(array.buffers()[1], np.int32)[
            array.offset : array.offset + len(array) + 1
        ]
        start, end = (int(offsets[0]), int(offsets[-1])) if len(array) else (0, 0)
        data = array.buffers()[2]
        return [
            np.diff(offsets).astype("<u4"),
            b"" if data is None else memoryview(data)[start:end],
        ]
    if pa.types.is_fixed_size_binary(kind):
        width = kind.byte_width
        start = array.offset * width
        return [memoryview(array.buffers()[1])[start : start + len(array) * width]]
    numbers = array if pa.types.is_integer(kind) else array.cast(pa.int64())
    zero = pa.scalar(0, numbers.type)
    return [np.ascontiguousarray(np.asarray(pc.fill_null(numbers, zero))).astype("<i8")]
