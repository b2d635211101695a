"""Formulas: what a candidate's audience and condition become.

A formula is true exactly when its CEL expression is true, and not when that is false or an error.
It is monotone: negations are pushed down to the leaves, so that an error anywhere counts as "not
true" in either polarity, which is CEL's three-valued logic (De Morgan's laws hold in it). In JSON:

| Node | True when |
|---|---|
| `["all", f…]`, `["any", f…]` | every, some operand is true; `["all"]` is true, `["any"]` false |
| `["bit", i]`, `["nobit", i]` | the customer's row has bit i, lacks it |
| `["when", value, expression]` | the expression over the request's context is `value`, no error |

Parts of an expression that need nothing but the customer are hoisted: they become anonymous
segments, computed once for all customers, and each costs a decision one bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from wayfare_engine.plan.evaluate import closure
from wayfare_engine.plan.expression import (
    Expression,
    canonical,
    contains,
    operands,
    replace,
)
from wayfare_engine.plan.values import EvaluationError

Formula: TypeAlias = tuple[Any, ...]

TRUE: Formula = ("all",)
FALSE: Formula = ("any",)
MAX_LEAVES = 2000

_BOOLEAN = {"and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "in", "known", "has", "bool"}
_BOOLEAN_CALLS = {"startsWith", "endsWith", "contains", "matches", "bool"}


class NeedsCustomerValue(Exception):
    """A condition mixes the value of an attribute with the request's context."""

    def __init__(self, attribute: str) -> None:
        self.attribute = attribute
        super().__init__(attribute)


class TooLarge(Exception):
    """The formula has more leaves than are taken."""


class Linker:
    """Turns expressions into formulas whose leaves name segments; `hoist` names the hoisted ones.

    `hoist(expression)` gets a canonical customer-only expression and returns its segment's name.
    """

    def __init__(self, hoist: Callable[[Expression], str]) -> None:
        self._hoist = hoist
        self._leaves = 0

    def link(self, expression: Expression) -> Formula:
        """The formula of an expression with qualified segment names.

        Raises NeedsCustomerValue or TooLarge.
        """
        self._leaves = 0
        return self._truth(expression, True)

    def _truth(self, expression: Expression, value: bool) -> Formula:
        kind = expression[0]
        if kind == "segment":
            return self._leaf(("bit" if value else "nobit", expression[1]))
        customer = contains(expression, "attr", "known", "segment")
        request = contains(expression, "context")
        if not customer and not request:
            return TRUE if _constant(expression) is value else FALSE
        if not customer:
            return self._leaf(("when", value, expression))
        if not request and not contains(expression, "segment"):
            return self._hoisted(expression, value)
        match kind:
            case "not":
                return self._truth(expression[1], not value)
            case "and" | "or":
                parts = tuple(self._truth(part, value) for part in expression[1:])
                return joined("all" if (kind == "and") is value else "any", parts)
            case "if":
                return self._choice(expression, value)
        if not request:
            return self._hoisted(expression, value)
        return self._leaf(("when", value, self._embedded(expression)))

    def _choice(self, expression: Expression, value: bool) -> Formula:
        _, condition, then, other = expression
        return joined(
            "any",
            (
                joined("all", (self._truth(condition, True), self._truth(then, value))),
                joined("all", (self._truth(condition, False), self._truth(other, value))),
            ),
        )

    def _leaf(self, leaf: Formula) -> Formula:
        self._leaves += 1
        if self._leaves > MAX_LEAVES:
            raise TooLarge
        return leaf

    def _hoisted(self, expression: Expression, value: bool) -> Formula:
        wanted = expression if value else _negated(expression)
        return self._leaf(("bit", self._hoist(canonical(wanted))))

    def _embedded(self, expression: Expression) -> Expression:
        """The expression with its customer-only parts replaced by bits."""
        kind = expression[0]
        if kind == "segment":
            return ("bit", expression[1])
        if not contains(expression, "attr", "known", "segment"):
            return expression
        if not contains(expression, "context") and _is_boolean(expression):
            true = self._hoist(canonical(expression))
            return ("tristate", true, self._hoist(canonical(_negated(expression))))
        if kind == "attr":
            raise NeedsCustomerValue(expression[1])
        return replace(expression, self._embedded)


def _constant(expression: Expression) -> Any:
    """The value of an expression without variables; None when it is an error."""
    try:
        return closure(expression)({}, 0)
    except EvaluationError:
        return None


def _negated(expression: Expression) -> Expression:
    return expression[1] if expression[0] == "not" else ("not", expression)


def _is_boolean(expression: Expression) -> bool:
    kind = expression[0]
    if kind == "attr":
        return bool(expression[2] == "bool")
    if kind == "call":
        return expression[1] in _BOOLEAN_CALLS
    if kind == "if":
        return _is_boolean(expression[2])
    return kind in _BOOLEAN


def joined(kind: str, parts: tuple[Formula, ...]) -> Formula:
    """`all` or `any` of the parts, flattened, without doubles, and settled where constants do."""
    neutral, settling = (TRUE, FALSE) if kind == "all" else (FALSE, TRUE)
    flat: dict[Formula, None] = {}
    for part in parts:
        if part == settling:
            return settling
        if part == neutral:
            continue
        flat.update(dict.fromkeys(part[1:] if part[0] == kind else (part,)))
    if len(flat) == 1:
        return next(iter(flat))
    return (kind, *flat)


def names_of(formula: Formula) -> Iterator[str]:
    """The segment names (or, once numbered, bits) that a formula reads."""
    kind = formula[0]
    if kind in ("bit", "nobit"):
        yield formula[1]
    elif kind == "when":
        yield from _names_in(formula[2])
    else:
        for part in formula[1:]:
            yield from names_of(part)


def _names_in(expression: Expression) -> Iterator[str]:
    if expression[0] == "bit":
        yield expression[1]
    elif expression[0] == "tristate":
        yield from expression[1:]
    else:
        for part in operands(expression):
            yield from _names_in(part)


def numbered(formula: Formula, index: Callable[[str], int]) -> Formula:
    """The formula with bit positions in place of segment names."""
    kind = formula[0]
    if kind in ("bit", "nobit"):
        return (kind, index(formula[1]))
    if kind == "when":
        return (kind, formula[1], _numbered_in(formula[2], index))
    return (kind, *(numbered(part, index) for part in formula[1:]))


def _numbered_in(expression: Expression, index: Callable[[str], int]) -> Expression:
    if expression[0] == "bit":
        return ("bit", index(expression[1]))
    if expression[0] == "tristate":
        return ("tristate", index(expression[1]), index(expression[2]))
    return replace(expression, lambda part: _numbered_in(part, index))
