"""Plain rules by celpy, a CEL in Python that shares nothing with ours, not even the parser."""

from __future__ import annotations

import logging
from typing import Any

import celpy
import celpy.adapter
import celpy.evaluation
import pytest

from tests.oracle.expressions import CUSTOMERS, SCHEMA, typed
from wayfare_engine.plan.cel import Scope, compile_expression
from wayfare_engine.plan.evaluate import closure
from wayfare_engine.plan.values import EvaluationError

RULES = [
    'customer.age >= 55 && customer.balance >= 2000.0 && customer.housing == "no"',
    "customer.age > 3 || customer.visits > 3",
    "customer.age > 3 && customer.visits > 3",
    "!(customer.age > 3)",
    "customer.age + customer.visits > 3",
    "customer.age * 2 > 3",
    "customer.age / customer.visits == 1",
    "customer.visits % 3 == 1",
    "customer.visits / 2 == -3",
    "customer.balance * 10.0 > 5.0",
    'customer.housing in ["no", "Yes"]',
    'customer.housing.startsWith("n")',
    'customer.housing.endsWith("s") || customer.housing.contains("é")',
    'customer.housing.matches("^[a-z]+$")',
    'customer.housing + "x" == "nox"',
    "size(customer.housing) == 3",
    'customer.housing < "no"',
    "has(customer.age) && customer.age > 0",
    "has(customer.age) ? customer.age > 0 : true",
    "customer.vip == true",
    "double(customer.visits) * 0.5 > 1.0",
]


def by_celpy(rule: str, customer: dict[str, Any]) -> bool | None:
    environment = celpy.Environment()
    program = environment.program(environment.compile(rule))
    known = {name: value for name, value in customer.items() if value is not None}
    try:
        value = program.evaluate({"customer": celpy.adapter.json_to_cel(known)})
    except celpy.evaluation.CELEvalError:
        return None
    return bool(value)


@pytest.mark.parametrize("rule", RULES)
def test_closures_agree_with_celpy(rule: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    evaluate = closure(compile_expression(rule, SCHEMA, Scope.CUSTOMER))
    for customer in CUSTOMERS:
        try:
            ours = evaluate(typed(customer), 0)
        except EvaluationError:
            ours = None
        assert ours == by_celpy(rule, customer), customer
