"""Random rules and customers, for comparing evaluators."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from tests.oracle.building import schema

SCHEMA = schema(
    age="int", visits="int", balance="double", housing="string", vip="bool", since="timestamp"
)
_TEXTS = ["", "no", "yes", "Yes", "née", "a.b", "😀"]

CUSTOMERS: list[dict[str, Any]] = [
    {
        "age": age,
        "visits": visits,
        "balance": balance,
        "housing": housing,
        "vip": vip,
        "since": since,
    }
    for age, visits, balance, housing, vip, since in (
        (55, 3, 2000.0, "no", True, "2019-12-31T23:59:59Z"),
        (54, 0, 1999.99, "yes", False, "2020-01-01T00:00:00Z"),
        (-1, -7, -0.5, "Yes", True, "1969-07-20T20:17:40.5Z"),
        (0, 1, 0.0, "", False, "2024-02-29T12:00:00+05:30"),
        (2**63 - 1, 2, 1e308, "née", True, "9999-12-31T23:59:59Z"),
        (-(2**63), -1, -1e308, "a.b", False, "0001-01-01T00:00:00Z"),
        (None, 3, None, "no", None, None),
        (30, None, 0.1, None, True, "2020-06-15T08:30:00Z"),
        (None, None, None, None, None, None),
        (7, 7, 7.0, "😀", False, "2020-01-01T00:00:00.000001Z"),
    )
]


def typed(customer: dict[str, Any]) -> dict[str, Any]:
    """A customer as our closures see one: timestamps as datetimes."""
    since = customer["since"]
    return {**customer, "since": None if since is None else datetime.fromisoformat(since)}


_ints = st.sampled_from(["0", "1", "3", "-2", "7", "55", "9223372036854775807"])
_doubles = st.sampled_from(["0.0", "0.5", "2000.0", "-1.5", "1e308"])
_texts = st.sampled_from(_TEXTS).map(lambda text: json.dumps(text, ensure_ascii=False))
_comparisons = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
_moments = st.sampled_from(
    ['timestamp("2020-01-01T00:00:00Z")', 'timestamp("1970-01-01T00:00:00+01:00")']
)


def _whole(depth: int) -> st.SearchStrategy[str]:
    leaf = st.one_of(_ints, st.sampled_from(["customer.age", "customer.visits"]))
    if depth == 0:
        return leaf
    return st.one_of(
        leaf,
        st.tuples(_whole(depth - 1), st.sampled_from("+-*/%"), _whole(depth - 1)).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        _text(depth - 1).map(lambda text: f"size({text})"),
    )


def _fraction(depth: int) -> st.SearchStrategy[str]:
    leaf = st.one_of(_doubles, st.just("customer.balance"))
    if depth == 0:
        return leaf
    return st.one_of(
        leaf,
        st.tuples(_fraction(depth - 1), st.sampled_from("+-*"), _fraction(depth - 1)).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        _whole(depth - 1).map(lambda whole: f"double({whole})"),
    )


def _text(depth: int) -> st.SearchStrategy[str]:
    leaf = st.one_of(_texts, st.just("customer.housing"), st.just("customer.housing"))
    if depth == 0:
        return leaf
    return st.one_of(
        leaf,
        st.tuples(_text(depth - 1), _text(depth - 1)).map(lambda t: f"({t[0]} + {t[1]})"),
    )


def _compared(of: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(of, _comparisons, of).map(lambda t: f"({t[0]} {t[1]} {t[2]})")


_atoms = st.one_of(
    _compared(_whole(2)),
    _compared(_fraction(2)),
    _compared(_text(1)),
    st.tuples(st.just("customer.since"), _comparisons, _moments).map(" ".join).map("({})".format),
    st.tuples(
        _text(1), st.sampled_from(["startsWith", "endsWith", "contains", "matches"]), _texts
    ).map(lambda t: f"{t[0]}.{t[1]}({t[2]})"),
    st.sampled_from(
        [
            "customer.vip",
            "has(customer.age)",
            "has(customer.housing)",
            "has(customer.vip)",
            "true",
            "false",
            'customer.housing in ["no", "née"]',
            'customer.housing in ["x", ""]',
            "customer.age in [0, 55, 7]",
            "customer.visits in [customer.age, 3]",
            "(customer.vip == (customer.age > 3))",
            "(customer.since.getFullYear() == 2020)",
            "(1 / 0 == 1)",
            '("x" in [customer.housing, "x"])',
        ]
    ),
)
_requests = st.sampled_from(
    [
        '(context.page == "a")',
        '(context.page in ["a", "b"])',
        "(context.n > 3)",
        "(context.n / context.zero == 1)",
        "has(context.flag)",
        "context.flag",
        '(context.deep.x == "a")',
        "has(context.deep.x)",
        '("t" in context.tags)',
        "(context.tags[0] == context.page)",
        "(context.flag == customer.vip)",
        '(context.flag == segment("young"))',
        '(context["page"] != "b")',
        "(size(context.tags) > 1)",
        "(context.none == null)",
    ]
)
_segments = st.sampled_from(['segment("young")', 'segment("bank/rich")', 'segment("listed")'])

CONTEXTS: list[dict[str, Any]] = [
    {},
    {"page": "a", "n": 5, "zero": 0, "flag": True, "tags": ["t", "a"], "none": None},
    {"page": "b", "n": "5", "zero": 5, "flag": False, "tags": [], "deep": {"x": "a"}},
    {"page": 1, "n": 3.5, "flag": "yes", "tags": "t", "deep": {}, "none": 0},
]


def logic(atoms: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Boolean combinations of atoms."""
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(
                lambda t: f"({t[0]} {t[1]} {t[2]})"
            ),
            inner.map(lambda text: f"!({text})"),
            st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} ? {t[1]} : {t[2]})"),
        ),
        max_leaves=5,
    )


rules = logic(_atoms)
"""Rules over attributes only."""

audiences = logic(st.one_of(_atoms, _segments))
"""Rules over attributes and the segments young, rich and listed."""

conditions = logic(st.one_of(_requests, _requests, _atoms, _segments))
"""Conditions over the request, attributes and segments."""
