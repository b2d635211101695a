"""What a serving pod answers from: one immutable whole, replaced by one assignment.

Plan, decider, membership matrix and customers are loaded together from one view of the database, so
no answer mixes two plans, or a plan with the memberships of another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from psycopg import AsyncConnection, IsolationLevel
from pyroaring import BitMap

from wayfare_engine.api.customer_ids import CustomerIds
from wayfare_engine.decide import Decider
from wayfare_engine.plan import Plan
from wayfare_engine.segments import MembershipMatrix
from wayfare_engine.store import customers as customers_sql
from wayfare_engine.store import memberships as memberships_sql
from wayfare_engine.store import plans as plans_sql
from wayfare_engine.store.customers import CustomersVersion
from wayfare_engine.store.postgresql import Postgresql

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """All that a decision needs. `customers` is shared with later snapshots and may get entries
    that are not part of this one; their dense ids are not below `capacity`, or they are in no
    segment here. `count` is how many customers there are."""

    plan: Plan
    decider: Decider
    matrix: MembershipMatrix
    customers: Mapping[str, int]
    count: int
    customers_version: int
    capacity: int

    def dense(self, customer: str) -> int | None:
        """Dense id of a customer, or None when there is none."""
        found = self.customers.get(customer)
        return found if found is not None and found < self.capacity else None


@dataclass(eq=False)
class NotComplete(Exception):
    """The wanted plan cannot be served yet; the present one goes on."""

    reason: str


class SnapshotLoader:
    """Holds the present snapshot and makes the next. One `refresh` at a time."""

    def __init__(self, postgresql: Postgresql) -> None:
        self._postgresql = postgresql
        self._customers = CustomerIds()
        self._served: tuple[CustomersVersion, dict[str, str]] | None = None
        self._lock = asyncio.Lock()
        self.present: Snapshot | None = None
        self.waiting_for: str | None = "the first plan"

    async def refresh(self) -> bool:
        """Load what is wanted when it differs from what is served; True when it was replaced.

        Raises one of `postgresql.Away` when PostgreSQL is away, and whatever a broken plan raises
        (PlanFormatError); the present snapshot stays then.
        """
        async with self._lock:
            try:
                snapshot = await self._load()
            except NotComplete as error:
                if error.reason != self.waiting_for:
                    log.info("plan.waiting", reason=error.reason)
                self.waiting_for = error.reason
                return False
            self.waiting_for = None
            if snapshot is None:
                return False
            self.present = snapshot
            log.info(
                "plan.serving",
                plan=snapshot.plan.digest,
                customers=snapshot.count,
                customers_version=snapshot.customers_version,
            )
            return True

    async def _load(self) -> Snapshot | None:
        present = self.present
        async with self._postgresql.connection() as connection:
            await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
            try:
                async with connection.transaction():
                    digest = await plans_sql.wanted(connection)
                    if digest is None:
                        raise NotComplete("no plan was published yet")
                    version = await customers_sql.version(connection)
                    stored = await memberships_sql.digests_async(connection)
                    if (
                        present is not None
                        and present.plan.digest == digest
                        and self._served == (version, stored)
                    ):
                        return None
                    if present is not None and present.plan.digest == digest:
                        plan = present.plan
                    else:
                        body = await plans_sql.body(connection, digest)
                        if body is None:
                            raise NotComplete(f"the bytes of plan {digest} are missing")
                        plan = await asyncio.to_thread(Plan.from_bytes, body)
                    bitmaps = await self._bitmaps(connection, plan, version.version)
            finally:
                await connection.set_isolation_level(None)
            customers = await self._customers.follow(connection, version)
        if customers is None:
            raise NotComplete(f"the customers of version {version.version} are not here yet")
        capacity = version.capacity
        same_plan = present is not None and present.plan is plan

        def build() -> tuple[Decider, MembershipMatrix]:
            matrix = MembershipMatrix.build(plan, bitmaps, capacity)
            decider = present.decider if present is not None and same_plan else Decider(plan)
            return decider, matrix

        decider, matrix = await asyncio.to_thread(build)
        self._served = (version, stored)
        return Snapshot(
            plan, decider, matrix, customers, version.customers, version.version, capacity
        )

    async def _bitmaps(
        self, connection: AsyncConnection[object], plan: Plan, version: int
    ) -> dict[str, BitMap]:
        keys = sorted({segment.key for segment in plan.segments})
        stored = await memberships_sql.bitmaps(connection, keys)
        missing = [k for k in keys if k not in stored or stored[k][0] != version]
        if missing:
            raise NotComplete(f"the worker has {len(missing)} segments left to compute")
        return {key: BitMap.deserialize(data) for key, (_, data) in stored.items()}


def row_hex(row: int) -> str:
    """A membership row as it stands in the ledger."""
    return format(row, "x")


__all__ = ["NotComplete", "Snapshot", "SnapshotLoader", "row_hex"]
