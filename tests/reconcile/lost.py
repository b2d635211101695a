"""A site that was lost with rows that it never shipped, and the one that took over."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from tests.crash.scenario import Place
from tests.crash.taking import first_holder, take_next
from tests.journal.making import PLAN, SITE, seal_all
from wayfare_engine.clock import new_id, now
from wayfare_engine.facts import record
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.ledger import Kind, LedgerRow
from wayfare_engine.ledger.bodies import Body, encode
from wayfare_engine.reconcile import Merged, Tail, merge, recover

WEST = "west"
START = datetime(2026, 11, 24, 9, tzinfo=UTC)


def fact(
    kind: Kind,
    body: Body,
    *,
    customer: str | None = "ada",
    key: str | None = None,
    version: int | None = None,
    site: str = SITE,
    epoch: int = 1,
    at: datetime = START,
) -> LedgerRow:
    """A row of a site."""
    return LedgerRow(new_id(), site, epoch, kind, key, version, customer, at, encode(body))


def lose_east(
    place: Place, *, sealed: Sequence[LedgerRow] = (), stranded: Sequence[LedgerRow] = ()
) -> None:
    """East acts, seals some rows, writes others, and is gone; west acts under epoch 2."""
    first_holder(place.store)
    with psycopg.connect(place.live, autocommit=True) as east:
        if sealed:
            record(east, sealed)
        seal_all(place.live, place.store)
        if stranded:
            record(east, stranded)
    with psycopg.connect(place.dr, autocommit=True) as west:
        take_next(west, place)


def write_at_west(place: Place, *rows: LedgerRow) -> None:
    """West writes under its epoch."""
    with psycopg.connect(place.dr, autocommit=True) as west:
        record(west, [row._replace(site=WEST, epoch=2) for row in rows])


def recover_east(place: Place) -> list[Tail]:
    """East's disk is back."""
    with psycopg.connect(place.live, autocommit=True) as east:
        return recover(east, place.store, plan=PLAN, site=SITE)


def merge_at_west(place: Place, tail: Tail, **given: Any) -> Merged:
    """West decides about every row."""
    with psycopg.connect(place.dr, autocommit=True) as west:
        options: dict[str, Any] = {"plan": PLAN, "site": WEST, "ids": new_id, "clock": now}
        return merge(west, place.store, tail, **(options | given))


def seal_west(place: Place) -> None:
    """All of west's rows are in its chain."""
    seal_all(place.dr, place.store, site=WEST)


def rebuilt(spare: str, place: Place) -> str:
    """A database that has what the chains alone give."""
    catch_up(spare, place.store, plan=PLAN)
    return spare


def one(dsn: str, query: str, *arguments: Any) -> Any:
    """One row."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query.encode(), arguments).fetchone()


def later(seconds: float) -> datetime:
    """A time after START."""
    return START + timedelta(seconds=seconds)


def ids_of(rows: Sequence[LedgerRow]) -> set[uuid.UUID]:
    """Their ids."""
    return {row.id for row in rows}
