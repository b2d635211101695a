"""Types of whole columns at once: the same answers as `values`, from Arrow's kernels.

Each kernel is used only where its answer provably is the same; everything else goes through the
functions of `values`, once for each distinct text. None as an answer means that some value does
not fit: then the reader that names rows has to look.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wayfare_engine.customers.values import Unfit, from_text, looks_like, widest
from wayfare_engine.plan import AttributeType
from wayfare_engine.store.customer_base import HELD

_SAMPLE = 2000
_WHOLE = r"-?(0|[1-9][0-9]{0,17})"
_FRACTION = r"-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?"
#: Texts that look like numbers without being names of something (see `looks_like`).
_EXPONENT = r"[eE][-+]?[0-9]{1,3}"
_NUMBERS = (
    rf"^({_WHOLE}|-?((0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)({_EXPONENT})?"
    rf"|-?(0|[1-9][0-9]*){_EXPONENT})$"
)
_SECONDS = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"


def without_empty(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts with null for the empty ones."""
    return pc.if_else(pc.equal(pc.binary_length(texts), 0), pa.scalar(None, texts.type), texts)


def infer(texts: pa.ChunkedArray) -> AttributeType:
    """The narrowest type of all texts; empty ones are null already."""
    known = texts.drop_null()
    sample = _of_each(pc.unique(known.slice(0, _SAMPLE)))
    if sample is None or sample is AttributeType.STRING:
        return AttributeType.STRING
    if sample is AttributeType.INT and _whole_numbers(texts) is not None:
        return AttributeType.INT
    if sample in (AttributeType.INT, AttributeType.DOUBLE) and _all(known, _NUMBERS):
        floats = _finite(texts)
        if floats is not None:
            whole = pc.match_substring_regex(known, rf"^{_WHOLE}$")
            return AttributeType.INT if pc.all(whole).as_py() else AttributeType.DOUBLE
    if sample is AttributeType.TIMESTAMP and _seconds(texts) is not None:
        return AttributeType.TIMESTAMP
    return _of_each(pc.unique(known)) or AttributeType.STRING


def convert(texts: pa.ChunkedArray, kind: AttributeType) -> pa.ChunkedArray | None:
    """The values, of the type that holds `kind`; None when a text is not of the type."""
    if kind is AttributeType.STRING:
        return texts.cast(HELD[kind])
    quick = _QUICK.get(kind)
    found = quick(texts) if quick is not None else None
    return found if found is not None else _each_once(texts, kind)


def hold(values: list[Any], kind: AttributeType) -> pa.Array:
    """An array of values as `values` makes them (times are RFC 3339 texts)."""
    if kind is AttributeType.TIMESTAMP:
        values = [None if v is None else datetime.fromisoformat(v) for v in values]
    return pa.array(values, HELD[kind])


def in_years(times: pa.ChunkedArray | pa.Array) -> bool:
    """Whether every time is one that a calendar with years 1 to 9999 has."""
    if len(times) == times.null_count:
        return True
    bounds = pc.min_max(times.cast(pa.int64()))
    return bool(bounds["min"].as_py() >= -62135596800_000_000) and bool(
        bounds["max"].as_py() <= 253402300799_999_999
    )


def _of_each(distinct: pa.Array) -> AttributeType | None:
    found: AttributeType | None = None
    for text in distinct.to_pylist():
        found = widest(found, looks_like(text))
        if found is AttributeType.STRING:
            break
    return found


def _each_once(texts: pa.ChunkedArray, kind: AttributeType) -> pa.ChunkedArray | None:
    encoded = texts.dictionary_encode()
    if not encoded.num_chunks:
        return pa.chunked_array([], HELD[kind])
    converter = from_text(kind)
    # All chunks of an encoding share one dictionary.
    try:
        values = [converter(text) for text in encoded.chunk(0).dictionary.to_pylist()]
    except Unfit:
        return None
    held = hold(values, kind)
    return pa.chunked_array([held.take(c.indices) for c in encoded.chunks], HELD[kind])


def _whole_numbers(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Only texts that are written as the number itself would be: no sign, zeros or hexadecimals."""
    try:
        found = texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    return found if found.cast(texts.type).equals(texts) else None


def _floats(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    known = texts.drop_null()
    return _finite(texts) if _all(known, rf"^{_FRACTION}$") else None


def _finite(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    try:
        found = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    return found if pc.all(pc.is_finite(found)).as_py() is not False else None


def _seconds(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    if not _all(texts.drop_null(), _SECONDS):
        return None
    try:
        found = texts.cast(HELD[AttributeType.TIMESTAMP])
    except pa.ArrowInvalid:
        return None
    return found if in_years(found) else None


def _all(texts: pa.ChunkedArray, pattern: str) -> bool:
    first = texts.slice(0, _SAMPLE)
    for part in (first, texts):
        if pc.all(pc.match_substring_regex(part, pattern)).as_py() is False:
            return False
    return True


_QUICK = {
    AttributeType.INT: _whole_numbers,
    AttributeType.DOUBLE: _floats,
    AttributeType.TIMESTAMP: _seconds,
}
