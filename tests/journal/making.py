"""Rows, sealers and segments for the tests of the journal."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import Connection

from wayfare_engine.clock import new_id, now
from wayfare_engine.journal.chain import read
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.journal.segment import ROWS, Closed, Segment, encode
from wayfare_engine.ledger import LedgerRow, append_rows
from wayfare_engine.objectstore import ObjectStore, paths

PLAN, SITE = "retail-dr", "east"
BEGAN = datetime(2026, 11, 23, 8, tzinfo=UTC)


def row(body: str = '{"customer":"anna","name":"login"}', **given: Any) -> LedgerRow:
    """A row of the ledger; every field can be given."""
    fields: dict[str, Any] = {
        "id": new_id(),
        "site": SITE,
        "epoch": 1,
        "kind": "event",
        "key": None,
        "version": None,
        "customer_id": "anna",
        "at": BEGAN,
        "body": body,
    }
    return LedgerRow(**(fields | given))


def rows(count: int, **given: Any) -> list[LedgerRow]:
    """Rows whose bodies differ."""
    return [row(f'{{"customer":"anna","name":"n{i}"}}', **given) for i in range(count)]


def write(dsn: str, *transactions: Iterable[LedgerRow]) -> list[uuid.UUID]:
    """Append each of the transactions; the ids of their rows."""
    ids = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        for made in map(list, transactions):
            append_rows(connection, made)
            ids += [r.id for r in made]
    return ids


def sealer(dsn: str, store: ObjectStore, **given: Any) -> Sealer:
    """A sealer of the tests' site."""
    options: dict[str, Any] = {"plan": PLAN, "site": SITE, "clock": now}
    return Sealer(dsn, store, **(options | given))


@contextmanager
def sealing(dsn: str, store: ObjectStore, **given: Any) -> Iterator[Sealer]:
    """A sealer that gives its lock back at the end."""
    made = sealer(dsn, store, **given)
    try:
        yield made
    finally:
        made.close()


def seal_all(dsn: str, store: ObjectStore, **given: Any) -> int:
    """Seal everything that can be sealed now; how many rows."""
    total = 0
    with sealing(dsn, store, **given) as made:
        while done := made.seal_once():
            total += done
    return total


def chain(store: ObjectStore, epoch: int = 1, site: str = SITE) -> list[Segment | Closed]:
    """All of a chain, checked."""
    return list(read(store, site, epoch, plan=PLAN))


def chained_ids(store: ObjectStore, epoch: int = 1, site: str = SITE) -> list[uuid.UUID]:
    """The ids of all rows in a chain, in its order."""
    return [
        uuid.UUID(bytes=i)
        for found in chain(store, epoch, site)
        if isinstance(found, Segment)
        for i in found.rows["id"].to_pylist()
    ]


def table(count: int, *, seed: int = 1, first_tx: int = 700, **given: list[Any]) -> pa.Table:
    """Rows as segments hold them: one transaction each ten."""
    source = random.Random(seed)
    columns: dict[str, list[Any]] = {
        "id": [source.randbytes(16) for _ in range(count)],
        "tx": [first_tx + i // 10 for i in range(count)],
        "kind": ["event"] * count,
        "key": [None] * count,
        "version": [None] * count,
        "customer_id": [f"c{source.randrange(50)}" for _ in range(count)],
        "at": [BEGAN + timedelta(microseconds=i) for i in range(count)],
        "body": [f'{{"name":"n{i}"}}' for i in range(count)],
    }
    return pa.table(columns | given, schema=ROWS)


def put_chain(
    store: ObjectStore,
    sizes: Iterable[int],
    *,
    site: str = SITE,
    epoch: int = 1,
    plan: str = PLAN,
    first: int = 1,
    previous: str = "",
    seed: int = 1,
) -> list[str]:
    """Put a chain of made-up segments; their paths."""
    import hashlib

    found = []
    for number, size in enumerate(sizes):
        data = encode(
            table(size, seed=seed * 1000 + number, first_tx=700 + first),
            plan=plan,
            site=site,
            epoch=epoch,
            first=first,
            previous=previous,
            sealed_at=BEGAN.isoformat(),
        )
        path = paths.segment(site, epoch, first)
        assert store.put_if_absent(path, data)
        found.append(path)
        first += size
        previous = hashlib.sha256(data).hexdigest()
    return found


@contextmanager
def transaction(dsn: str) -> Iterator[Connection[Any]]:
    """An open transaction that has an id, committed at the end unless it was ended before."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT pg_current_xact_id()")
        yield connection


def reframed(parquet: bytes) -> bytes:
    """A Parquet file with its digest where a segment has it."""
    from wayfare_engine.journal.segment import _frame

    return _frame(parquet)


def put_format(number: int) -> bytes:
    """A Parquet file whose header says that it is of this format, and little else we know."""
    import json

    import pyarrow.parquet as pq

    out = pa.BufferOutputStream()
    made = pa.table({"other": [1, 2, 3]})
    with pq.ParquetWriter(out, made.schema) as writer:
        writer.write_table(made)
        header = {"header": {"format": number, "what": "is not known yet"}}
        writer.add_key_value_metadata({b"wayfare": json.dumps(header).encode()})
    return bytes(out.getvalue())
