"""The projections are a function of the set of rows: order, grouping and way do not matter."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
import psycopg
from hypothesis import given
from hypothesis import strategies as st
from psycopg import Connection

from tests.projections.drawing import ORDINARY, draw
from tests.projections.examples import examples
from tests.projections.tables import Tables, as_table, contents
from wayfare_engine.clock import now
from wayfare_engine.journal import digesting
from wayfare_engine.ledger import Kind, LedgerRow, bodies
from wayfare_engine.projections import apply, apply_rows
from wayfare_engine.projections.digests import Document
from wayfare_engine.projections.digests.hashing import prepare

KINDS = (*ORDINARY, Kind.ERASURE, Kind.RETENTION, Kind.MERGED)


class Outcome(NamedTuple):
    """What the projections are, as rows and as digests."""

    tables: Tables
    digests: dict[str, Any]


class Group(NamedTuple):
    """Rows that are applied in one transaction: live, or from the journal chain by chain."""

    rows: list[LedgerRow]
    live: bool


def row_of(seed: int, kinds: Sequence[Kind] = KINDS) -> LedgerRow:
    return draw(random.Random(seed), tuple(kinds))


SEEDS = st.lists(st.integers(0, 2**40), min_size=1, max_size=40, unique=True)


@st.composite
def orders(draw_: st.DrawFn, rows: Sequence[LedgerRow]) -> list[Group]:
    """Some order of rows, cut into groups somewhere."""
    shuffled = draw_(st.permutations(list(rows)))
    groups = []
    while shuffled:
        size = draw_(st.integers(1, len(shuffled)))
        groups.append(Group(shuffled[:size], draw_(st.booleans())))
        shuffled = shuffled[size:]
    return groups


def outcome(dsn: str, groups: Sequence[Group]) -> Outcome:
    """Of an empty database; nothing of it stays."""
    with psycopg.connect(dsn) as connection:
        prepare(connection)
        for group in groups:
            _apply(connection, group)
        found = contents(connection)
        document: Document = digesting.take(connection, io.BytesIO(), site="east", clock=now)
        connection.rollback()
    return Outcome(found, document.facts()["tables"])


def _apply(connection: Connection[Any], group: Group) -> None:
    if group.live:
        apply_rows(connection, group.rows)
        return
    by_chain = sorted(group.rows, key=_chain)
    for (site, epoch), rows in groupby(by_chain, _chain):
        apply(connection, as_table(list(rows)), site=site, epoch=epoch)


def _chain(row: LedgerRow) -> tuple[str, int]:
    return row.site, row.epoch


@given(st.data(), SEEDS)
@examples(0.4)
def test_any_order_and_grouping_gives_the_same(
    dsn: str, data: st.DataObject, seeds: list[int]
) -> None:
    rows = [row_of(seed) for seed in seeds]
    expected = outcome(dsn, [Group(rows, live=False)])
    assert outcome(dsn, data.draw(orders(rows))) == expected


@given(SEEDS)
@examples(0.2)
def test_row_by_row_gives_what_all_at_once_gives(dsn: str, seeds: list[int]) -> None:
    rows = [row_of(seed) for seed in seeds]
    at_once = outcome(dsn, [Group(rows, live=True)])
    assert outcome(dsn, [Group([row], live=True) for row in rows]) == at_once


@given(st.data(), SEEDS)
@examples(0.4)
def test_rows_that_are_merged_twice_count_once_in_any_order(
    dsn: str, data: st.DataObject, seeds: list[int]
) -> None:
    stranded = [row_of(seed, ORDINARY) for seed in seeds]
    once, again = ([_merged(row, number) for row in stranded] for number in (2, 3))
    expected = outcome(dsn, [Group(once, live=False)])
    found = outcome(dsn, data.draw(orders([*once, *again])))
    assert found == expected
    assert len(found.tables["wayfare.merged_rows"]) == len(stranded)


@given(st.data(), SEEDS)
@examples(0.2)
def test_a_merged_row_does_what_the_row_itself_does(
    dsn: str, data: st.DataObject, seeds: list[int]
) -> None:
    stranded = [row_of(seed, ORDINARY) for seed in seeds]
    itself = outcome(dsn, [Group(stranded, live=False)])
    merged = outcome(dsn, data.draw(orders([_merged(row, 2) for row in stranded])))
    for table, rows in itself.tables.items():
        assert table == "wayfare.merged_rows" or merged.tables[table] == rows


def _merged(row: LedgerRow, epoch: int) -> LedgerRow:
    """A row as the merge under `epoch` puts it back; the same one for the same row."""
    body = bodies.Merged(
        origin_site=row.site,
        origin_epoch=row.epoch,
        origin_id=str(row.id),
        kind=row.kind,
        key=row.key,
        version=row.version,
        customer=row.customer_id,
        at=row.at,
        body=msgspec.Raw(row.body.encode()),
        resolution="applied",
    )
    return row._replace(
        id=type(row.id)(int=row.id.int ^ epoch),
        site="west",
        epoch=epoch,
        kind=Kind.MERGED,
        key=None,
        version=None,
        customer_id=None,
        body=msgspec.json.encode(body).decode(),
    )
