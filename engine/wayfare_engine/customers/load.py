"""One load: read, type, merge, put the blob, and one row that refers to it.

Run again with the same file it changes nothing. One load at a time: a session lock is held from
the reading of the base to the row, so that versions grow in the order of transactions.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.customers import by_rows
from wayfare_engine.customers.changes import Changes
from wayfare_engine.customers.columnar import Columnar, identified, open_columnar
from wayfare_engine.customers.csv_file import CsvFile
from wayfare_engine.customers.merge import Merged, merge, with_dense
from wayfare_engine.customers.parquet_file import MAGIC, ParquetFile
from wayfare_engine.customers.problems import BadRow, ImportRefused
from wayfare_engine.customers.sealing import Sealing
from wayfare_engine.customers.source import Progress, Source
from wayfare_engine.ledger import Kind, LedgerRow, append_rows, bodies, fence, id_blocks
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.plan import AttributeType, Plan
from wayfare_engine.privacy import CustomerKeys, NoMasterKey
from wayfare_engine.store import blobs, customer_base
from wayfare_engine.store import customers as customers_sql
from wayfare_engine.store.blob_cache import BlobCache
from wayfare_engine.store.customers import CustomersVersion, StoredColumn
from wayfare_engine.store.postgresql import end_with_client

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LOCK = 0x57435553  # "WCUS"

_blob_point = crash_point("customers.blob", "the new blob is put and no row refers to it")
_committed_point = crash_point("customers.committed", "the load's row is committed")


@dataclass(frozen=True)
class LoadOptions:
    """How to read the file. `id_column` None: the row number, from 1, is the customer's id.
    `declared` are types that the engine declares; None takes those of its wanted plan.
    `sensitive` columns are sealed, from now on and also in later loads. `epoch` None: whatever
    epoch the database is at."""

    name: str
    id_column: str | None = None
    types: Mapping[str, AttributeType] | None = None
    declared: Mapping[str, AttributeType] | None = None
    delimiter: str | None = None
    on_error: Literal["stop", "skip"] = "stop"
    site: str = "local"
    epoch: int | None = None
    sensitive: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Place:
    """Where a load goes. `connection` is direct and in autocommit mode; `keys` is needed for
    sensitive columns only; `sealed` see `id_blocks.reserve`."""

    connection: Connection[Any]
    store: ObjectStore | None = None
    keys: CustomerKeys | None = None
    sealed: Callable[[int], bool] | None = None
    cache: BlobCache | None = None


@dataclass(frozen=True)
class Column:
    """A column and where its type comes from: given, declared, stored or inferred."""

    name: str
    type: AttributeType
    source: str
    addressable: bool
    sensitive: bool = False


@dataclass(frozen=True)
class LoadResult:
    """What a load did. `bad` has the first of `bad_rows` rows; `blob` holds all customers now."""

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
    blob: str


def load(
    place: Place,
    path: Path,
    options: LoadOptions,
    *,
    now: datetime,
    ids: Callable[[], uuid.UUID],
    show: Callable[[Sequence[Column]], None],
    progress: Callable[[str], Progress],
) -> LoadResult:
    """Load `path`. `show` gets the columns before anything is written, `progress(step)` gives the
    callback of a step.

    Raises ImportRefused, NoMasterKey, StoreProblem, StoreUnavailable, StaleEpoch, BlockNotSealed;
    then nothing was changed.
    """
    source = open_source(path, options.delimiter)
    if options.id_column is not None and options.id_column not in source.columns:
        raise ImportRefused(
            f"there is no column {options.id_column!r} for the customers' ids",
            f"the columns are: {', '.join(source.columns[:40])}",
        )
    with _one_at_a_time(place.connection):
        columnar = open_columnar(source, progress("reading types"))
        inferred = columnar.infer() if columnar else source.infer(progress("reading types"))
        columns = _types(place.connection, source.columns, inferred, options)
        if any(c.sensitive for c in columns) and place.keys is None:
            raise NoMasterKey
        show(columns)
        read = _read(source, columnar, columns, options, progress("loading"))
        _refuse_bad(read, options)
        return _put(place, path, options, columns, read, now=now, ids=ids)


def open_source(path: Path, delimiter: str | None) -> Source:
    """The file as CSV or Parquet, told apart by its first bytes. Raises ImportRefused."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ImportRefused(f"{path}: {error.strerror}") from None
    return ParquetFile(path) if magic == MAGIC else CsvFile(path, delimiter=delimiter)


