"""The CEL library's errors in words that say what to write instead."""

from __future__ import annotations

import difflib
import re
from typing import Any

from wayfare_engine.plan.checked import Tree
from wayfare_engine.plan.schema import Schema
from wayfare_engine.resources import Reason

_OVERLOAD = re.compile(r"found no matching overload for '(.+?)' applied to '(.*)'")
_UNDECLARED = re.compile(r"undeclared reference to '(.+?)'")
_UNDEFINED = re.compile(r"undefined field '(.+?)' not found in struct")
_SYMBOL = re.compile(r"_?(\W+)_?\Z")
CUSTOMER_TYPE = "wayfare.Customer"
_ARTICLES = {"int": "an int", "any": "any value", "null": "null"}


def type_name(kind: str) -> str:
    """A CEL type with its article: `an int`, `a double`."""
    if kind == CUSTOMER_TYPE:
        return "the customer as a whole"
    kind = {"google.protobuf.Timestamp": "timestamp", "google.protobuf.Duration": "duration"}.get(
        kind, kind.lower()
    )
    kind = "null" if kind == "null_type" else kind
    return _ARTICLES.get(kind, f"a {kind}")


def unknown_attribute(name: str, schema: Schema) -> str:
    """That no column has this name, and which one may have been meant."""
    names = [attribute.name for attribute in schema.addressable]
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"customers have no attribute {name!r}; did you mean customer.{close[0]}?"
    if not names:
        return f"customers have no attribute {name!r}: the engine declares none, and none is loaded"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"customers have no attribute {name!r}; there are {shown}"


def explain(said: str, tree: Tree | None, offset: int, schema: Schema) -> tuple[Reason, str]:
    """Reason and message for the library's text `said` about the place at `offset`."""
    undeclared = _UNDECLARED.search(said)
    if undeclared:
        return _undeclared(undeclared[1], schema)
    undefined = _UNDEFINED.search(said)
    if undefined:
        return Reason.UNKNOWN_ATTRIBUTE, unknown_attribute(undefined[1], schema)
    overload = _OVERLOAD.search(said)
    if overload:
        kinds = _split_types(overload[2])
        return Reason.TYPE_ERROR, _overload(overload[1], kinds, _node_at(tree, offset))
    if "Syntax error" in said:
        return Reason.SYNTAX_ERROR, _syntax(said.partition("Syntax error: ")[2] or said)
    if "invalid int literal" in said:
        return Reason.INVALID_SPEC, "the number does not fit into 64 bits"
    if "unsupported syntax" in said:
        return Reason.NOT_SUPPORTED_YET, f"{said} in rules"
    return Reason.TYPE_ERROR, said


def _undeclared(name: str, schema: Schema) -> tuple[Reason, str]:
    known = schema.types
    if name in known:
        return Reason.UNKNOWN_ATTRIBUTE, f"{name!r} is not known; did you mean customer.{name}?"
    close = difflib.get_close_matches(name.partition(".")[0], ["customer", "context"], n=1)
    if close:
        rest = name.partition(".")[2]
        meant = f"{close[0]}.{rest}" if rest else close[0]
        return Reason.UNKNOWN_ATTRIBUTE, f"{name!r} is not known; did you mean {meant}?"
    functions = difflib.get_close_matches(name, _FUNCTION_NAMES, n=1)
    if functions:
        message = f"{name!r} is not known; did you mean {functions[0]}()?"
        return Reason.TYPE_ERROR, message
    return Reason.SYNTAX_ERROR, (
        f"{name!r} is not known: columns are customer.<column>, segments are "
        'segment("name"), the request is context.<field>, and texts stand in quotes'
    )


def _syntax(said: str) -> str:
    if "mismatched input '<EOF>'" in said or "at '<EOF>'" in said:
        missing = re.search(r"missing '(.)' at", said)
        if missing:
            return f"the expression ends where {missing[1]!r} is missing"
        return "the expression ends too early"
    if re.search(r"token recognition error at: '=(?!=)", said):
        return "a comparison is written ==, not ="
    if re.search(r"token recognition error at: '[\"']", said):
        return "a text in quotes is not closed"
    shorter = said.partition(" expecting ")[0]
    return f"this cannot be read: {shorter}"


