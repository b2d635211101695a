"""Attributes of one customer at a time, as they are now, for messages and clocks.

What loads brought is held as the blob has it: columns, sealed values as envelopes, and an index of
12 bytes a customer. What may change by itself is asked of PostgreSQL with each look-up, in one
statement: single changes, whether the customer was erased, and whether there is a newer blob. A
sealed value is opened with its customer's key when it is looked up, and is gone with the key.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import structlog
from psycopg import Connection

from wayfare_engine.customers.changes import fitting
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.plan import AttributeType
from wayfare_engine.privacy import CustomerKeys, Erased, open_envelope
from wayfare_engine.privacy.envelopes import Envelope, read_envelope
from wayfare_engine.store import blobs, customer_base
from wayfare_engine.store import customers as customers_sql
from wayfare_engine.store.blob_cache import BlobCache

log = structlog.get_logger(__name__)

#: Of some customers: (customer, attribute, value as JSON, version) of single changes, a row with
#: only a customer for each that was erased, and one with only the blob that is present.
_NOW: Final = """
SELECT customer_id, name, value::text, version FROM wayfare.profile_changes
WHERE customer_id = ANY(%(customers)s) AND name = ANY(%(names)s)
UNION ALL SELECT customer_id, NULL, NULL, NULL FROM wayfare.erased
WHERE customer_id = ANY(%(customers)s)
UNION ALL SELECT NULL, NULL, blob, version FROM wayfare.customer_version
"""
_INDEX_ROWS: Final = 1 << 20

Connected = Callable[[], AbstractContextManager[Connection[Any]]]
#: Keys over a connection; None where there is no master key.
KeysOver = Callable[[Connection[Any]], CustomerKeys | None]


class Index:
    """Rows by customer id: the sorted hashes of the ids, and the row of each. 12 bytes a customer;
    two ids of one hash are told apart by the ids themselves."""

    def __init__(self, ids: pa.ChunkedArray) -> None:
        self._ids = ids
        hashes = np.empty(len(ids), np.int64)
        start = 0
        # In pieces, so that the texts of a million customers at most are Python's at a time.
        for piece in _pieces(ids):
            texts = piece.to_pylist()
            hashes[start : start + len(texts)] = [hash(text) for text in texts]
            start += len(texts)
        order = np.argsort(hashes, kind="stable")
        self._hashes: npt.NDArray[np.int64] = hashes[order]
        self._rows: npt.NDArray[np.uint32] = order.astype(np.uint32)

    @property
    def nbytes(self) -> int:
        """Bytes that are held, those of the ids too."""
        return int(self._hashes.nbytes + self._rows.nbytes + self._ids.nbytes)

    def row(self, customer: str) -> int | None:
        """The row of a customer; None when there is none."""
        wanted = hash(customer)
        place = int(np.searchsorted(self._hashes, wanted))
        while place < len(self._hashes) and self._hashes[place] == wanted:
            row = int(self._rows[place])
            if self._ids[row].as_py() == customer:
                return row
            place += 1
        return None


@dataclass(frozen=True)
class _Base:
    """One blob: its columns by name, whole, and the versions of overtaken changes."""

    blob: str | None
    index: Index
    columns: Mapping[str, tuple[AttributeType, pa.ChunkedArray]]
    overtaken: Mapping[str, pa.ChunkedArray]

    @property
    def nbytes(self) -> int:
        held = [column for _, column in self.columns.values()]
        return self.index.nbytes + sum(int(c.nbytes) for c in (*held, *self.overtaken.values()))


class CustomerLookup:
    """Some attributes of every customer. Used from several threads.

    `connected` gives a connection in autocommit mode for the time of one look-up, such as a pool's
    `connection`. The blob is followed: when there is a newer one, one look-up brings it, and those
    beside it are answered from the one before.
    """

    def __init__(
        self,
        connected: Connected,
        store: ObjectStore | None,
        names: Collection[str],
        *,
        keys: KeysOver,
        cache: BlobCache,
    ) -> None:
        self._connected = connected
        self._store = store
        self._names = sorted(names)
        self._keys = keys
        self._cache = cache
        self._base: _Base | None = None
        self._loading = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes that are held; 0 before the first look-up."""
        base = self._base
        return 0 if base is None else base.nbytes

    def __call__(self, customer: str) -> dict[str, Any] | None:
        """The values of one customer by attribute, None where there is none; None when the customer
        is not known, or was erased. Raises what `many` does."""
        return self.many((customer,)).get(customer)

    def many(self, customers: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The values of those of `customers` that are known.

        Raises BlobMissing, BlobDamaged, StoreProblem, StoreUnavailable, NoMasterKey, psycopg.Error.
        """
        wanted = sorted(set(customers))
        with self._connected() as connection:
            found = connection.execute(_NOW, {"customers": wanted, "names": self._names}).fetchall()
            changes: list[customers_sql.Change] = []
            erased: set[str] = set()
            blob: str | None = None
            for customer, name, text, version in found:
                if customer is None:
                    blob = text
                elif name is None:
                    erased.add(customer)
                else:
                    changes.append(customers_sql.Change(customer, name, text, version))
            base = self._at(connection, blob)
            rows = {
                customer: row
                for customer in wanted
                if customer not in erased and (row := base.index.row(customer)) is not None
            }
            return self._values(connection, base, rows, changes)

    def zones(self, attribute: str) -> Callable[[Collection[str]], Mapping[str, str]]:
        """For quiet hours: the IANA names in one of the attributes, of those who have one."""

        def zones(customers: Collection[str]) -> Mapping[str, str]:
            return {
                customer: value
                for customer, values in self.many(customers).items()
                if isinstance(value := values.get(attribute), str)
            }

        return zones

    def _at(self, connection: Connection[Any], blob: str | None) -> _Base:
        base = self._base
        if base is not None and base.blob == blob:
            return base
        if not self._loading.acquire(blocking=base is None):
            assert base is not None
            return base
        try:
            if self._base is None or self._base.blob != blob:
                self._base = self._load(connection, blob)
            return self._base
        finally:
            self._loading.release()

    def _load(self, connection: Connection[Any], blob: str | None) -> _Base:
        table = customer_base.empty()
        if blob is not None:
            path = blobs.fetch_file(connection, self._store, blob, self._cache)
            wanted = [
                column
                for name in self._names
                for column in (customer_base.attribute(name), customer_base.overtaken(name))
            ]
            table = customer_base.read(path, [customer_base.ID, *wanted])
        columns = {
            name: (customer_base.kind_of(field), table.column(field.name))
            for name, field in customer_base.attributes_of(table).items()
        }
        overtaken = {
            name: table.column(column)
            for name in self._names
            if (column := customer_base.overtaken(name)) in table.column_names
        }
        made = _Base(blob, Index(table.column(customer_base.ID)), columns, overtaken)
        log.info("customers.lookup_loaded", customers=table.num_rows, bytes=made.nbytes)
        return made

    def _values(
        self,
        connection: Connection[Any],
        base: _Base,
        rows: Mapping[str, int],
        changes: Sequence[customers_sql.Change],
    ) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {
            customer: {
                name: base.columns[name][1][row].as_py() if name in base.columns else None
                for name in self._names
            }
            for customer, row in rows.items()
        }
        for change in changes:
            row = rows.get(change.customer_id)
            if row is None or change.version <= _overtaken(base, change.name, row):
                continue
            kind = base.columns[change.name][0] if change.name in base.columns else None
            found[change.customer_id][change.name] = _of_change(change.value, kind)
        self._open(connection, base, found)
        return found

    def _open(
        self, connection: Connection[Any], base: _Base, found: Mapping[str, dict[str, Any]]
    ) -> None:
        sealed = [
            (customer, values, name, envelope)
            for customer, values in found.items()
            for name, value in values.items()
            if (envelope := _envelope(value)) is not None
        ]
        if not sealed:
            return
        keys = self._keys(connection)
        if keys is None:
            log.warning("customers.no_master_key", attributes=sorted({s[2] for s in sealed}))
            for _, values, name, _ in sealed:
                values[name] = None
            return
        keys.look_up(envelope.kid for *_, envelope in sealed)
        for customer, values, name, envelope in sealed:
            opened = open_envelope(envelope, customer, name, keys.key_of)
            kind = base.columns[name][0] if name in base.columns else None
            if isinstance(opened, Erased):
                values[name] = None
            else:
                values[name] = _typed(msgspec.json.decode(opened), kind)


def _pieces(ids: pa.ChunkedArray) -> Iterable[pa.Array]:
    for chunk in ids.chunks:
        for start in range(0, len(chunk), _INDEX_ROWS):
            yield chunk.slice(start, _INDEX_ROWS)


def _overtaken(base: _Base, name: str, row: int) -> int:
    column = base.overtaken.get(name)
    return 0 if column is None else column[row].as_py() or 0


def _of_change(json: str, kind: AttributeType | None) -> Any:
    envelope = read_envelope(json.encode())
    return envelope if envelope is not None else _typed(msgspec.json.decode(json), kind)


def _typed(value: Any, kind: AttributeType | None) -> Any:
    """A JSON value as the column's type; of no column, as it is, when it is no list or object."""
    if kind is not None:
        found = fitting(value, kind)
        is_time = kind is AttributeType.TIMESTAMP and found is not None
        return datetime.fromisoformat(found) if is_time else found
    return value if isinstance(value, str | int | float | bool) else None


def _envelope(value: Any) -> Envelope | None:
    if isinstance(value, Envelope):
        return value
    if isinstance(value, dict):  # a cell of a sealed column
        return Envelope(value["kid"], value["nonce"], value["ciphertext"])
    return None
