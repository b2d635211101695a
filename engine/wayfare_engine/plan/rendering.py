"""Expressions back as text, for explanations: what a person would have written."""

from __future__ import annotations

import json

from wayfare_engine.plan.expression import Expression

_BINARY = {
    "or": ("||", 1),
    "and": ("&&", 2),
    "eq": ("==", 3),
    "ne": ("!=", 3),
    "lt": ("<", 3),
    "le": ("<=", 3),
    "gt": (">", 3),
    "ge": (">=", 3),
    "in": ("in", 3),
    "add": ("+", 4),
    "sub": ("-", 4),
    "mul": ("*", 5),
    "div": ("/", 5),
    "mod": ("%", 5),
}
_GLOBAL = {"int", "double", "string", "bool", "timestamp", "duration", "size"}


def rendered(expression: Expression, binding: int = 0) -> str:
    """The expression as CEL; `binding` is the precedence around it."""
    kind = expression[0]
    if kind in _BINARY:
        symbol, mine = _BINARY[kind]
        # The right side of - / % must not take over the left's place.
        inner = [rendered(part, mine + (i > 0)) for i, part in enumerate(expression[1:])]
        text = f" {symbol} ".join(inner)
        return f"({text})" if mine < binding else text
    match kind:
        case "bool":
            return "true" if expression[1] else "false"
        case "int" | "double":
            return repr(expression[1])
        case "string":
            return json.dumps(expression[1], ensure_ascii=False)
        case "null":
            return "null"
        case "list":
            return f"[{', '.join(rendered(item) for item in expression[1:])}]"
        case "attr":
            return f"customer.{expression[1]}"
        case "known":
            return f"has(customer.{expression[1]})"
        case "segment":
            return f'segment("{expression[1]}")'
        case "context":
            return "context"
        case "bit" | "tristate":
            return f"<membership {expression[1]}>"
        case "get":
            return f"{rendered(expression[1], 7)}.{expression[2]}"
        case "has":
            return f"has({rendered(expression[1], 7)}.{expression[2]})"
        case "index":
            return f"{rendered(expression[1], 7)}[{rendered(expression[2])}]"
        case "not" | "neg":
            text = ("!" if kind == "not" else "-") + rendered(expression[1], 6)
            return f"({text})" if binding > 6 else text
        case "if":
            condition, then, other = (rendered(part, 1) for part in expression[1:])
            text = f"{condition} ? {then} : {other}"
            return f"({text})" if binding else text
    name, *arguments = expression[1:]
    if name in _GLOBAL:
        return f"{name}({', '.join(map(rendered, arguments))})"
    receiver, *rest = arguments
    return f"{rendered(receiver, 7)}.{name}({', '.join(map(rendered, rest))})"
