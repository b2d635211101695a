"""Loads as tests make them, and what two sites have to agree on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from wayfare_engine.clock import new_id
from wayfare_engine.customers import LoadOptions, LoadResult, Place, load
from wayfare_engine.customers import columns as customers_columns
from wayfare_engine.ledger import Kind
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.plan import Attribute, AttributeType, Schema
from wayfare_engine.privacy import CustomerKeys
from wayfare_engine.projections import BlobRow
from wayfare_engine.store.blob_cache import BlobCache

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


def load_csv(
    connection: psycopg.Connection[Any],
    store: ObjectStore | None,
    content: bytes,
    *,
    id_column: str | None = "id",
    keys: CustomerKeys | None = None,
    sensitive: frozenset[str] = frozenset(),
    cache: BlobCache | None = None,
    sealed: Callable[[int], bool] = lambda _: True,
) -> LoadResult:
    """Load a file of this content; a block of ids counts as sealed at once, or `sealed` says."""
    place = Place(connection, store, keys, sealed if store is not None else None, cache)
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(content)
        file.flush()
        return load(
            place,
            Path(file.name),
            LoadOptions(name="c.csv", id_column=id_column, site="east", sensitive=sensitive),
            now=NOW,
            ids=new_id,
            show=lambda _: None,
            progress=lambda _: lambda _: None,
        )


def blob_rows(connection: psycopg.Connection[Any], kind: Kind = Kind.LOAD) -> list[BlobRow]:
    """The ledger's rows of a kind that refers to blobs, as a journal would bring them."""
    found = connection.execute(
        "SELECT site, epoch, id, body::text FROM wayfare.ledger WHERE kind = %s ORDER BY id",
        (kind,),
    ).fetchall()
    return [BlobRow(site, epoch, row_id.bytes, kind, body) for site, epoch, row_id, body in found]


def tables(connection: psycopg.Connection[Any]) -> list[Any]:
    """What the two sites' tables say of customers."""
    return [
        connection.execute(
            "SELECT version, customers, capacity, epoch, blob FROM wayfare.customer_version"
        ).fetchall(),
        connection.execute(
            "SELECT name, type, sensitive FROM wayfare.customer_schema ORDER BY position"
        ).fetchall(),
    ]


def values(
    connection: psycopg.Connection[Any],
    store: ObjectStore | None,
    cache: BlobCache,
    attribute: str,
    kind: AttributeType,
    keys: CustomerKeys | None = None,
) -> dict[str, Any]:
    """Customer to value, as rules see it; None when unknown."""
    schema = Schema((Attribute(attribute, kind),))
    loaded = customers_columns.load(connection, store, schema, keys=keys, cache=cache)
    column = loaded.columns.columns[attribute]
    held = [
        (column.texts[v] if kind is AttributeType.STRING else v.item()) if known else None
        for v, known in zip(column.values, column.known, strict=True)
    ]
    return dict(zip(loaded.columns.customer_ids, held, strict=True))
