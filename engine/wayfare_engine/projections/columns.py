"""Folds as columns, in the declared order, and single values as PostgreSQL takes them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from typing import Any, Final

from wayfare_engine.projections.declared import Column, Projection, Rule
from wayfare_engine.projections.feeds import DAY, HOUR
from wayfare_engine.projections.prepared import Folds, Key

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY: Final = date(1970, 1, 1)


def as_columns(folds: Folds, keys: Sequence[Key]) -> list[list[Any]]:
    """One list a column, the rows in the order of `keys` (at least one)."""
    projection, states = folds.projection, folds.states
    columns = _turned(keys, len(projection.key))
    if len(projection.parts) == 1:
        values = [states[key] for key in keys]
        if isinstance(values[0], int):
            return [*columns, values]
        return columns + _turned(values, len(projection.parts[0].columns))
    for i, part in enumerate(projection.parts):
        if part.rule is Rule.SUM:
            columns.append([states[key][i] for key in keys])
            continue
        absent = tuple(column.absent for column in part.columns)
        columns += _turned([states[key][i] or absent for key in keys], len(part.columns))
    return columns


def _turned(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    # Not `zip(*rows)`: that makes an iterator a row.
    return [[row[i] for row in rows] for i in range(width)]


def in_order(keys: Iterable[Key], width: int) -> list[Key]:
    """Keys as PostgreSQL orders them (text by its bytes)."""
    # Comparing what is in tuples of one is twice as fast as comparing the tuples.
    return sorted(keys, key=itemgetter(0)) if width == 1 else sorted(keys)


def limit(projection: Projection, before: int) -> int:
    """The last value of the retained column that no longer counts when `before` (µs) does not.

    An hour or a day goes when all of it is before the cutoff.
    """
    if projection.retained_by == "day":
        return before // DAY - 1
    return before - (HOUR if projection.retained_by == "hour" else 1)


def given(column: Column, values: Sequence[Any]) -> list[Any]:
    """Values as psycopg sends them in an array of the column's type."""
    match column.type:
        case "timestamptz":
            return [None if v is None else _EPOCH + timedelta(microseconds=v) for v in values]
        case "date":
            return [_FIRST_DAY + timedelta(days=v) for v in values]
        case "uuid":
            return [None if v is None else uuid.UUID(bytes=v) for v in values]
    return list(values)
