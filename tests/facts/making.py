"""Rows that the tests of this folder write, and the comparison that they end with."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from tests.catchup.databases import tables
from tests.journal.making import PLAN, SITE, chained_ids, seal_all
from wayfare_engine.clock import new_id
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.ledger import Kind, LedgerRow
from wayfare_engine.ledger.bodies import Decision, Winner, encode
from wayfare_engine.objectstore import ObjectStore

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def decision(
    customer: str = "anna", *, journey: str | None = "welcome", epoch: int = 1
) -> LedgerRow:
    """A decision's row, won by `journey`."""
    body = Decision(
        customer=customer,
        slot="home-banner",
        context=msgspec.Raw(b"{}"),
        at=NOW,
        plan="sha256:0",
        customers_version=1,
        winner=Winner(journey, "offer") if journey else None,
        reason="Won" if journey else "NoneEligible",
        degraded=(),
        row="0",
    )
    return LedgerRow(new_id(), SITE, epoch, Kind.DECISION, None, None, customer, NOW, encode(body))


def equal_to_a_rebuild(live: str, dr: str, store: ObjectStore) -> int:
    """The live projections are what the journal alone gives; how many rows it has, each once."""
    seal_all(live, store)
    catch_up(dr, store, plan=PLAN, from_snapshot=False)
    here, there = tables(live), tables(dr)
    for table in here:
        assert here[table] == there[table], table
    ids = chained_ids(store)
    assert len(ids) == len(set(ids))
    return len(ids)
