"""Memberships: sizes, digests, and the matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyroaring import BitMap

from tests.oracle.building import schema, segment
from wayfare_engine.plan import Plan, compile_plan
from wayfare_engine.resources import Segment
from wayfare_engine.segments import Columns, MembershipMatrix, compute, digest_of

PEOPLE = schema(age="int", city="string", since="timestamp")
ROWS: list[tuple[str, dict[str, Any]]] = [
    ("ann", {"age": 20, "city": "Porto", "since": "2020-01-01T00:00:00Z"}),
    ("bob", {"age": 40, "city": None, "since": None}),
    ("cyd", {"age": None, "city": "Faro", "since": "2024-01-01T00:00:00+01:00"}),
    ("dan", {"age": 60, "city": "Porto"}),
]


def planned(*segments: Segment) -> Plan:
    result = compile_plan(
        engine="bank/retail", schema=PEOPLE, segments=segments, journeys=[], previous=None
    )
    assert not result.problems
    return result.plan


def members(rule: str, columns: Columns) -> list[int]:
    plan = planned(segment("s", rule))
    (found,) = compute(plan, columns).values()
    assert found.size == len(found.bitmap)
    return list(found.bitmap)


def test_an_unknown_value_is_neither_in_nor_out() -> None:
    columns = Columns.from_rows(PEOPLE, ROWS)
    assert members("customer.age > 30", columns) == [1, 3]
    assert members("!(customer.age > 30)", columns) == [0]
    assert members('customer.age > 30 || customer.city == "Faro"', columns) == [1, 2, 3]
    assert members("!has(customer.age)", columns) == [2]


def test_bitmaps_hold_dense_ids() -> None:
    dense = np.array([7, 3, 100_000, 5], np.uint32)
    columns = Columns.from_rows(PEOPLE, ROWS, dense)
    assert members("customer.age > 30", columns) == [3, 5]
    assert columns.capacity == 100_001


def test_a_list_leaves_out_whom_nobody_knows() -> None:
    plan = planned(segment("l", list={"customers": ["dan", "eve", "ann"]}))
    (found,) = compute(plan, Columns.from_rows(PEOPLE, ROWS)).values()
    assert list(found.bitmap) == [0, 3]


def test_segments_see_those_that_they_refer_to() -> None:
    plan = planned(
        segment("z", "customer.age > 30"),
        segment("a", '!segment("z") && has(customer.city)'),
        segment("l", list={"customers": ["bob"]}),
        segment("m", 'segment("a") || segment("l") == true'),
    )
    found = compute(plan, Columns.from_rows(PEOPLE, ROWS))
    by_name = {s.name: list(found[s.key].bitmap) for s in plan.segments}
    assert by_name == {"bank/a": [0, 2], "bank/l": [1], "bank/m": [0, 1, 2], "bank/z": [1, 3]}


def test_only_what_is_wanted_is_computed() -> None:
    plan = planned(segment("z", "customer.age > 30"), segment("a", '!segment("z")'))
    wanted = next(s.key for s in plan.segments if s.name == "bank/a")
    found = compute(plan, Columns.from_rows(PEOPLE, ROWS), wanted={wanted})
    assert set(found) == {wanted}
    assert list(found[wanted].bitmap) == [0, 2]


def test_one_digest_a_set_however_it_is_stored() -> None:
    stepwise = BitMap()
    for value in reversed(range(20_000)):
        stepwise.add(value)
    ranged = BitMap(range(20_000))
    ranged.run_optimize()
    assert stepwise.serialize() != ranged.serialize()
    assert digest_of(stepwise) == digest_of(ranged)
    assert digest_of(BitMap()) != digest_of(BitMap([0]))


def test_no_customers_are_no_problem() -> None:
    columns = Columns.from_rows(PEOPLE, [])
    assert (
        members('customer.age > 30 && customer.city == "x" && size(customer.city) < 2', columns)
        == []
    )
    plan = planned(segment("s", "true"))
    found = compute(plan, columns)
    assert len(MembershipMatrix.build(plan, {k: m.bitmap for k, m in found.items()}, 0)) == 0


def test_arrow_and_rows_give_the_same_columns() -> None:
    table = pa.table(
        {
            "id": [name for name, _ in ROWS],
            "age": pa.array([20, 40, None, 60], pa.int32()),
            "city": pa.array(["Porto", None, "Faro", "Porto"]).dictionary_encode(),
            "since": pa.array(
                [1577836800000, None, 1704063600000, None], pa.timestamp("ms", tz="UTC")
            ),
        }
    )
    arrow = Columns.from_arrow(PEOPLE, table, id_column="id")
    rows = Columns.from_rows(PEOPLE, ROWS)
    assert list(arrow.customer_ids) == list(rows.customer_ids)
    for name, column in rows.columns.items():
        other = arrow.columns[name]
        assert other.texts == column.texts
        np.testing.assert_array_equal(other.values, column.values)
        np.testing.assert_array_equal(other.known, column.known)


def test_the_matrix_holds_every_membership_in_plan_order() -> None:
    plan = planned(*(segment(f"s{i:02}", f"customer.age > {i}") for i in range(11)))
    drawn = np.random.default_rng(1)
    maps = {s.key: BitMap(np.flatnonzero(drawn.random(50) < 0.3)) for s in plan.segments}
    matrix = MembershipMatrix.build(plan, maps, 50)
    for customer in range(50):
        expected = sum(1 << s.index for s in plan.segments if customer in maps[s.key])
        assert matrix.row(customer) == expected
    for outside in (-1, 50):
        with pytest.raises(IndexError):
            matrix.row(outside)


def test_members_beyond_the_customers_are_left_out() -> None:
    plan = planned(segment("s", "true"))
    (key,) = (s.key for s in plan.segments)
    matrix = MembershipMatrix.build(plan, {key: BitMap([0, 2, 9])}, 3)
    assert [matrix.row(i) for i in range(3)] == [1, 0, 1]
