"""Reading CSV: any of four delimiters, quoted, UTF-8, each problem with its line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from wayfare_engine.customers.problems import MAX_FIELD, BadRow, ImportRefused
from wayfare_engine.customers.source import Progress, Row, check_columns
from wayfare_engine.customers.values import Unfit, from_text, looks_like, widest
from wayfare_engine.plan import AttributeType

_DELIMITERS = ",;\t|"


class CsvFile:
    """A CSV file on disk; the first row names the columns."""

    def __init__(self, path: Path, *, delimiter: str | None) -> None:
        """Reads the first row. Raises ImportRefused."""
        csv.field_size_limit(MAX_FIELD)
        self.path = path
        with path.open("rb") as file:
            first = file.readline(4 * 1024 * 1024)
        if not first.strip():
            raise ImportRefused("the file is empty", "its first line must name the columns")
        if first.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise ImportRefused("the file is UTF-16", "save it as UTF-8 (in Excel: CSV UTF-8)")
        try:
            header = first.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ImportRefused(
                f"line 1 has bytes that are not UTF-8 (at byte {error.start + 1})",
                "convert the file, for example: iconv -f WINDOWS-1252 -t UTF-8",
            ) from None
        if "\0" in header:
            raise ImportRefused("this is no text file", "expected CSV or Parquet")
        self.delimiter = delimiter or _sniff(header)
        with path.open("rb") as file:
            try:
                names = next(self._reader(file))
            except csv.Error as error:
                raise ImportRefused(
                    f"the first line cannot be read: {_csv_message(error)}",
                    "it must name the columns",
                ) from None
        self.columns = check_columns([name.strip() for name in names])

    def infer(self, progress: Progress) -> list[AttributeType]:
        """The narrowest type of each column over the whole file."""
        types: list[AttributeType | None] = [None] * len(self.columns)
        # Once a column is text it stays so; most columns settle after a few rows.
        open_columns = list(range(len(types)))
        for _, values in self._records(progress):
            if isinstance(values, BadRow):
                continue
            for i in open_columns:
                text = values[i]
                if text:
                    kind = types[i] = widest(types[i], looks_like(text))
                    if kind is AttributeType.STRING:
                        open_columns = [c for c in open_columns if c != i]
        return [kind or AttributeType.STRING for kind in types]

    def rows(self, types: Sequence[AttributeType], progress: Progress) -> Iterator[Row | BadRow]:
        """Each row with its values as JSON can hold them."""
        converters = [from_text(kind) for kind in types]
        for line, values in self._records(progress):
            if isinstance(values, BadRow):
                yield values
                continue
            try:
                yield Row(line, [c(v) for c, v in zip(converters, values, strict=True)])
            except Unfit:
                yield BadRow(line, _which(self.columns, converters, values))

    def _records(self, progress: Progress) -> Iterator[tuple[int, list[str] | BadRow]]:
        width = len(self.columns)
        with self.path.open("rb") as file:
            reader = self._reader(file)
            next(reader)
            before = reader.line_num
            count = 0
            while True:
                line = before + 1
                try:
                    values = next(reader)
                except StopIteration:
                    break
                except csv.Error as error:
                    yield line, BadRow(line, _csv_message(error))
                    before = reader.line_num
                    continue
                before = reader.line_num
                count += 1
                if count % 2000 == 0:
                    progress(file.tell())
                if not values:
                    continue
                if len(values) != width:
                    yield line, BadRow(line, f"{len(values)} fields, the first line has {width}")
                elif any("\udc80" <= c <= "\udcff" for v in values if not v.isascii() for c in v):
                    yield line, BadRow(line, "bytes that are not UTF-8")
                else:
                    yield line, values
            progress(file.tell())

    def _reader(self, file: BinaryIO) -> Any:
        def lines() -> Iterator[str]:
            for number, raw in enumerate(iter(lambda: file.readline(1 << 20), b"")):
                # Bytes that are not UTF-8 pass through, so that their row can be named.
                yield raw.decode("utf-8-sig" if number == 0 else "utf-8", "surrogateescape")

        return csv.reader(lines(), delimiter=self.delimiter, strict=True)


def _sniff(header: str) -> str:
    outside = "".join(header.split('"')[::2])
    return max(_DELIMITERS, key=lambda d: (outside.count(d), -_DELIMITERS.index(d)))


def _which(columns: Sequence[str], converters: Sequence[Any], values: Sequence[str]) -> str:
    for name, convert, value in zip(columns, converters, values, strict=True):
        try:
            convert(value)
        except Unfit as error:
            shown = value if len(value) <= 40 else value[:37] + "…"
            return f"{name}: {shown!r} is not {error}"
    raise AssertionError("one of them was unfit")


def _csv_message(error: csv.Error) -> str:
    text = str(error)
    if "field larger than field limit" in text:
        return f"a field is larger than {MAX_FIELD} bytes (a quote that was never closed?)"
    if "unexpected end of data" in text:
        return "a quote that was never closed"
    if "new-line character" in text:
        return "a carriage return without a newline"
    return text
