"""The CEL front end: source text and schema → expression form, or ExpressionError.

With `environment` and `checked`, all that knows the CEL library. Parsing and type checking are the
library's; what this module adds is the expression form, a limit on what is accepted, and messages
that a person can act on. Nothing here raises anything but ExpressionError, whatever the source.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import Any

from wayfare_engine.plan import checked, wording
from wayfare_engine.plan.environment import environment_of
from wayfare_engine.plan.expression import Expression
from wayfare_engine.plan.functions import FUNCTIONS, pattern
from wayfare_engine.plan.problems import ExpressionError, place
from wayfare_engine.plan.schema import Schema
from wayfare_engine.plan.values import EvaluationError, to_duration
from wayfare_engine.plan.values import to_timestamp as _to_timestamp
from wayfare_engine.resources import Reason

MAX_LENGTH = 4096
MAX_NODES = 2000


class Scope(Enum):
    """What an expression may name; the value is how messages call it."""

    CUSTOMER = "a rule or an audience"
    REQUEST = "a condition on the request"


_OPERATORS = {
    "_==_": "eq",
    "_!=_": "ne",
    "_<_": "lt",
    "_<=_": "le",
    "_>_": "gt",
    "_>=_": "ge",
    "@in": "in",
    "_+_": "add",
    "_-_": "sub",
    "_*_": "mul",
    "_/_": "div",
    "_%_": "mod",
    "-_": "neg",
    "!_": "not",
    "_&&_": "and",
    "_||_": "or",
    "_?_:_": "if",
    "_[_]": "index",
}
_REFUSED_OVERLOADS = {
    "double_to_string": "string() of a double (its digits differ between implementations)",
    "duration_to_string": "string() of a duration",
    "bytes_to_string": "string() of bytes",
    "uint64_to_string": "string() of a uint",
    "size_bytes": "size() of bytes",
}
_FOLDED: dict[str, Callable[[Any], Any]] = {
    "timestamp": _to_timestamp,
    "duration": to_duration,
    "matches": pattern,
}
_PLACE = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_SEGMENT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?\Z")


@lru_cache(maxsize=20_000)
def _compile(source: str, schema: Schema, scope: Scope) -> Expression | ExpressionError:
    try:
        return _Compilation(source, schema, scope).run()
    except ExpressionError as error:
        return error.with_traceback(None)


def compile_expression(source: str, schema: Schema, scope: Scope) -> Expression:
    """The expression of a boolean source; segment names are as written. Raises ExpressionError.

    About 0.2 ms the first time, a look-up after (by source, schema and scope).
    """
    found = _compile(source, schema, scope)
    if isinstance(found, ExpressionError):
        raise found
    return found


class _Compilation:
    """One source on its way to an expression."""

    def __init__(self, source: str, schema: Schema, scope: Scope) -> None:
        self.source = source
        self.schema = schema
        self.scope = scope
        self.tree = checked.Tree(None, {}, {})
        self.nodes = 0

    def run(self) -> Expression:
        if len(self.source) > MAX_LENGTH:
            raise self.error(
                Reason.TOO_COMPLEX,
                f"the expression has {len(self.source)} characters, at most {MAX_LENGTH} are taken",
                0,
            )
        if not self.source.strip():
            raise self.error(Reason.SYNTAX_ERROR, "the expression is empty", 0)
        environment = environment_of(self.schema)
        try:
            compiled = environment.compile(self.source)
            kind = compiled.return_type().name()
            serialized = compiled.serialize()
        except TypeError:
            message = "the expression has characters that are not valid Unicode"
            raise self.error(Reason.SYNTAX_ERROR, message, 0) from None
        except RuntimeError as error:
            raise self.refusal(str(error), environment) from None
        self.tree = self.decode(serialized)
        expression = self.convert(self.tree.root)
        if kind != "BOOL" and not (kind == "DYN" and self.scope is Scope.REQUEST):
            found = wording.type_name(kind)
            raise self.error(
                Reason.TYPE_ERROR,
                f"the expression is {found}, but it must be true or false",
                self.offset(self.tree.root),
            )
        return expression

    def decode(self, serialized: bytes) -> checked.Tree:
        try:
            return checked.decode(serialized)
        except checked.TooDeep:
            message = "the expression is nested too deeply"
            raise self.error(Reason.TOO_COMPLEX, message, 0) from None

    # -- errors -----------------------------------------------------------------------------------

    def error(self, reason: Reason, message: str, offset: int) -> ExpressionError:
        line, column = place(self.source, offset)
        return ExpressionError(reason, message, self.source, line, column)

    def offset(self, node: Any) -> int:
        return self.tree.positions.get(node.id, 0)

    def refusal(self, text: str, environment: Any) -> ExpressionError:
        """What the library's error text says, in our words."""
        if "recursion" in text:
            return self.error(Reason.TOO_COMPLEX, "the expression is nested too deeply", 0)
        found = _PLACE.search(text)
        if found is None or int(found[1]) < 1:
            return self.error(Reason.SYNTAX_ERROR, "the expression cannot be read", 0)
        line, column = int(found[1]), int(found[2])
        lines = self.source.split("\n")
        offset = sum(len(one) + 1 for one in lines[: line - 1]) + column - 1
        said = found[3].removesuffix(" [INVALID_ARGUMENT]")
        tree = None
        if "overload" in said:
            try:
                parsed = environment.compile(self.source, disable_check=True).serialize()
                tree = checked.decode(parsed)
            except (RuntimeError, checked.TooDeep):
                tree = None
        reason, message = wording.explain(said, tree, offset, self.schema)
        return ExpressionError(reason, message, self.source, line, column)

    # -- conversion -------------------------------------------------------------------------------

    def convert(self, node: Any) -> Expression:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            message = f"the expression has more than {MAX_NODES} parts"
            raise self.error(Reason.TOO_COMPLEX, message, self.offset(node))
        kind = node.WhichOneof("expr_kind")
        match kind:
            case "const_expr":
                return self.constant(node)
            case "ident_expr":
                return self.identifier(node)
            case "select_expr":
                return self.selection(node)
            case "list_expr":
                return ("list", *(self.convert(item) for item in node.list_expr.elements))
            case "call_expr":
                return self.call(node)
        what = {
            "struct_expr": "maps and messages",
            "comprehension_expr": "all(), exists(), filter() and map()",
        }.get(kind, "this construct")
        raise self.unsupported(what, node)

    def unsupported(self, what: str, node: Any) -> ExpressionError:
        message = f"{what} cannot be used in rules yet"
        return self.error(Reason.NOT_SUPPORTED_YET, message, self.offset(node))

    def constant(self, node: Any) -> Expression:
        const = node.const_expr
        match const.WhichOneof("constant_kind"):
            case "bool_value":
                return ("bool", const.bool_value)
            case "int64_value":
                return ("int", const.int64_value)
            case "double_value":
                if not math.isfinite(const.double_value):
                    message = "the number is too large for a double"
                    raise self.error(Reason.INVALID_SPEC, message, self.offset(node))
                return ("double", const.double_value)
            case "string_value":
                return ("string", const.string_value)
            case "null_value":
                return ("null",)
        raise self.unsupported("bytes and unsigned numbers", node)

    def identifier(self, node: Any) -> Expression:
        name = node.ident_expr.name.removeprefix(".")
        if name == "context":
            if self.scope is not Scope.REQUEST:
                message = (
                    f"{self.scope.value} knows the customer only: "
                    "conditions on `context` belong in `when`"
                )
                raise self.error(Reason.TYPE_ERROR, message, self.offset(node))
            return ("context",)
        if name == "customer":
            message = "`customer` alone is no value: name a column, as in customer.age"
            raise self.error(Reason.TYPE_ERROR, message, self.offset(node))
        raise self.unsupported(f"`{name}`", node)

    def attribute(self, kind: str, name: str, node: Any) -> Expression:
        declared = self.schema.types.get(name)
        if declared is None:
            message = wording.unknown_attribute(name, self.schema)
            raise self.error(Reason.UNKNOWN_ATTRIBUTE, message, self.offset(node))
        return (kind, name, declared.value)

    def selection(self, node: Any) -> Expression:
        select = node.select_expr
        operand = select.operand
        if operand.WhichOneof("expr_kind") == "ident_expr":
            name = operand.ident_expr.name.removeprefix(".")
            if name == "customer":
                kind = "known" if select.test_only else "attr"
                return self.attribute(kind, select.field, node)
        return ("has" if select.test_only else "get", self.convert(operand), select.field)

    def call(self, node: Any) -> Expression:
        call = node.call_expr
        for overload in self.tree.overloads.get(node.id, ()):
            refused = _REFUSED_OVERLOADS.get(overload)
            if refused and len(self.tree.overloads[node.id]) == 1:
                raise self.unsupported(refused, node)
        name = call.function
        if name == "segment":
            return self.segment(node)
        given = [call.target, *call.args] if call.HasField("target") else list(call.args)
        if name in _OPERATORS:
            kind = _OPERATORS[name]
            arguments = tuple(self.convert(item) for item in given)
            if kind in ("and", "or"):
                arguments = _flattened(kind, arguments)
            return (kind, *arguments)
        if name not in FUNCTIONS:
            raise self.unsupported(f"{name}()", node)
        converted = ("call", name, *(self.convert(item) for item in given))
        self.check_text(converted, given[-1])
        return converted

    def check_text(self, call: Expression, node: Any) -> None:
        """Refuse a literal that can never work: a bad pattern, timestamp or duration."""
        check = _FOLDED.get(call[1])
        if check is None or call[-1][0] != "string":
            return
        try:
            check(call[-1][1])
        except EvaluationError as error:
            raise self.error(Reason.INVALID_SPEC, str(error), self.offset(node)) from None

    def segment(self, node: Any) -> Expression:
        argument = node.call_expr.args[0]
        const = argument.const_expr
        if (
            argument.WhichOneof("expr_kind") != "const_expr"
            or const.WhichOneof("constant_kind") != "string_value"
        ):
            message = 'segment() takes a name in quotes, as in segment("savers")'
            raise self.error(Reason.TYPE_ERROR, message, self.offset(argument))
        name = const.string_value
        if not _SEGMENT_NAME.match(name) or len(name) > 316:
            message = 'a segment is named as "name", or "namespace/name" in another namespace'
            raise self.error(Reason.INVALID_SPEC, message, self.offset(argument))
        return ("segment", name)


def _flattened(kind: str, arguments: tuple[Expression, ...]) -> tuple[Expression, ...]:
    flat: list[Expression] = []
    for argument in arguments:
        flat.extend(argument[1:] if argument[0] == kind else (argument,))
    return tuple(flat)
