"""Computing memberships: what the wanted plan needs, of the present customers, and is not there.

Several workers may run: a session-level advisory lock lets one of them compute at a time, and what
it wrote is seen by the next before it starts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from wayfare_engine.clock import new_id
from wayfare_engine.customers import columns as customers_columns
from wayfare_engine.customers.columns import LoadedColumns
from wayfare_engine.ledger import Kind, LedgerRow, StaleEpoch, append_rows, bodies, fence
from wayfare_engine.objectstore import StoreUnavailable
from wayfare_engine.plan import Attribute, AttributeType, Plan, Schema
from wayfare_engine.privacy import CustomerKeys
from wayfare_engine.segments import Membership, compute
from wayfare_engine.store import blobs
from wayfare_engine.store import customers as customers_sql
from wayfare_engine.store import memberships as memberships_sql
from wayfare_engine.store import plans as plans_sql
from wayfare_engine.store.blob_cache import BlobCache
from wayfare_engine.store.memberships import StoredMembership
from wayfare_engine.store.postgresql import end_with_client_async, patient
from wayfare_engine.worker.state import WorkerState

log = structlog.get_logger(__name__)

_LOCK = 0x57534547  # "WSEG"


class SegmentComputer:
    """Keeps the customers' columns between rounds, because most plans change no customer."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        self._loaded: LoadedColumns | None = None
        self._cache = BlobCache()
        self._dsn = patient(state.settings.direct_dsn, "wayfare-segments")

    async def cycle(self) -> int:
        """One round; returns how many memberships were computed. Raises one of `Away`."""
        async with await AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            plan, missing = await self._missing(connection)
            if plan is None or not missing:
                return 0
            await end_with_client_async(connection)
            cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,))
            row = await cursor.fetchone()
            if row is None or not row[0]:
                return 0  # another worker is at it; the next round sees what it wrote
            plan, missing = await self._missing(connection)
            if plan is None or not missing:
                return 0
            began = time.perf_counter()
            loaded = await asyncio.to_thread(self._customers, plan)
            columns = loaded.columns
            found = await asyncio.to_thread(lambda: compute(plan, columns, wanted=missing))
            await asyncio.to_thread(self._save, plan, found, loaded.version)
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

    def _customers(self, plan: Plan) -> LoadedColumns:
        """The present customers as columns; as before when nothing of them changed."""
        schema = Schema(tuple(Attribute(a.name, AttributeType(a.type)) for a in plan.attributes))
        state = self._state
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            loaded = customers_columns.load(
                connection,
                state.object_store,
                schema,
                keys=self._keys(connection),
                cache=self._cache,
                known=self._loaded,
            )
        self._loaded = loaded
        return loaded

    def _keys(self, connection: psycopg.Connection[Any]) -> CustomerKeys | None:
        masters = self._state.master_keys
        if masters is None:
            return None
        return CustomerKeys(connection, self._state.object_store, masters, ids=new_id)

    def _save(self, plan: Plan, found: Mapping[str, Membership], version: int) -> None:
        """Put the bitmaps, and in one transaction the memberships and a row for each that changed.

        Where another site acts there is no row: what is computed counts here, and nowhere else. So
        it is when the store is away: the rows refer to no blob then, and the other site computes
        them by itself.
        """
        state = self._state
        now = state.clock()
        names = {segment.key: segment.name for segment in plan.segments}
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            before = memberships_sql.digests(connection)
            store = state.object_store if fence.site_epoch(connection).active else None
            memberships: list[StoredMembership] = []
            changes: list[tuple[Membership, str, str | None]] = []
            for key, membership in found.items():
                changed = before.get(key) != membership.digest
                data = membership.bitmap.serialize()
                blob: str | None = None
                try:
                    digest = blobs.put_blob(connection, store if changed else None, data)
                    blob = digest
                except StoreUnavailable as error:
                    log.warning("segments.store_away", segment=names[key], error=str(error))
                    store = None
                    digest = blobs.put_blob(connection, None, data)
                memberships.append(
                    StoredMembership(
                        key=key,
                        name=names[key],
                        blob=digest,
                        size=membership.size,
                        digest=membership.digest,
                        as_of=now,
                        duration_seconds=membership.duration_seconds,
                        customers_version=version,
                        epoch=0,
                    )
                )
                if changed:
                    in_store = blob if store is not None or state.object_store is None else None
                    changes.append((membership, key, in_store))
            try:
                with connection.transaction():
                    # Under the epoch that is present now, whichever it was when this began.
                    epoch = fence.enter_present(connection)
                    append_rows(
                        connection,
                        [
                            self._fact(key, names[key], membership, version, blob, epoch)
                            for membership, key, blob in changes
                        ],
                    )
                    memberships_sql.save(connection, [replace(m, epoch=epoch) for m in memberships])
            except StaleEpoch:
                memberships_sql.save(connection, memberships)

    def _fact(
        self,
        key: str,
        name: str,
        membership: Membership,
        version: int,
        blob: str | None,
        epoch: int,
    ) -> LedgerRow:
        now = self._state.clock()
        body = bodies.SegmentRefresh(
            name=name,
            key=key,
            size=membership.size,
            digest=membership.digest,
            as_of=now,
            customers_version=version,
            blob=blob,
        )
        return LedgerRow(
            id=new_id(),
            site=self._state.settings.site,
            epoch=epoch,
            kind=Kind.SEGMENT_REFRESH,
            key=key,
            version=None,
            customer_id=None,
            at=now,
            body=bodies.encode(body),
        )