@contextmanager
def _one_at_a_time(connection: Connection[Any]) -> Iterator[None]:
    end_with_client(connection)
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def _types(
    connection: Connection[Any],
    names: Sequence[str],
    inferred: Sequence[AttributeType],
    options: LoadOptions,
) -> list[Column]:
    given = options.types or {}
    for option, named in (("--type", given), ("--sensitive", options.sensitive)):
        unknown = sorted(set(named) - set(names))
        if unknown:
            raise ImportRefused(
                f"{option} names a column that is not there: {', '.join(unknown)}",
                f"the columns are: {', '.join(names[:40])}",
            )
    if options.id_column in options.sensitive:
        raise ImportRefused(
            f"column {options.id_column!r} has the customers' ids and cannot be sensitive",
            "use an id that says nothing by itself",
        )
    declared = options.declared
    if declared is None:
        declared = _declared(connection)
    stored = customers_sql.columns(connection)
    kinds = {c.name: AttributeType(c.type) for c in stored}
    marked = {c.name for c in stored if c.sensitive} | options.sensitive
    columns = []
    for name, kind in zip(names, inferred, strict=True):
        source = "inferred"
        for label, known in (("given", given), ("declared", declared), ("stored", kinds)):
            if name in known:
                kind, source = known[name], label
                break
        if name == options.id_column:
            kind, source = AttributeType.STRING, "id"
        columns.append(Column(name, kind, source, bool(_IDENTIFIER.match(name)), name in marked))
    return columns


def _declared(connection: Connection[Any]) -> dict[str, AttributeType]:
    row = connection.execute(
        "SELECT p.body FROM wayfare.plans p JOIN wayfare.wanted_plan w ON w.digest = p.digest",
        binary=True,
    ).fetchone()
    if row is None:
        return {}
    return {a.name: AttributeType(a.type) for a in Plan.from_bytes(bytes(row[0])).attributes}


def _read(
    source: Source,
    columnar: Columnar | None,
    columns: Sequence[Column],
    options: LoadOptions,
    progress: Progress,
) -> by_rows.Read:
    kinds = {c.name: c.type for c in columns}
    if columnar is not None:
        table = columnar.typed(kinds, progress)
        whole = identified(table, options.id_column) if table is not None else None
        if whole is not None:
            return by_rows.Read(whole)
    return by_rows.read(
        source, kinds, id_column=options.id_column, on_error=options.on_error, progress=progress
    )


def _refuse_bad(read: by_rows.Read, options: LoadOptions) -> None:
    if read.bad_rows and options.on_error == "stop":
        raise ImportRefused(
            f"{read.bad_rows} bad row{'s' if read.bad_rows > 1 else ''}; nothing was loaded",
            "correct them, or load the others with --on-error skip",
            tuple(read.bad),
        )
    if read.table.num_rows == 0:
        raise ImportRefused("the file has no rows that can be loaded", "", tuple(read.bad))


