"""`GET /v1/decisions/{id}`: the record, and each loser with its reason, decided again."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import OrderedDict
from datetime import datetime
from typing import Any

import msgspec

from wayfare_engine.api.decisions import context_of
from wayfare_engine.api.snapshot import Snapshot
from wayfare_engine.decide import Decider
from wayfare_engine.facts import LedgerWriter
from wayfare_engine.ledger import Kind, bodies, find
from wayfare_engine.plan import Plan
from wayfare_engine.store import plans as plans_sql
from wayfare_engine.store.postgresql import Away, Postgresql
from wayfare_engine.web.problems import Problem

_KEPT_PLANS = 8
#: In place of what was considered, for a customer who was erased since.
ERASED = "Skipped/Erased: the customer was erased, and with the customer what was known then"


class ConsideredCandidate(msgspec.Struct, frozen=True):
    """A journey's node that could have been shown in the slot, and what became of it."""

    journey: str
    node: str
    outcome: str
    reason: str
    detail: str | None


class DecisionRecord(msgspec.Struct, frozen=True):
    """A decision as the ledger has it. `considered` is decided again from the record; it is null
    when the plan of that time is kept no longer, or the customer was erased since, and
    `considered_missing` says so."""

    decision_id: str
    site: str
    epoch: int
    at: datetime
    customer: str
    slot: str
    context: msgspec.Raw
    plan: str
    customers_version: int
    journey: str | None
    node: str | None
    content: Any
    reason: str
    degraded: tuple[str, ...]
    open_channels: tuple[str, ...]
    considered: list[ConsideredCandidate] | None
    considered_missing: str | None


class Explainer:
    """Reads decisions back; keeps the deciders of a few earlier plans."""

    def __init__(self, postgresql: Postgresql, ledger: LedgerWriter) -> None:
        self._postgresql = postgresql
        self._ledger = ledger
        self._deciders: OrderedDict[str, Decider] = OrderedDict()

    async def record(self, decision_id: str, snapshot: Snapshot | None) -> DecisionRecord:
        """The whole record. Raises Problem: 404 when there is none, 503 when nobody can tell."""
        try:
            wanted = uuid.UUID(decision_id)
        except ValueError:
            raise _unknown(decision_id) from None
        body, site, epoch = await self._find(wanted)
        found: bodies.Decision = bodies.decode(Kind.DECISION, body)
        erased = await self._erased(found.customer)
        decider = None if erased else await self._decider(found.plan, snapshot)
        considered: list[ConsideredCandidate] | None = None
        content: Any = None
        if decider is not None:
            row = int(found.row, 16)
            context = context_of(found.context)
            closed = frozenset(found.open_channels)
            again = decider.decide(found.slot, row, context, found.at, closed)
            content = again.content
            considered = [
                ConsideredCandidate(c.journey, c.node, c.outcome, c.reason, c.detail)
                for c in decider.explain(found.slot, row, context, found.at, closed)
            ]
        return DecisionRecord(
            decision_id=str(wanted),
            site=site,
            epoch=epoch,
            at=found.at,
            customer=found.customer,
            slot=found.slot,
            context=found.context,
            plan=found.plan,
            customers_version=found.customers_version,
            journey=found.winner.journey if found.winner else None,
            node=found.winner.node if found.winner else None,
            content=content,
            reason=found.reason,
            degraded=found.degraded,
            open_channels=found.open_channels,
            considered=considered,
            considered_missing=_missing(considered, erased=erased),
        )

    async def _erased(self, customer: str) -> bool:
        """Whether the customer was erased; while PostgreSQL is away a decision in memory is too
        young for that."""
        try:
            async with self._postgresql.connection() as connection:
                cursor = await connection.execute(
                    "SELECT FROM wayfare.erased WHERE customer_id = %s", (customer,)
                )
                return await cursor.fetchone() is not None
        except Away:
            return False

    async def _find(self, wanted: uuid.UUID) -> tuple[str, str, int]:
        pending = self._ledger.pending(wanted)
        if pending is not None:
            return pending.body, pending.site, pending.epoch
        # Another pod's row may be one flush away.
        for pause in (0.1, 0.3, None):
            try:
                async with self._postgresql.connection() as connection:
                    row = await find(connection, wanted)
            except Away:
                raise Problem(
                    503,
                    "store-away",
                    "PostgreSQL is away, and the decision is not in this pod's memory",
                    headers=((b"retry-after", b"2"),),
                ) from None
            if row is not None and row.kind == Kind.DECISION:
                return row.body, row.site, row.epoch
            if row is not None or pause is None or not _recent(wanted):
                break
            await asyncio.sleep(pause)
        raise _unknown(str(wanted))

    async def _decider(self, digest: str, snapshot: Snapshot | None) -> Decider | None:
        if snapshot is not None and snapshot.plan.digest == digest:
            return snapshot.decider
        if digest in self._deciders:
            self._deciders.move_to_end(digest)
            return self._deciders[digest]
        try:
            async with self._postgresql.connection() as connection:
                body = await plans_sql.body(connection, digest)
        except Away:
            return None
        if body is None:
            return None
        decider = await asyncio.to_thread(lambda: Decider(Plan.from_bytes(body)))
        self._deciders[digest] = decider
        while len(self._deciders) > _KEPT_PLANS:
            self._deciders.popitem(last=False)
        return decider


def _missing(considered: list[ConsideredCandidate] | None, *, erased: bool) -> str | None:
    if erased:
        return ERASED
    return None if considered is not None else "the plan is kept no longer"


def _recent(row_id: uuid.UUID, seconds: float = 5.0) -> bool:
    return abs(time.time() - (row_id.int >> 80) / 1000) < seconds


def _unknown(decision_id: str) -> Problem:
    return Problem(404, "unknown-decision", f"there is no decision {decision_id!r}")
