"""One rule, four evaluators: columns, closures, the decider's formulas, and Google's runtime."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import given, settings

from tests.oracle.building import journey, segment
from tests.oracle.cel_oracle import Oracle, oracle
from tests.oracle.expressions import (
    CONTEXTS,
    CUSTOMERS,
    SCHEMA,
    audiences,
    conditions,
    rules,
    typed,
)
from wayfare_engine.decide import Decider, Outcome
from wayfare_engine.plan import compile_plan
from wayfare_engine.plan.cel import Scope, compile_expression
from wayfare_engine.plan.evaluate import closure
from wayfare_engine.plan.expression import Expression, canonical
from wayfare_engine.plan.rendering import rendered
from wayfare_engine.plan.values import EvaluationError
from wayfare_engine.segments import Columns, MembershipMatrix, compute
from wayfare_engine.segments.vectors import Evaluator

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
COLUMNS = Columns.from_rows(SCHEMA, ((str(i), one) for i, one in enumerate(CUSTOMERS)))
TYPED = [typed(one) for one in CUSTOMERS]


def by_closure(expression: Expression) -> list[bool | None]:
    evaluate = closure(expression)

    def one(customer: dict[str, Any]) -> bool | None:
        try:
            value = evaluate(customer, 0)
        except EvaluationError:
            return None
        assert isinstance(value, bool)
        return value

    return [one(customer) for customer in TYPED]


def by_columns(expression: Expression) -> list[bool | None]:
    truth = Evaluator(COLUMNS, {}).truth(expression)
    assert not np.any(truth.true & truth.false)
    return [
        True if true else False if false else None
        for true, false in zip(truth.true.tolist(), truth.false.tolist(), strict=True)
    ]


@settings(max_examples=400, deadline=None)
@given(rules)
def test_columns_agree_with_closures(rule: str) -> None:
    expression = compile_expression(rule, SCHEMA, Scope.CUSTOMER)
    assert by_columns(expression) == by_closure(expression)
    assert by_columns(canonical(expression)) == by_closure(expression)


@settings(max_examples=300, deadline=None)
@given(rules)
def test_closures_agree_with_the_reference_runtime(rule: str) -> None:
    reference = Oracle(rule)
    expected = [reference.truth(customer) for customer in CUSTOMERS]
    assert by_closure(compile_expression(rule, SCHEMA, Scope.CUSTOMER)) == expected


@settings(max_examples=150, deadline=None)
@given(rules)
def test_rendering_gives_a_rule_of_the_same_meaning(rule: str) -> None:
    expression = compile_expression(rule, SCHEMA, Scope.CUSTOMER)
    again = compile_expression(rendered(expression), SCHEMA, Scope.CUSTOMER)
    assert by_closure(again) == by_closure(expression)


SEGMENTS = {
    "young": "customer.age < 40",
    "rich": "!(customer.balance < 1000.0)",
}
LISTED = {"0", "3", "8"}


@settings(max_examples=120, deadline=None)
@given(audiences, conditions)
def test_decisions_agree_with_the_reference_runtime(audience: str, condition: str) -> None:
    result = compile_plan(
        engine="bank/retail",
        schema=SCHEMA,
        segments=[
            *(segment(name, rule) for name, rule in SEGMENTS.items()),
            segment("listed", list={"customers": sorted(LISTED)}),
        ],
        journeys=[journey("j", audience, condition)],
        previous=None,
    )
    assert not result.problems
    members = {key: one.bitmap for key, one in compute(result.plan, COLUMNS).items()}
    matrix = MembershipMatrix.build(result.plan, members, COLUMNS.capacity)
    decider = Decider(result.plan)
    audience_oracle, condition_oracle = Oracle(audience), Oracle(condition)
    for dense, customer in enumerate(CUSTOMERS):

        def member(name: str, dense: int = dense, customer: dict[str, Any] = customer) -> bool:
            short = name.rpartition("/")[2]
            if short == "listed":
                return str(dense) in LISTED
            return oracle(SEGMENTS[short]).truth(customer) is True

        invited = audience_oracle.truth(customer, None, member) is True
        for context in CONTEXTS:
            fits = condition_oracle.truth(customer, context, member)
            decision = decider.decide("home-banner", matrix.row(dense), context, AT)
            assert (decision.winner is not None) is (invited and fits is True)
            (considered,) = decider.explain("home-banner", matrix.row(dense), context, AT)
            assert (considered.outcome is Outcome.WON) is (decision.winner is not None)
            assert (considered.outcome is Outcome.NOT_IN_AUDIENCE) is (not invited)
            if decision.condition_errors:
                assert considered.outcome is Outcome.CONDITION_ERROR
                assert fits is None
