"""Reading what the CEL library serializes: `cel.expr.CheckedExpr` and `ParsedExpr`.

The library's wheel brings no Python classes for these messages, so the fields in use are declared
here (numbers from the CEL specification's proto/cel/expr/{syntax,checked}.proto).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_FIELD = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "wayfare.cel.expr"


class TooDeep(Exception):
    """The expression is nested more deeply than the decoder allows."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A decoded expression: its root node, code-point offsets and overloads by node id."""

    root: Any
    positions: Mapping[int, int]
    overloads: Mapping[int, tuple[str, ...]]


def _field(
    message: descriptor_pb2.DescriptorProto,
    name: str,
    number: int,
    kind: int | str,
    *,
    repeated: bool = False,
    oneof: int | None = None,
) -> None:
    field = message.field.add(
        name=name,
        number=number,
        label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL,
    )
    if isinstance(kind, str):
        field.type = _FIELD.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
    else:
        field.type = kind
    if oneof is not None:
        field.oneof_index = oneof


def _declare() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="wayfare/cel/expr.proto", package=_PACKAGE, syntax="proto3"
    )

    constant = file.message_type.add(name="Constant")
    constant.oneof_decl.add(name="constant_kind")
    for name, number, kind in (
        ("null_value", 1, _FIELD.TYPE_INT32),
        ("bool_value", 2, _FIELD.TYPE_BOOL),
        ("int64_value", 3, _FIELD.TYPE_INT64),
        ("uint64_value", 4, _FIELD.TYPE_UINT64),
        ("double_value", 5, _FIELD.TYPE_DOUBLE),
        ("string_value", 6, _FIELD.TYPE_STRING),
        ("bytes_value", 7, _FIELD.TYPE_BYTES),
    ):
        _field(constant, name, number, kind, oneof=0)

    ident = file.message_type.add(name="Ident")
    _field(ident, "name", 1, _FIELD.TYPE_STRING)

    select = file.message_type.add(name="Select")
    _field(select, "operand", 1, "Expr")
    _field(select, "field", 2, _FIELD.TYPE_STRING)
    _field(select, "test_only", 3, _FIELD.TYPE_BOOL)

    call = file.message_type.add(name="Call")
    _field(call, "target", 1, "Expr")
    _field(call, "function", 2, _FIELD.TYPE_STRING)
    _field(call, "args", 3, "Expr", repeated=True)

    items = file.message_type.add(name="CreateList")
    _field(items, "elements", 1, "Expr", repeated=True)

    # Their content is never read: maps, messages and comprehensions are refused by their presence.
    file.message_type.add(name="Opaque")

    expr = file.message_type.add(name="Expr")
    expr.oneof_decl.add(name="expr_kind")
    _field(expr, "id", 2, _FIELD.TYPE_INT64)
    for name, number, message in (
        ("const_expr", 3, "Constant"),
        ("ident_expr", 4, "Ident"),
        ("select_expr", 5, "Select"),
        ("call_expr", 6, "Call"),
        ("list_expr", 7, "CreateList"),
        ("struct_expr", 8, "Opaque"),
        ("comprehension_expr", 9, "Opaque"),
    ):
        _field(expr, name, number, message, oneof=0)

    position = file.message_type.add(name="Position")
    _field(position, "key", 1, _FIELD.TYPE_INT64)
    _field(position, "value", 2, _FIELD.TYPE_INT32)
    source = file.message_type.add(name="SourceInfo")
    _field(source, "positions", 4, "Position", repeated=True)

    reference = file.message_type.add(name="Reference")
    _field(reference, "overload_id", 3, _FIELD.TYPE_STRING, repeated=True)
    entry = file.message_type.add(name="ReferenceEntry")
    _field(entry, "key", 1, _FIELD.TYPE_INT64)
    _field(entry, "value", 2, "Reference")

    checked = file.message_type.add(name="CheckedExpr")
    _field(checked, "reference_map", 2, "ReferenceEntry", repeated=True)
    _field(checked, "expr", 4, "Expr")
    _field(checked, "source_info", 5, "SourceInfo")

    parsed = file.message_type.add(name="ParsedExpr")
    _field(parsed, "expr", 2, "Expr")
    _field(parsed, "source_info", 3, "SourceInfo")

    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in ("CheckedExpr", "ParsedExpr")
    }


_MESSAGES = _declare()


def decode(serialized: bytes) -> Tree:
    """The tree in an expression's serialized form; raises TooDeep."""
    envelope = any_pb2.Any.FromString(serialized)
    message = _MESSAGES[envelope.type_url.rpartition(".")[2]]
    try:
        tree = message.FromString(envelope.value)
    except DecodeError as error:
        raise TooDeep from error
    return Tree(
        root=tree.expr,
        positions={entry.key: entry.value for entry in tree.source_info.positions},
        overloads={
            entry.key: tuple(entry.value.overload_id)
            for entry in getattr(tree, "reference_map", ())
        },
    )
