"""Reading Parquet: types come with the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wayfare_engine.customers.problems import BadRow, ImportRefused
from wayfare_engine.customers.source import Progress, Row, check_columns
from wayfare_engine.customers.values import Unfit, from_native
from wayfare_engine.plan import AttributeType

MAGIC = b"PAR1"
_BATCH = 5000


class ParquetFile:
    """A Parquet file on disk."""

    def __init__(self, path: Path) -> None:
        """Reads the footer. Raises ImportRefused."""
        self.path = path
        try:
            with pq.ParquetFile(path) as file:
                self._schema = file.schema_arrow
                self._count = file.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            raise ImportRefused(f"the Parquet file cannot be read: {error}") from None
        self.columns = check_columns(list(self._schema.names))

    def infer(self, progress: Progress) -> list[AttributeType]:
        """The types that the file declares. Raises ImportRefused for a nested one."""
        progress(self.path.stat().st_size)
        return [_kind(field) for field in self._schema]

    def rows(self, types: Sequence[AttributeType], progress: Progress) -> Iterator[Row | BadRow]:
        """Each row with its values as JSON can hold them."""
        converters = [from_native(kind) for kind in types]
        size = self.path.stat().st_size
        line = 0
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                columns = [column.to_pylist() for column in batch.columns]
                for values in zip(*columns, strict=True):
                    line += 1
                    try:
                        converted = [c(v) for c, v in zip(converters, values, strict=True)]
                    except (Unfit, UnicodeDecodeError):
                        yield BadRow(line, _which(self.columns, converters, values))
                    else:
                        yield Row(line, converted)
                progress(size * line // max(self._count, 1))


def _which(columns: Sequence[str], converters: Sequence[Any], values: Sequence[Any]) -> str:
    for name, convert, value in zip(columns, converters, values, strict=True):
        try:
            convert(value)
        except Unfit as error:
            return f"{name}: {repr(value)[:60]} is not {error}"
        except UnicodeDecodeError:
            return f"{name}: bytes that are not UTF-8"
    raise AssertionError("one of them was unfit")


def _kind(field: pa.Field) -> AttributeType:
    kind = field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_boolean(kind):
        return AttributeType.BOOL
    if pa.types.is_integer(kind):
        return AttributeType.INT
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return AttributeType.DOUBLE
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return AttributeType.TIMESTAMP
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return AttributeType.STRING
    raise ImportRefused(
        f"column {field.name!r} is of type {field.type}, which an attribute cannot hold",
        "leave it out, or flatten it into columns of texts, numbers, booleans or times",
    )
