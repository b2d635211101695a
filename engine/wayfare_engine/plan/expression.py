"""The expression form: nested tuples, in JSON nested arrays.

It is what plans carry, what segments evaluate over columns, and what decisions turn into closures.
The first item names the node:

| Node | Meaning |
|---|---|
| `["bool", true]`, `["int", 5]`, `["double", 2.5]`, `["string", "x"]`, `["null"]` | literals |
| `["list", item…]` | a list |
| `["attr", name, type]` | `customer.<name>`; an error when the customer has no value |
| `["known", name, type]` | `has(customer.<name>)` |
| `["segment", "ns/name"]` | membership in a segment, by name |
| `["bit", i]` | bit i of the customer's membership row |
| `["tristate", i, j]` | true if bit i, else false if bit j, else an error |
| `["context"]` | the request's context |
| `["get", operand, field]`, `["has", operand, field]`, `["index", operand, key]` | |
| `["not", a]`, `["and", a, b…]`, `["or", a, b…]`, `["if", condition, then, else]` | |
| `["eq", "ne", "lt", "le", "gt", "ge", "in", a, b]` | |
| `["add", "sub", "mul", "div", "mod", a, b]`, `["neg", a]` | |
| `["call", function, argument…]` | a named function; a method's receiver comes first |
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec

Expression: TypeAlias = tuple[Any, ...]

LITERALS = frozenset({"bool", "int", "double", "string", "null"})
LEAVES = LITERALS | {"attr", "known", "segment", "bit", "tristate", "context"}

_encode = msgspec.json.Encoder(order="sorted").encode


def canonical_bytes(value: object) -> bytes:
    """JSON with sorted keys and shortest exact numbers: equal values, equal bytes."""
    return _encode(value)


def digest(value: object) -> str:
    """`sha256:<64 hex>` of `canonical_bytes(value)`."""
    return "sha256:" + hashlib.sha256(canonical_bytes(value)).hexdigest()


def freeze(value: Any) -> Any:
    """Arrays as JSON gives them, turned into tuples, all the way down."""
    if isinstance(value, (list, tuple)):
        return tuple(freeze(item) for item in value)
    return value


def operands(expression: Expression) -> tuple[Expression, ...]:
    """The sub-expressions of a node."""
    kind = expression[0]
    if kind in LEAVES:
        return ()
    if kind == "call":
        return expression[2:]
    if kind in ("get", "has"):
        return (expression[1],)
    return expression[1:]


def replace(expression: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """The node with `change` applied to each of its direct operands."""
    kind = expression[0]
    if kind in LEAVES:
        return expression
    if kind == "call":
        return (kind, expression[1], *(change(item) for item in expression[2:]))
    if kind in ("get", "has"):
        return (kind, change(expression[1]), expression[2])
    return (kind, *(change(item) for item in expression[1:]))


def walk(expression: Expression) -> Iterator[Expression]:
    """The node and everything below it."""
    stack = [expression]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(operands(node))


def contains(expression: Expression, *kinds: str) -> bool:
    """Whether a node of one of `kinds` is anywhere in the expression."""
    return any(node[0] in kinds for node in walk(expression))


def segments_of(expression: Expression) -> frozenset[str]:
    """Names of the segments that the expression refers to."""
    return frozenset(node[1] for node in walk(expression) if node[0] == "segment")


def attributes_of(expression: Expression) -> frozenset[str]:
    """Names of the attributes that the expression reads."""
    return frozenset(node[1] for node in walk(expression) if node[0] in ("attr", "known"))


def canonical(expression: Expression) -> Expression:
    """The expression with `and` and `or` flattened, without constants, doubles and any order.

    The same value for the same inputs, errors included: both are commutative and idempotent in
    CEL's three-valued logic, with `true` and `false` as their neutral and settling elements.
    """
    changed = replace(expression, canonical)
    kind = changed[0]
    if kind not in ("and", "or"):
        return changed
    neutral: Expression = ("bool", kind == "and")
    flat: dict[bytes, Expression] = {}
    for item in changed[1:]:
        for part in item[1:] if item[0] == kind else (item,):
            if part[0] == "bool" and part != neutral:
                return ("bool", kind != "and")
            if part != neutral:
                flat[canonical_bytes(part)] = part
    if not flat:
        return neutral
    if len(flat) == 1:
        return next(iter(flat.values()))
    return (kind, *(flat[key] for key in sorted(flat)))
