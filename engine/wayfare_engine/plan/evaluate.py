"""Expressions as Python closures, with CEL's exact semantics.

A closure takes (subject, row): the subject is the request's context for `context` nodes, or a
mapping of a customer's attributes (None: no value) for `attr` nodes; the row is the customer's
membership bits as an int. It returns a CEL value or raises EvaluationError. The commonest shapes
(a context field against literals) have their own closures: 0.1 to 0.3 µs each.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from wayfare_engine.plan.expression import LITERALS, Expression
from wayfare_engine.plan.functions import FUNCTIONS
from wayfare_engine.plan.values import (
    BINARY,
    EvaluationError,
    name_of,
    negate,
    no_overload,
)

Closure: TypeAlias = Callable[[Mapping[str, Any], int], Any]

_MISSING = object()
_ORDER = {"lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}


def literal(expression: Expression) -> Any:
    """The Python value of a literal node."""
    return None if expression[0] == "null" else expression[1]


def closure(expression: Expression) -> Closure:
    """The expression as a closure; see the module's text."""
    return _special(expression) or _BUILDERS.get(expression[0], _binary)(expression)


# -- shapes worth their own closure ---------------------------------------------------------------


def _special(expression: Expression) -> Closure | None:
    kind = expression[0]
    if kind not in ("eq", "ne", "in", "lt", "le", "gt", "ge"):
        return None
    left, right = expression[1], expression[2]
    if left[0] != "get" or left[1] != ("context",):
        return None
    field = left[2]
    if kind == "in":
        if right[0] == "list" and all(item[0] == "string" for item in right[1:]):
            return _among(field, frozenset(item[1] for item in right[1:]))
        return None
    if right[0] == "string" and kind in ("eq", "ne"):
        return _same_text(field, right[1], kind == "eq")
    if right[0] in ("int", "double") and kind in _ORDER:
        return _against_number(field, right[1], _ORDER[kind])
    return None


def _not_given(field: str) -> str:
    return f"the request's context has no {field!r}"


def _same_text(field: str, text: str, wanted: bool) -> Closure:
    missing = _not_given(field)

    def evaluate(subject: Mapping[str, Any], row: int) -> bool:
        value = subject.get(field, _MISSING)
        if value is _MISSING:
            raise EvaluationError(missing)
        return bool(value == text) is wanted

    return evaluate


def _among(field: str, texts: frozenset[str]) -> Closure:
    missing = _not_given(field)

    def evaluate(subject: Mapping[str, Any], row: int) -> bool:
        value = subject.get(field, _MISSING)
        if value is _MISSING:
            raise EvaluationError(missing)
        return type(value) is str and value in texts

    return evaluate


def _against_number(field: str, number: float, compare: Callable[[Any, Any], bool]) -> Closure:
    missing = _not_given(field)

    def evaluate(subject: Mapping[str, Any], row: int) -> bool:
        value = subject.get(field, _MISSING)
        if type(value) is int or type(value) is float:
            return compare(value, number)
        if value is _MISSING:
            raise EvaluationError(missing)
        raise no_overload("comparing", value, number)

    return evaluate


# -- every node -----------------------------------------------------------------------------------


def _literal(expression: Expression) -> Closure:
    value = literal(expression)
    return lambda subject, row: value


def _list(expression: Expression) -> Closure:
    if all(item[0] in LITERALS for item in expression[1:]):
        constant = [literal(item) for item in expression[1:]]
        return lambda subject, row: constant
    items = [closure(item) for item in expression[1:]]
    return lambda subject, row: [item(subject, row) for item in items]


def _attribute(expression: Expression) -> Closure:
    name = expression[1]

    def evaluate(subject: Mapping[str, Any], row: int) -> Any:
        value = subject.get(name)
        if value is None:
            raise EvaluationError(f"the customer has no {name!r}")
        return value

    return evaluate


def _known(expression: Expression) -> Closure:
    name = expression[1]
    return lambda subject, row: subject.get(name) is not None


def _context(expression: Expression) -> Closure:
    return lambda subject, row: subject


def _bit(expression: Expression) -> Closure:
    shift = expression[1]
    return lambda subject, row: bool(row >> shift & 1)


def _tristate(expression: Expression) -> Closure:
    true, false = 1 << expression[1], 1 << expression[2]

    def evaluate(subject: Mapping[str, Any], row: int) -> bool:
        if row & true:
            return True
        if row & false:
            return False
        raise EvaluationError("the customer lacks a value that the condition needs")

    return evaluate


