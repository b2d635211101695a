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

from wayfare_engine.decide import Decider
from wayfare_engine.plan import Plan
from wayfare_engine.segments import MembershipMatrix
from wayfare_engine.store import customers as customers_sql
from wayfare_engine.store import memberships as memberships_sql
from wayfare_engine.store import plans as plans_sql
from wayfare_engine.store.postgresql import Postgresql

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """All that a decision needs. `customers` only ever gets more entries at its end, and those
    with a dense id of `count` or more are not part of this snapshot."""

    plan: Plan
    decider: Decider
    matrix: MembershipMatrix
    customers: Mapping[str, int]
    count: int
    customers_version: int

    def dense(self, customer: str) -> int | None:
        """Dense id of a customer, or None when there is none."""
        found = self.customers.get(customer)
        return found if found is not None and found < self.count else None


@dataclass(eq=False)
class NotComplete(Exception):
    """The wanted plan cannot be served yet; the present one goes on."""

    reason: str


class SnapshotLoader:
    """Holds the present snapshot and makes the next. One `refresh` at a time."""

    def __init__(self, postgresql: Postgresql) -> None:
        self._postgresql = postgresql
        self._customers: dict[str, int] = {}
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
                    if (
                        present is not None
                        and present.plan.digest == digest
                        and present.customers_version == version.version
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
                    await self._add_customers(connection)
            finally:
                await connection.set_isolation_level(None)
        count = version.customers
        same_plan = present is not None and present.plan is plan

        def build() -> tuple[Decider, MembershipMatrix]:
            matrix = MembershipMatrix.build(plan, bitmaps, count)
            decider = present.decider if present is not None and same_plan else Decider(plan)
            return decider, matrix

        decider, matrix = await asyncio.to_thread(build)
        return Snapshot(plan, decider, matrix, self._customers, count, version.version)

    async def _bitmaps(
        self, connection: AsyncConnection[object], plan: Plan, version: int
    ) -> dict[str, BitMap]:
        keys = sorted({segment.key for segment in plan.segments})
        stored = await memberships_sql.bitmaps(connection, keys)
        missing = [k for k in keys if k not in stored or stored[k][0] != version]
        if missing:
            raise NotComplete(f"the worker has {len(missing)} segments left to compute")
        return {key: BitMap.deserialize(data) for key, (_, data) in stored.items()}

    async def _add_customers(self, connection: AsyncConnection[object]) -> None:
        added = 0
        async for customer, dense in customers_sql.ids_from(connection, len(self._customers)):
            self._customers[customer] = dense
            added += 1
            if added % 5000 == 0:
                await asyncio.sleep(0)  # answers come between


def row_hex(row: int) -> str:
    """A membership row as it stands in the ledger."""
    return format(row, "x")


__all__ = ["NotComplete", "Snapshot", "SnapshotLoader", "row_hex"]
