"""All customers as the columns that rules are evaluated over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import structlog
from psycopg import Connection, IsolationLevel

from wayfare_engine.customers.changes import Changes
from wayfare_engine.customers.sealing import Sealing
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.plan import Attribute, AttributeType, Schema
from wayfare_engine.privacy import CustomerKeys
from wayfare_engine.segments import ArrowTexts, Columns, arrow_column
from wayfare_engine.store import blobs, customer_base
from wayfare_engine.store import customers as customers_sql
from wayfare_engine.store.blob_cache import BlobCache
from wayfare_engine.store.customers import Change, CustomersVersion

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class LoadedColumns:
    """Customers of one version, for one set of attributes, with the single changes of a moment."""

    present: CustomersVersion
    schema: Schema
    changes: tuple[Change, ...]
    columns: Columns

    @property
    def version(self) -> int:
        """The customers' version."""
        return self.present.version


def load(
    connection: Connection[Any],
    store: ObjectStore | None,
    schema: Schema,
    *,
    keys: CustomerKeys | None,
    cache: BlobCache,
    known: LoadedColumns | None = None,
) -> LoadedColumns:
    """The present customers; `known` itself when nothing changed since. Autocommit connection.

    A value of another type than the schema's is unknown (whole numbers are doubles too), and so is
    a sealed one whose customer was erased, or for which there is no master key. Raises BlobMissing,
    BlobDamaged, StoreProblem, StoreUnavailable, NoMasterKey, psycopg.Error.
    """
    names = [a.name for a in schema.attributes]
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    with connection.transaction():
        present = customers_sql.present_version(connection)
        changes = tuple(sorted(customers_sql.changes_of(connection, names)))
    connection.isolation_level = None
    if known and (known.present, known.schema, known.changes) == (present, schema, changes):
        return known
    base = customer_base.empty()
    if present.blob is not None:
        path = blobs.fetch_file(connection, store, present.blob, cache)
        wanted = [
            w for n in names for w in (customer_base.attribute(n), customer_base.overtaken(n))
        ]
        base = customer_base.read(path, [customer_base.DENSE, customer_base.ID, *wanted])
    sealing = Sealing(keys) if keys is not None else None
    opened = sealing.opener() if sealing is not None else _closed
    over = Changes(changes, opened)
    ids = base.column(customer_base.ID)
    made = {}
    for attribute in schema.attributes:
        values = _values(base, attribute, sealing)
        whole = over.over(values, ids, attribute.name, attribute.type, base)
        made[attribute.name] = arrow_column(attribute, whole)
    dense = base.column(customer_base.DENSE).to_numpy().astype(np.uint32, copy=False)
    columns = Columns(ArrowTexts(ids), made, dense)
    return LoadedColumns(present, schema, changes, columns)


def _values(base: pa.Table, attribute: Attribute, sealing: Sealing | None) -> pa.ChunkedArray:
    name = customer_base.attribute(attribute.name)
    held = customer_base.HELD[attribute.type]
    unknown = pa.chunked_array([pa.nulls(base.num_rows, held)])
    if name not in base.column_names:
        return unknown
    field = base.schema.field(name)
    kind = customer_base.kind_of(field)
    column = base.column(name)
    if customer_base.is_sensitive(field):
        if sealing is None:
            log.warning("customers.no_master_key", attribute=attribute.name)
            return unknown
        column = sealing.open_column(column, base.column(customer_base.ID), attribute.name, kind)
    if kind is attribute.type:
        return column
    if (kind, attribute.type) == (AttributeType.INT, AttributeType.DOUBLE):
        return column.cast(held, safe=False)
    return unknown


def _closed(customer: str, name: str, json: bytes) -> bytes | None:
    """Without keys an envelope is unknown."""
    return None if json.startswith(b"{") else json
