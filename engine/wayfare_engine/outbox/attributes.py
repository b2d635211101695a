"""One customer's attribute, asked for one at a time: for work items, of which there are few.

Each question reads some columns of the customers' blob; nothing of it is held in memory.
"""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg
import pyarrow.compute as pc
import pyarrow.dataset as ds
from psycopg import Connection

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.store import blobs, customer_base, customers
from wayfare_engine.store.blob_cache import BlobCache
from wayfare_engine.store.postgresql import patient

_CHANGE = (
    "SELECT value::text, version FROM wayfare.profile_changes WHERE customer_id = %s AND name = %s"
)


class SealedAttribute(SaidToPeople):
    """The attribute is sensitive, and its values are sealed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the attribute {name} is sensitive: name one that is not sealed")


class CustomerAttributes:
    """Asks `dsn`'s database, and `store` for a blob that is not copied there. Safe to use from
    several threads."""

    def __init__(self, dsn: str, store: ObjectStore | None, cache: BlobCache | None = None) -> None:
        self._dsn = patient(dsn, "wayfare-attributes")
        self._store = store
        self._cache = cache or BlobCache()

    def __call__(self, customer: str, name: str) -> str | None:
        """The value as text; None when there is none. Raises SealedAttribute, psycopg.Error, and
        what reading a blob raises."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            sealed = {c.name for c in customers.columns(connection) if c.sensitive}
            if name in sealed:
                raise SealedAttribute(name)
            loaded, overtaken = self._loaded(connection, customer, name)
            change = connection.execute(_CHANGE, (customer, name)).fetchone()
        if change is None or (overtaken is not None and change[1] <= overtaken):
            return _text(loaded)
        return _text(msgspec.json.decode(change[0]))

    def _loaded(self, connection: Connection[Any], customer: str, name: str) -> tuple[Any, Any]:
        """The value that the last load brought, and up to which version it overtook changes."""
        blob = customers.present_version(connection).blob
        if blob is None:
            return None, None
        path = blobs.fetch_file(connection, self._store, blob, self._cache)
        wanted = [customer_base.attribute(name), customer_base.overtaken(name)]
        table = ds.dataset(path, format="parquet")
        columns = [column for column in wanted if column in table.schema.names]
        if not columns:
            return None, None
        rows = table.to_table(columns, filter=pc.field(customer_base.ID) == customer).to_pylist()
        found = rows[0] if rows else {}
        return found.get(wanted[0]), found.get(wanted[1])


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
