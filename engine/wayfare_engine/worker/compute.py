"""Computing memberships: what the wanted plan needs, of the present customers, and is not there.

Several workers may run: a session-level advisory lock lets one of them compute at a time, and what
it wrote is seen by the next before it starts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import structlog
from psycopg import AsyncConnection, IsolationLevel

from wayfare_engine.clock import new_id
from wayfare_engine.ledger import Kind, LedgerRow, append
from wayfare_engine.plan import Attribute, AttributeType, Plan, Schema
from wayfare_engine.segments import Columns, Membership, compute
from wayfare_engine.store import customers as customers_sql
from wayfare_engine.store import memberships as memberships_sql
from wayfare_engine.store import plans as plans_sql
from wayfare_engine.store.memberships import MembershipFacts, StoredMembership
from wayfare_engine.store.postgresql import patient
from wayfare_engine.worker.state import WorkerState

log = structlog.get_logger(__name__)

_LOCK = 0x57534547  # "WSEG"
_BATCH = 5000


@dataclass(frozen=True)
class _Loaded:
    """Customers as columns, of one version and for one set of attributes."""

    version: int
    schema: Schema
    columns: Columns


class SegmentComputer:
    """Keeps the customers' columns between rounds, because most plans change no customer."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        self._loaded: _Loaded | None = None

    async def cycle(self) -> int:
        """One round; returns how many memberships were computed. Raises one of `Away`."""
        dsn = patient(self._state.settings.direct_dsn, "wayfare-segments")
        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            plan, missing = await self._missing(connection)
            if plan is None or not missing:
                return 0
            cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,))
            row = await cursor.fetchone()
            if row is None or not row[0]:
                return 0  # another worker is at it; the next round sees what it wrote
            plan, missing = await self._missing(connection)
            if plan is None or not missing:
                return 0
            began = time.perf_counter()
            loaded = await self._customers(connection, plan)
            columns = loaded.columns
            found = await asyncio.to_thread(lambda: compute(plan, columns, wanted=missing))
            await self._save(connection, plan, found, loaded.version)
            seconds = time.perf_counter() - began
            self._state.metrics.segments.inc(len(found))
            self._state.metrics.cycle_seconds.observe(seconds)
            log.info(
                "segments.computed",
                plan=plan.digest,
                segments=len(found),
                customers=len(loaded.columns),
                customers_version=loaded.version,
                seconds=round(seconds, 3),
            )
            return len(found)

    async def _missing(self, connection: AsyncConnection[Any]) -> tuple[Plan | None, set[str]]:
        digest = await plans_sql.wanted(connection)
        if digest is None:
            return None, set()
        plan = self._state.plan
        if plan is None or plan.digest != digest:
            body = await plans_sql.body(connection, digest)
            if body is None:
                return None, set()
            plan = self._state.plan = await asyncio.to_thread(Plan.from_bytes, body)
        version = await customers_sql.version(connection)
        stored = await memberships_sql.facts(connection)
        due = self._state.clock() - timedelta(seconds=self._state.settings.refresh_seconds)
        fresh = {
            key
            for key, facts in stored.items()
            if facts.customers_version == version.version and facts.as_of > due
        }
        return plan, {s.key for s in plan.segments} - fresh

    async def _customers(self, connection: AsyncConnection[Any], plan: Plan) -> _Loaded:
        schema = Schema(tuple(Attribute(a.name, AttributeType(a.type)) for a in plan.attributes))
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        try:
            async with connection.transaction():
                version = await customers_sql.version(connection)
                known = self._loaded
                if known and (known.version, known.schema) == (version.version, schema):
                    return known
                batches = [batch async for batch in customers_sql.rows(connection, _BATCH)]
        finally:
            await connection.set_isolation_level(None)
        columns = await asyncio.to_thread(_columns, schema, batches)
        self._loaded = _Loaded(version.version, schema, columns)
        return self._loaded

    async def _save(
        self,
        connection: AsyncConnection[Any],
        plan: Plan,
        found: Mapping[str, Membership],
        version: int,
    ) -> None:
        now = self._state.clock()
        names = {segment.key: segment.name for segment in plan.segments}
        before = await memberships_sql.facts(connection)
        async with connection.transaction():
            await memberships_sql.save(
                connection,
                [
                    StoredMembership(
                        key=key,
                        name=names[key],
                        bitmap=m.bitmap.serialize(),
                        size=m.size,
                        digest=m.digest,
                        as_of=now,
                        duration_seconds=m.duration_seconds,
                        customers_version=version,
                    )
                    for key, m in found.items()
                ],
            )
            rows = [
                self._fact(key, names[key], m, version)
                for key, m in found.items()
                if _changed(before.get(key), m)
            ]
            if rows:
                await append(connection, rows)

    def _fact(self, key: str, name: str, membership: Membership, version: int) -> LedgerRow:
        now = self._state.clock()
        body = {
            "name": name,
            "key": key,
            "size": membership.size,
            "digest": membership.digest,
            "as_of": now,
            "customers_version": version,
        }
        return LedgerRow(
            id=new_id(),
            site=self._state.settings.site,
            epoch=self._state.settings.epoch,
            kind=Kind.SEGMENT_REFRESH,
            key=key,
            version=None,
            customer_id=None,
            at=now,
            body=msgspec.json.encode(body).decode(),
        )


def _changed(before: MembershipFacts | None, now: Membership) -> bool:
    return before is None or before.digest != now.digest


def _columns(
    schema: Schema, batches: Sequence[Sequence[tuple[int, str, Mapping[str, Any]]]]
) -> Columns:
    fits = {a.name: _FITS[a.type] for a in schema.attributes}

    def rows() -> Iterator[tuple[str, Mapping[str, Any]]]:
        for batch in batches:
            for _, customer, attributes in batch:
                # A value of a type that was declared anew since its load is unknown.
                yield (
                    customer,
                    {n: v for n, v in attributes.items() if n in fits and fits[n](v)},
                )

    dense = np.fromiter(
        (row[0] for batch in batches for row in batch), np.uint32, sum(map(len, batches))
    )
    return Columns.from_rows(schema, rows(), dense)


_FITS: dict[AttributeType, Callable[[Any], bool]] = {
    AttributeType.STRING: lambda v: type(v) is str,
    AttributeType.INT: lambda v: type(v) is int and -(2**63) <= v < 2**63,
    AttributeType.DOUBLE: lambda v: type(v) in (int, float),
    AttributeType.BOOL: lambda v: type(v) is bool,
    AttributeType.TIMESTAMP: lambda v: type(v) is str,
}
