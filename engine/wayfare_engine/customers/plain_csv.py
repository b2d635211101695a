"""Reading a clean CSV as whole columns of texts.

Arrow's reader and Python's differ in what they make of odd quotes, so a file goes this way only
when both must read it alike: every quote opens or closes a whole field, no field spans lines, no
NUL, no lone carriage return, UTF-8 throughout, the same number of fields in each row. Any other
file gives None, and is read row by row, so that what is wrong can be named.
"""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from wayfare_engine.customers.csv_file import CsvFile
from wayfare_engine.customers.problems import MAX_FIELD
from wayfare_engine.customers.source import Progress

_WINDOW = 16 * 1024 * 1024
_BLOCK = 8 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_QUOTE, _NEWLINE, _RETURN = 34, 10, 13


def read(file: CsvFile, progress: Progress) -> pa.Table | None:
    """All rows, every column as texts (empty ones are ""); None for a file that is not plain."""
    delimiter = file.delimiter
    if not delimiter.isascii() or delimiter in '"\r\n\0':
        return None
    if not _plain(file.path, ord(delimiter), progress):
        return None
    try:
        table = pa_csv.read_csv(
            file.path,
            read_options=pa_csv.ReadOptions(
                column_names=file.columns, skip_rows=1, block_size=_BLOCK
            ),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.large_string() for name in file.columns},
                strings_can_be_null=False,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError):
        return None
    if any(_longest(column) > MAX_FIELD for column in table.columns):
        return None
    return table


def _longest(texts: pa.ChunkedArray) -> int:
    return int(pc.max(pc.binary_length(texts)).as_py() or 0)


def _plain(path: Path, delimiter: int, progress: Progress) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        data = np.frombuffer(text, np.uint8)
        try:
            return _all_windows(text, data, delimiter, progress)
        finally:
            del data  # or the map could not be closed


def _all_windows(
    text: mmap.mmap,
    data: np.ndarray[tuple[int], np.dtype[np.uint8]],
    delimiter: int,
    progress: Progress,
) -> bool:
    begin = len(_BOM) if text[:3] == _BOM else 0
    edge = np.zeros(256, np.bool_)
    edge[[delimiter, _NEWLINE, _RETURN]] = True
    quotes_before = 0
    for start in range(begin, len(data), _WINDOW):
        stop = min(start + _WINDOW, len(data))
        window = text[start:stop]
        if b"\0" in window:
            return False
        # A pair may straddle windows, hence the byte more.
        if window.count(b"\r") != text[start : stop + 1].count(b"\r\n"):
            return False
        if b'"' in window:
            quotes = np.flatnonzero(data[start:stop] == _QUOTE)
            places = quotes + start
            opening = places[quotes_before % 2 :: 2]
            closing = places[1 - quotes_before % 2 :: 2]
            after_edge = (opening == begin) | edge[data[np.maximum(opening, 1) - 1]]
            at_end = closing == len(data) - 1
            before_edge = at_end | edge[data[np.minimum(closing + 1, len(data) - 1)]]
            if not (after_edge.all() and before_edge.all()):
                return False
            lines = np.flatnonzero(data[start:stop] == _NEWLINE)
            if ((np.searchsorted(quotes, lines) + quotes_before) % 2).any():
                return False
            quotes_before += len(quotes)
        elif quotes_before % 2:
            return False
        progress(stop)
    return quotes_before % 2 == 0
