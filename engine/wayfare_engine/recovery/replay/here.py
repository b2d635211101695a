"""What this database knows that a decision needs: plans, memberships, dense ids, who was erased."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection
from pyroaring import BitMap

from wayfare_engine.decide import Decider
from wayfare_engine.plan import Plan
from wayfare_engine.plan.format import PlanFormatError
from wayfare_engine.store import blobs, customer_base
from wayfare_engine.store.blob_cache import BlobCache, BlobMissing
from wayfare_engine.store.customers import present_version

_KEPT_PLANS: Final = 8
_MEMBERSHIPS: Final = """
SELECT m.key, m.customers_version, m.as_of, (SELECT coalesce(string_agg(b.data, ''::bytea
    ORDER BY b.part), ''::bytea) FROM wayfare.blobs b WHERE b.digest = m.blob)
FROM wayfare.segment_memberships m
JOIN wayfare.blob_copies c ON c.digest = m.blob AND c.parts IS NOT NULL WHERE m.key = ANY(%s)
"""


@dataclass(frozen=True)
class Members:
    """Who is in a segment here; computed from customers of `version` at `as_of`."""

    version: int
    as_of: datetime
    dense: BitMap


class Plans:
    """Deciders of plans by digest, a few at a time; `loaded` counts."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self._kept: OrderedDict[str, Decider | None] = OrderedDict()
        self.loaded = 0
        self.unreadable: set[str] = set()

    def decider(self, digest: str) -> Decider | None:
        """None when the plan is not here, or cannot be read. Raises psycopg.Error."""
        if digest in self._kept:
            self._kept.move_to_end(digest)
            return self._kept[digest]
        row = self._connection.execute(
            "SELECT body FROM wayfare.plans WHERE digest = %s", (digest,), binary=True
        ).fetchone()
        found: Decider | None = None
        if row is not None:
            self.loaded += 1
            try:
                found = Decider(Plan.from_bytes(bytes(row[0])))
            except PlanFormatError:
                self.unreadable.add(digest)
        self._kept[digest] = found
        while len(self._kept) > _KEPT_PLANS:
            self._kept.popitem(last=False)
        return found


class Customers:
    """The sample's customers at this database. Raises psycopg.Error, BlobDamaged."""

    def __init__(self, connection: Connection[Any], customers: Collection[str]) -> None:
        self.version = present_version(connection)
        found = connection.execute(
            "SELECT customer_id FROM wayfare.erased WHERE customer_id = ANY(%s)",
            (sorted(customers),),
        ).fetchall()
        self.erased = frozenset(row[0] for row in found)
        self.dense: dict[str, int] | None = None
        if self.version.blob is None:
            return
        try:
            # Without the store: looking brings nothing into the database.
            path = blobs.fetch_file(connection, None, self.version.blob, BlobCache())
        except BlobMissing:
            return
        ids, dense = customer_base.ID, customer_base.DENSE
        table = customer_base.read(path, [ids, dense])
        wanted = pa.array(sorted(customers), table.schema.field(ids).type)
        table = table.filter(pc.is_in(table[ids], value_set=wanted))
        self.dense = dict(zip(table[ids].to_pylist(), table[dense].to_pylist(), strict=True))


def memberships(connection: Connection[Any], keys: Collection[str]) -> dict[str, Members]:
    """Those of `keys` that are stored here whole. Raises psycopg.Error."""
    cursor = connection.execute(_MEMBERSHIPS, (sorted(keys),), binary=True)
    return {
        key: Members(version, as_of, BitMap.deserialize(bytes(data)))
        for key, version, as_of, data in cursor.fetchall()
    }