def _put(
    place: Place,
    path: Path,
    options: LoadOptions,
    columns: Sequence[Column],
    read: by_rows.Read,
    *,
    now: datetime,
    ids: Callable[[], uuid.UUID],
) -> LoadResult:
    connection = place.connection
    cache = place.cache or BlobCache()
    epoch = options.epoch or fence.site_epoch(connection).epoch
    present = customers_sql.present_version(connection)
    base = customer_base.empty()
    if present.blob is not None:
        base = customer_base.read(blobs.fetch_file(connection, place.store, present.blob, cache))
    kept = [c for c in columns if c.name != options.id_column]

    def sealing() -> Sealing:
        if place.keys is None:
            raise NoMasterKey
        return Sealing(place.keys)

    merged = merge(
        base,
        read.table,
        [(c.name, c.type) for c in kept],
        stored=customers_sql.columns(connection),
        sensitive=options.sensitive,
        changes=Changes(
            customers_sql.changes_of(connection, [c.name for c in kept]),
            lambda customer, name, json: (
                sealing().opener()(customer, name, json) if json.startswith(b"{") else json
            ),
        ),
        sealing=sealing,
    )
    after = present
    if merged.differs or present.blob is None:
        after = _write(place, cache, merged, base.num_rows, present, options.site, epoch, now, ids)
    digest = _digest(path)
    body = bodies.Load(
        file=options.name,
        digest=digest,
        rows=read.table.num_rows,
        bad_rows=read.bad_rows,
        id=options.id_column,
        mapping={c.name: c.type.value for c in kept},
        added=merged.added,
        changed=merged.changed,
        as_of=now,
        customers_version=after.version,
        blob=after.blob,
        customers=after.customers,
        capacity=after.capacity,
        columns={c.name: c.type for c in merged.columns},
        sensitive=tuple(c.name for c in merged.columns if c.sensitive),
    )
    _commit(connection, body, after, merged.columns, options.site, epoch, now, ids())
    assert after.blob is not None
    return LoadResult(
        file=options.name,
        digest=digest,
        rows=read.table.num_rows,
        added=merged.added,
        changed=merged.changed,
        unchanged=read.table.num_rows - merged.added - merged.changed,
        bad_rows=read.bad_rows,
        bad=tuple(read.bad),
        customers=after.customers,
        customers_version=after.version,
        columns=tuple(columns),
        blob=after.blob,
    )


def _write(
    place: Place,
    cache: BlobCache,
    merged: Merged,
    before: int,
    present: CustomersVersion,
    site: str,
    epoch: int,
    now: datetime,
    ids: Callable[[], uuid.UUID],
) -> CustomersVersion:
    """Put the new base; returns the version that a row can now refer to."""
    dense = np.zeros(0, np.uint32)
    if merged.added:
        id_blocks.reserve(
            place.connection,
            merged.added,
            site=site,
            epoch=epoch,
            ids=ids,
            at=now,
            sealed=place.sealed,
        )
        ranges = id_blocks.take(place.connection, merged.added, site=site, epoch=epoch)
        dense = np.concatenate([np.arange(r.start, r.stop, dtype=np.uint32) for r in ranges])
    table = with_dense(merged.table, before, dense)
    with cache.making() as path:
        customer_base.write(table, path)
        digest = blobs.put_file(place.connection, place.store, path)
        cache.adopt(path, digest)
    _blob_point()
    return CustomersVersion(
        version=present.version + 1,
        customers=table.num_rows,
        capacity=max(present.capacity, int(dense.max()) + 1 if len(dense) else 0),
        epoch=epoch,
        blob=digest,
    )


def _commit(
    connection: Connection[Any],
    body: bodies.Load,
    after: CustomersVersion,
    columns: Sequence[StoredColumn],
    site: str,
    epoch: int,
    now: datetime,
    row_id: uuid.UUID,
) -> None:
    row = LedgerRow(row_id, site, epoch, Kind.LOAD, None, None, None, now, bodies.encode(body))
    with connection.transaction():
        append_rows(connection, [row])
        assert after.blob is not None
        # Of this epoch as the row is, also where nothing differs: whoever applies the row says so.
        customers_sql.apply_load(
            connection,
            epoch=epoch,
            version=after.version,
            customers=after.customers,
            capacity=after.capacity,
            blob=after.blob,
            columns=columns,
        )
    _committed_point()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