def _split_types(text: str) -> list[str]:
    """The types in `(int, list(string), double)` or `string.(int)`, outer level only."""
    receiver, _, rest = text.partition(".(") if ".(" in text else ("", "", text)
    inner = rest.strip("() ") if not rest.startswith("(") else rest[1:-1]
    inner = inner if not receiver else rest.removesuffix(")")
    parts, depth, start = [], 0, 0
    for position, character in enumerate(inner):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(inner[start:position].strip())
            start = position + 1
    parts.append(inner[start:].strip())
    return [part for part in ([receiver] if receiver else []) + parts if part]


def _node_at(tree: Tree | None, offset: int) -> Any:
    """The call at a place, from the unchecked tree."""
    if tree is None:
        return None
    stack = [tree.root]
    while stack:
        node = stack.pop()
        kind = node.WhichOneof("expr_kind")
        if kind == "call_expr":
            if tree.positions.get(node.id) == offset:
                return node.call_expr
            if node.call_expr.HasField("target"):
                stack.append(node.call_expr.target)
            stack.extend(node.call_expr.args)
        elif kind == "select_expr":
            stack.append(node.select_expr.operand)
        elif kind == "list_expr":
            stack.extend(node.list_expr.elements)
    return None


def _written(node: Any) -> str | None:
    """A short operand as its author wrote it."""
    kind = node.WhichOneof("expr_kind")
    if kind == "ident_expr":
        return str(node.ident_expr.name)
    if kind == "select_expr" and not node.select_expr.test_only:
        inner = _written(node.select_expr.operand)
        return f"{inner}.{node.select_expr.field}" if inner else None
    if kind == "const_expr":
        const = node.const_expr
        which = const.WhichOneof("constant_kind")
        if which == "string_value":
            return f'"{const.string_value}"' if len(const.string_value) < 40 else None
        if which == "bool_value":
            return "true" if const.bool_value else "false"
        if which in ("int64_value", "double_value"):
            return repr(getattr(const, which))
    return None


def _overload(function: str, kinds: list[str], call: Any) -> str:
    symbol = _SYMBOL.match(function)
    shown = {"@in": "in", "_?_:_": "?:", "_[_]": "[]"}.get(
        function, symbol[1] if symbol else f"{function}()"
    )
    if function == "_[_]" and kinds[:1] == [CUSTOMER_TYPE]:
        return "write the column after a dot, as in customer.age"
    nodes = []
    if call is not None:
        nodes = [call.target, *call.args] if call.HasField("target") else list(call.args)
    written = [_written(node) for node in nodes] if len(nodes) == len(kinds) else []
    named = [
        f"{text} is {type_name(kind)}"
        for text, kind in zip(written, kinds, strict=False)
        if text and text[0] not in '"-0123456789' and text not in ("true", "false")
    ]
    what = " and ".join(type_name(kind) for kind in kinds)
    message = f"{shown!r} does not work on {what}"
    hint = _hint(kinds, written)
    if named and hint:
        return f"{', '.join(named)}: {hint}"
    return f"{message}: {hint}" if hint else f"{message}{': ' if named else ''}{', '.join(named)}"


def _hint(kinds: list[str], written: list[str | None]) -> str | None:
    if len(kinds) != 2:
        return None
    texts = written or [None, None]
    for mine, other, text, other_text in (
        (kinds[0], kinds[1], texts[0], texts[1]),
        (kinds[1], kinds[0], texts[1], texts[0]),
    ):
        literal = bool(text) and (text or "")[0] in "-0123456789"
        if mine == "int" and other == "double" and literal:
            return f"write {text}.0"
        if mine == "double" and other == "int" and literal and text:
            whole = text.removesuffix(".0")
            return f"write {whole}" if whole != text else f"write double({other_text or '…'})"
        if mine == "int" and other == "string" and literal:
            return f'write "{text}"'
        if mine == "bool" and other == "string" and text in ("true", "false"):
            return f'compare with a text, such as "{"yes" if text == "true" else "no"}"'
    if set(kinds) == {"int", "double"}:
        number = texts[kinds.index("int")]
        return f"write double({number or '…'})"
    return None


_FUNCTION_NAMES = [
    "segment",
    "has",
    "size",
    "startsWith",
    "endsWith",
    "contains",
    "matches",
    "lowerAscii",
    "upperAscii",
    "trim",
    "timestamp",
    "duration",
    "int",
    "double",
    "string",
    "bool",
]