def _field_of(value: Any, field: str) -> Any:
    if not isinstance(value, dict):
        raise EvaluationError(f"{name_of(value)} has no fields, so no {field!r}")
    found = value.get(field, _MISSING)
    if found is _MISSING:
        raise EvaluationError(f"no {field!r} is given")
    return found


def _get(expression: Expression) -> Closure:
    field = expression[2]
    if expression[1] == ("context",):
        missing = _not_given(field)

        def evaluate(subject: Mapping[str, Any], row: int) -> Any:
            value = subject.get(field, _MISSING)
            if value is _MISSING:
                raise EvaluationError(missing)
            return value

        return evaluate
    inner = closure(expression[1])
    return lambda subject, row: _field_of(inner(subject, row), field)


def _has(expression: Expression) -> Closure:
    field = expression[2]
    if expression[1] == ("context",):
        return lambda subject, row: field in subject
    inner = closure(expression[1])

    def evaluate(subject: Mapping[str, Any], row: int) -> bool:
        value = inner(subject, row)
        if not isinstance(value, dict):
            raise EvaluationError(f"{name_of(value)} has no fields, so no {field!r}")
        return field in value

    return evaluate


def _item_of(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        if type(key) is str:
            return _field_of(value, key)
    elif isinstance(value, (list, tuple)) and type(key) is int:
        if 0 <= key < len(value):
            return value[key]
        raise EvaluationError(f"there is no item {key}")
    raise no_overload("[]", value, key)


def _index(expression: Expression) -> Closure:
    inner, key = closure(expression[1]), closure(expression[2])
    return lambda subject, row: _item_of(inner(subject, row), key(subject, row))


def _not(expression: Expression) -> Closure:
    inner = closure(expression[1])

    def evaluate(subject: Mapping[str, Any], row: int) -> bool:
        value = inner(subject, row)
        if value is True:
            return False
        if value is False:
            return True
        raise no_overload("!", value)

    return evaluate


def _absorbing(expression: Expression) -> Closure:
    """`&&` and `||`: one operand that settles the matter does so whatever the others raise."""
    settles: bool = expression[0] == "or"
    symbol = "||" if settles else "&&"
    parts = [closure(item) for item in expression[1:]]

    def evaluate(subject: Mapping[str, Any], row: int) -> bool:
        failed: EvaluationError | None = None
        for part in parts:
            try:
                value = part(subject, row)
            except EvaluationError as error:
                failed = failed or error
                continue
            if value is settles:
                return bool(settles)
            if type(value) is not bool:
                failed = failed or no_overload(symbol, value)
        if failed is not None:
            raise failed
        return not settles

    return evaluate


def _if(expression: Expression) -> Closure:
    condition, then, other = (closure(item) for item in expression[1:])

    def evaluate(subject: Mapping[str, Any], row: int) -> Any:
        value = condition(subject, row)
        if value is True:
            return then(subject, row)
        if value is False:
            return other(subject, row)
        raise no_overload("?:", value)

    return evaluate


def _neg(expression: Expression) -> Closure:
    inner = closure(expression[1])
    return lambda subject, row: negate(inner(subject, row))


def _call(expression: Expression) -> Closure:
    function = FUNCTIONS[expression[1]]
    arguments = [closure(item) for item in expression[2:]]
    if len(arguments) == 1:
        (only,) = arguments
        return lambda subject, row: function(only(subject, row))
    if len(arguments) == 2:
        one, two = arguments
        return lambda subject, row: function(one(subject, row), two(subject, row))
    return lambda subject, row: function(*(item(subject, row) for item in arguments))


def _binary(expression: Expression) -> Closure:
    apply = BINARY[expression[0]]
    left, right = closure(expression[1]), closure(expression[2])
    return lambda subject, row: apply(left(subject, row), right(subject, row))


_BUILDERS: dict[str, Callable[[Expression], Closure]] = {
    **dict.fromkeys(LITERALS, _literal),
    "list": _list,
    "attr": _attribute,
    "known": _known,
    "context": _context,
    "bit": _bit,
    "tristate": _tristate,
    "get": _get,
    "has": _has,
    "index": _index,
    "not": _not,
    "and": _absorbing,
    "or": _absorbing,
    "if": _if,
    "neg": _neg,
    "call": _call,
}
