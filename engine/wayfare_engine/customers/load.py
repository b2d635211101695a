"""One load: read, type, stage, merge. Run again with the same file it changes nothing."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import msgspec
from psycopg import AsyncConnection

from wayfare_engine.customers.csv_file import CsvFile
from wayfare_engine.customers.merge import Staged, merge, stage
from wayfare_engine.customers.parquet_file import MAGIC, ParquetFile
from wayfare_engine.customers.problems import MAX_ID, BadRow, ImportRefused
from wayfare_engine.customers.source import Progress, Row, Source
from wayfare_engine.plan import AttributeType, Plan
from wayfare_engine.store import customers as customers_sql
from wayfare_engine.store import plans as plans_sql

_BATCH = 5000
_SHOWN = 100
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True)
class LoadOptions:
    """How to read the file. `id_column` None: the row number, from 1, is the customer's id.
    `declared` are types that the engine declares; None takes those of its wanted plan."""

    name: str
    id_column: str | None = None
    types: Mapping[str, AttributeType] | None = None
    declared: Mapping[str, AttributeType] | None = None
    delimiter: str | None = None
    on_error: Literal["stop", "skip"] = "stop"
    site: str = "local"
    epoch: int = 1


@dataclass(frozen=True)
class Column:
    """A column and where its type comes from: given, declared, stored or inferred."""

    name: str
    type: AttributeType
    source: str
    addressable: bool


@dataclass(frozen=True)
class LoadResult:
    """What a load did. `bad` has the first of `bad_rows` rows."""

    file: str
    digest: str
    rows: int
    added: int
    changed: int
    unchanged: int
    bad_rows: int
    bad: tuple[BadRow, ...]
    customers: int
    customers_version: int
    columns: tuple[Column, ...]


async def load(
    connection: AsyncConnection[Any],
    path: Path,
    options: LoadOptions,
    *,
    now: datetime,
    row_id: uuid.UUID,
    show: Callable[[Sequence[Column]], None],
    progress: Callable[[str], Progress],
) -> LoadResult:
    """Load `path` into the tables. `connection` is in autocommit mode.

    `show` gets the columns before anything is written, `progress(step)` gives the callback of a
    step. Raises ImportRefused, and then nothing was changed.
    """
    source = open_source(path, options.delimiter)
    if options.id_column is not None and options.id_column not in source.columns:
        raise ImportRefused(
            f"there is no column {options.id_column!r} for the customers' ids",
            f"the columns are: {', '.join(source.columns[:40])}",
        )
    inferred = source.infer(progress("reading types"))
    columns = await _types(connection, source.columns, inferred, options)
    show(columns)

    bad: list[BadRow] = []
    count_bad = 0

    def good() -> Iterator[Staged]:
        nonlocal count_bad
        for item in _identified(source, columns, options, progress("loading")):
            if isinstance(item, BadRow):
                count_bad += 1
                if len(bad) < _SHOWN:
                    bad.append(item)
            elif not (count_bad and options.on_error == "stop"):
                yield item

    rows = 0
    batches = good()
    await stage(connection, [])
    while batch := list(islice(batches, _BATCH)):
        await stage(connection, batch)
        rows += len(batch)
    if count_bad and options.on_error == "stop":
        raise ImportRefused(
            f"{count_bad} bad row{'s' if count_bad > 1 else ''}; nothing was loaded",
            "correct them, or load the others with --on-error skip",
            tuple(bad),
        )
    if rows == 0:
        raise ImportRefused("the file has no rows that can be loaded", "", tuple(bad))

    digest = "sha256:" + _digest(path)
    kept = [c for c in columns if c.name != options.id_column]
    merged = await merge(
        connection,
        [(c.name, c.type.value) for c in kept],
        facts={
            "file": options.name,
            "digest": digest,
            "rows": rows,
            "bad_rows": count_bad,
            "id": options.id_column,
            "mapping": {c.name: c.type.value for c in kept},
        },
        row_id=row_id,
        now=now,
        site=options.site,
        epoch=options.epoch,
    )
    return LoadResult(
        file=options.name,
        digest=digest,
        rows=rows,
        added=merged.added,
        changed=merged.changed,
        unchanged=rows - merged.added - merged.changed,
        bad_rows=count_bad,
        bad=tuple(bad),
        customers=merged.customers,
        customers_version=merged.version,
        columns=tuple(columns),
    )


def open_source(path: Path, delimiter: str | None) -> Source:
    """The file as CSV or Parquet, told apart by its first bytes. Raises ImportRefused."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ImportRefused(f"{path}: {error.strerror}") from None
    return ParquetFile(path) if magic == MAGIC else CsvFile(path, delimiter=delimiter)


async def _types(
    connection: AsyncConnection[Any],
    names: Sequence[str],
    inferred: Sequence[AttributeType],
    options: LoadOptions,
) -> list[Column]:
    given = options.types or {}
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise ImportRefused(
            f"--type names a column that is not there: {', '.join(unknown)}",
            f"the columns are: {', '.join(names[:40])}",
        )
    declared: Mapping[str, AttributeType] = options.declared or {}
    digest = await plans_sql.wanted(connection) if options.declared is None else None
    if digest is not None:
        body = await plans_sql.body(connection, digest)
        if body is not None:
            declared = {a.name: AttributeType(a.type) for a in Plan.from_bytes(body).attributes}
    stored = {n: AttributeType(t) for n, t in await customers_sql.schema(connection)}
    columns = []
    for name, kind in zip(names, inferred, strict=True):
        source = "inferred"
        for label, known in (("given", given), ("declared", declared), ("stored", stored)):
            if name in known:
                kind, source = known[name], label
                break
        if name == options.id_column:
            kind, source = AttributeType.STRING, "id"
        columns.append(Column(name, kind, source, bool(_IDENTIFIER.match(name))))
    return columns


def _identified(
    source: Source, columns: Sequence[Column], options: LoadOptions, progress: Progress
) -> Iterator[Staged | BadRow]:
    names = [c.name for c in columns]
    at = names.index(options.id_column) if options.id_column is not None else None
    kept = [(i, n) for i, n in enumerate(names) if i != at]
    seen: dict[str, int] = {}
    encode = msgspec.json.Encoder().encode
    number = 0
    for item in source.rows([c.type for c in columns], progress):
        number += 1
        if isinstance(item, BadRow):
            yield item
            continue
        customer = str(number) if at is None else item.values[at]
        problem = _id_problem(customer, seen)
        if problem is not None:
            yield BadRow(item.line, problem)
            continue
        seen[customer] = item.line
        yield Staged(item.line, customer, encode(_attributes(item, kept)).decode())


def _attributes(item: Row, kept: Sequence[tuple[int, str]]) -> dict[str, Any]:
    return {name: item.values[i] for i, name in kept}


def _id_problem(customer: str | None, seen: Mapping[str, int]) -> str | None:
    if not customer:
        return "the customer's id is empty"
    if len(customer) > MAX_ID:
        return f"the customer's id is longer than {MAX_ID} characters"
    if customer in seen:
        return f"the customer's id {customer!r} is also on line {seen[customer]}"
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
