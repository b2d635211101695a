"""Any file, row by row, into the same columns: slower, and each bad row is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import pyarrow as pa

from wayfare_engine.customers.problems import MAX_ID, BadRow
from wayfare_engine.customers.source import Progress, Source
from wayfare_engine.customers.typing_columns import hold
from wayfare_engine.plan import AttributeType
from wayfare_engine.store.customer_base import HELD, ID

_BATCH = 5000
_SHOWN = 100


@dataclass
class Read:
    """What a file held. `bad` has the first of `bad_rows`; `table` has `id` and a column each."""

    table: pa.Table
    bad_rows: int = 0
    bad: list[BadRow] = field(default_factory=list)


def read(
    source: Source,
    kinds: Mapping[str, AttributeType],
    *,
    id_column: str | None,
    on_error: Literal["stop", "skip"],
    progress: Progress,
) -> Read:
    """All good rows. After a bad one with `stop` the others are only looked at for more."""
    names = [name for name in source.columns if name != id_column]
    schema = pa.schema([(ID, pa.large_string()), *((n, HELD[kinds[n]]) for n in names)])
    found = Read(schema.empty_table())
    batches: list[pa.RecordBatch] = []
    rows = _identified(source, kinds, id_column, progress)
    good = _good(rows, found, on_error)
    while batch := list(islice(good, _BATCH)):
        columns = [list(column) for column in zip(*batch, strict=True)]
        arrays = [pa.array(columns[0], pa.large_string())]
        arrays += [hold(c, kinds[n]) for c, n in zip(columns[1:], names, strict=True)]
        batches.append(pa.record_batch(arrays, schema=schema))
    found.table = pa.Table.from_batches(batches, schema)
    return found


def _good(
    rows: Iterator[list[Any] | BadRow], found: Read, on_error: Literal["stop", "skip"]
) -> Iterator[list[Any]]:
    for row in rows:
        if isinstance(row, BadRow):
            found.bad_rows += 1
            if len(found.bad) < _SHOWN:
                found.bad.append(row)
        elif not (found.bad_rows and on_error == "stop"):
            yield row


def _identified(
    source: Source,
    kinds: Mapping[str, AttributeType],
    id_column: str | None,
    progress: Progress,
) -> Iterator[list[Any] | BadRow]:
    """Each row's values with the customer's id in front."""
    names = source.columns
    at = names.index(id_column) if id_column is not None else None
    seen: dict[str, int] = {}
    for number, item in enumerate(source.rows([kinds[n] for n in names], progress), 1):
        if isinstance(item, BadRow):
            yield item
            continue
        customer = str(number) if at is None else item.values[at]
        problem = _id_problem(customer, seen)
        if problem is not None:
            yield BadRow(item.line, problem)
            continue
        seen[customer] = item.line
        yield [customer, *_without(item.values, at)]


def _without(values: Sequence[Any], at: int | None) -> Sequence[Any]:
    return values if at is None else [*values[:at], *values[at + 1 :]]


def _id_problem(customer: str | None, seen: Mapping[str, int]) -> str | None:
    if not customer:
        return "the customer's id is empty"
    if len(customer) > MAX_ID:
        return f"the customer's id is longer than {MAX_ID} characters"
    if customer in seen:
        return f"the customer's id {customer!r} is also on line {seen[customer]}"
    return None
