"""What the CEL library is told: types of columns, functions, variables."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings
from google.protobuf import descriptor_pb2, descriptor_pool, timestamp_pb2

from wayfare_engine.plan.schema import AttributeType, Schema
from wayfare_engine.plan.wording import CUSTOMER_TYPE

_FIELD = descriptor_pb2.FieldDescriptorProto
_FIELD_TYPES = {
    AttributeType.STRING: _FIELD.TYPE_STRING,
    AttributeType.INT: _FIELD.TYPE_INT64,
    AttributeType.DOUBLE: _FIELD.TYPE_DOUBLE,
    AttributeType.BOOL: _FIELD.TYPE_BOOL,
    AttributeType.TIMESTAMP: _FIELD.TYPE_MESSAGE,
}


@lru_cache(maxsize=32)
def environment_of(schema: Schema) -> Any:
    """The library's environment for a schema: its columns, the context, and segment()."""
    segment = cel.Overload(
        "segment_string",
        return_type=cel.Type.BOOL,
        parameters=[cel.Type.STRING],
        is_member=False,
    )
    return cel.NewEnv(
        descriptor_pool=_descriptors(schema),
        variables={
            "customer": cel.Type(CUSTOMER_TYPE),
            "context": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
        },
        functions=[cel.FunctionDecl("segment", [segment])],
        extensions=[ext_strings.ExtStrings()],
    )


def _descriptors(schema: Schema) -> descriptor_pool.DescriptorPool:
    """A message type for `customer`: the checker then knows columns' types, and `has()` of them."""
    package, _, name = CUSTOMER_TYPE.rpartition(".")
    moment = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(moment)
    file = descriptor_pb2.FileDescriptorProto(
        name="wayfare/customer.proto", package=package, syntax="proto2", dependency=[moment.name]
    )
    message = file.message_type.add(name=name)
    # Field numbers 19000 to 19999 are reserved; a schema has at most some hundred columns.
    for number, attribute in enumerate(schema.addressable, start=1):
        field = message.field.add(
            name=attribute.name,
            json_name=f"column{number}",
            number=number,
            label=_FIELD.LABEL_OPTIONAL,
            type=_FIELD_TYPES[attribute.type],
        )
        if attribute.type is AttributeType.TIMESTAMP:
            field.type_name = ".google.protobuf.Timestamp"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(moment)
    pool.Add(file)
    return pool
