"""Formulas as closures, and in three values for explanations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from wayfare_engine.plan.evaluate import Closure, closure
from wayfare_engine.plan.formula import Formula
from wayfare_engine.plan.values import EvaluationError, no_overload

Check: TypeAlias = Callable[[Mapping[str, Any], int, list[EvaluationError]], bool]
"""(context, row, errors) → whether the formula holds; what was an error is appended to errors."""


def check(formula: Formula) -> Check:
    """The formula as a closure."""
    match formula[0]:
        case "bit":
            mask = 1 << formula[1]
            return lambda context, row, errors: bool(row & mask)
        case "nobit":
            mask = 1 << formula[1]
            return lambda context, row, errors: not row & mask
        case "when" if formula[1] and formula[2][0] == "and":
            return _conjunction([closure(part) for part in formula[2][1:]])
        case "when":
            return _when(formula[1], closure(formula[2]))
        case "all":
            return _all([check(part) for part in formula[1:]])
        case _:
            return _any([check(part) for part in formula[1:]])


def _when(wanted: bool, evaluate: Closure) -> Check:
    def holds(context: Mapping[str, Any], row: int, errors: list[EvaluationError]) -> bool:
        try:
            value = evaluate(context, row)
        except EvaluationError as error:
            errors.append(error)
            return False
        if type(value) is not bool:
            errors.append(no_overload("a condition", value))
            return False
        return value is wanted

    return holds


def _conjunction(parts: list[Closure]) -> Check:
    """`&&` that must be true: nothing absorbs an error into true, so the first of them ends it."""

    def holds(context: Mapping[str, Any], row: int, errors: list[EvaluationError]) -> bool:
        try:
            for part in parts:
                value = part(context, row)
                if value is not True:
                    if type(value) is not bool:
                        errors.append(no_overload("&&", value))
                    return False
        except EvaluationError as error:
            errors.append(error)
            return False
        return True

    return holds


def _all(parts: list[Check]) -> Check:
    def holds(context: Mapping[str, Any], row: int, errors: list[EvaluationError]) -> bool:
        for part in parts:  # noqa: SIM110 - a generator costs twice as much here
            if not part(context, row, errors):
                return False
        return True

    return holds


def _any(parts: list[Check]) -> Check:
    def holds(context: Mapping[str, Any], row: int, errors: list[EvaluationError]) -> bool:
        for part in parts:  # noqa: SIM110 - a generator costs twice as much here
            if part(context, row, errors):
                return True
        return False

    return holds


def judge(formula: Formula, context: Mapping[str, Any], row: int) -> bool | EvaluationError:
    """The formula in three values: true, false, or the error that keeps it from being either."""
    match formula[0]:
        case "bit":
            return bool(row >> formula[1] & 1)
        case "nobit":
            return not row >> formula[1] & 1
        case "when":
            return _judge_when(formula, context, row)
    settling = formula[0] == "any"
    failed: EvaluationError | None = None
    for part in formula[1:]:
        verdict = judge(part, context, row)
        if verdict is settling:
            return settling
        if isinstance(verdict, EvaluationError):
            failed = failed or verdict
    return failed if failed is not None else not settling


def _judge_when(formula: Formula, context: Mapping[str, Any], row: int) -> bool | EvaluationError:
    try:
        value = closure(formula[2])(context, row)
    except EvaluationError as error:
        return error
    if type(value) is not bool:
        return no_overload("a condition", value)
    return value is formula[1]
