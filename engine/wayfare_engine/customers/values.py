"""Types of values: what a text looks like, and a text or a Parquet value as JSON can hold it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from wayfare_engine.plan import AttributeType

_INT = re.compile(r"-?(0|[1-9][0-9]{0,18})\Z").match
_DOUBLE = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?\Z").match
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]").match
_BOOL = frozenset({"true", "false", "True", "False", "TRUE", "FALSE"})
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[-+][0-9]{2}:?[0-9]{2})?)?\Z"
).match
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


class Unfit(ValueError):
    """The value is not of the type; its text says what would be."""


def looks_like(text: str) -> AttributeType:
    """The narrowest type of one non-empty text. Numbers with leading zeros stay texts."""
    if _INT(text) and _LOWEST <= int(text) <= _HIGHEST:
        return AttributeType.INT
    if text.isascii() and text.lstrip("+-").isdigit():
        return AttributeType.STRING  # an account's number, say: a double would round it
    if _DOUBLE(text) and not _LEADING_ZERO(text) and math.isfinite(float(text)):
        return AttributeType.DOUBLE
    if text in _BOOL:
        return AttributeType.BOOL
    if _TIME(text) and _time_or_none(text) is not None:
        return AttributeType.TIMESTAMP
    return AttributeType.STRING


def widest(one: AttributeType | None, other: AttributeType) -> AttributeType:
    """The narrowest type that holds both."""
    if one is None or one == other:
        return other
    if {one, other} == {AttributeType.INT, AttributeType.DOUBLE}:
        return AttributeType.DOUBLE
    return AttributeType.STRING


def from_text(kind: AttributeType) -> Callable[[str], Any]:
    """A function from a CSV field to a JSON value; empty is null. It raises Unfit."""
    return _FROM_TEXT[kind]


def from_native(kind: AttributeType) -> Callable[[Any], Any]:
    """The same for values that Parquet already typed."""

    def convert(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, datetime):
            value = _iso(value)
        elif isinstance(value, date):
            value = _iso(datetime(value.year, value.month, value.day, tzinfo=UTC))
        elif isinstance(value, Decimal):
            value = float(value)
        elif isinstance(value, bytes):
            value = value.decode()
        if kind is AttributeType.DOUBLE and isinstance(value, int | float):
            if isinstance(value, bool) or not math.isfinite(value):
                raise Unfit("a finite number")
            return float(value)
        if kind is AttributeType.INT and isinstance(value, int) and not isinstance(value, bool):
            if _LOWEST <= value <= _HIGHEST:
                return value
            raise Unfit("a whole number of 64 bits")
        if kind is AttributeType.BOOL and isinstance(value, bool):
            return value
        if isinstance(value, bool):
            value = str(value).lower()
        return _FROM_TEXT[kind](str(value))

    return convert


def _text(text: str) -> str | None:
    if not text:
        return None
    if "\0" in text:
        raise Unfit("a text without NUL characters")
    return text


def _int(text: str) -> int | None:
    if not text:
        return None
    if not _INT(text) and not re.fullmatch(r"[-+]?[0-9]{1,19}", text):
        raise Unfit("a whole number")
    value = int(text)
    if not _LOWEST <= value <= _HIGHEST:
        raise Unfit("a whole number of 64 bits")
    return value


def _double(text: str) -> float | None:
    if not text:
        return None
    if not _DOUBLE(text):
        raise Unfit("a number")
    value = float(text)
    if not math.isfinite(value):
        raise Unfit("a finite number")
    return value


def _bool(text: str) -> bool | None:
    if not text:
        return None
    if text not in _BOOL:
        raise Unfit("true or false")
    return text.lower() == "true"


def _timestamp(text: str) -> str | None:
    if not text:
        return None
    value = _time_or_none(text) if _TIME(text) else None
    if value is None:
        raise Unfit("a time such as 2026-11-23 or 2026-11-23T09:30:00Z")
    return _iso(value)


def _time_or_none(text: str) -> datetime | None:
    try:
        value = datetime.fromisoformat(text)
        return value if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _iso(value: datetime) -> str:
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return aware.isoformat().replace("+00:00", "Z")


_FROM_TEXT: dict[AttributeType, Callable[[str], Any]] = {
    AttributeType.STRING: _text,
    AttributeType.INT: _int,
    AttributeType.DOUBLE: _double,
    AttributeType.BOOL: _bool,
    AttributeType.TIMESTAMP: _timestamp,
}
