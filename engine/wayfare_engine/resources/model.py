"""What every model of a kind shares: strictness, camelCase names, and rules told in two languages.

A `Rule` is checked twice: by the API server, as CEL, and here, for files that never meet an API
server (`wayfare dev`). Both say the same sentence.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One thing that a schema alone cannot say.

    message: what is wrong and what to do, for a person.
    cel: for the API server; None when CEL cannot tell (then only the operator does).
    holds: the same for Python; None for rules on changes, which need the old object.
    message_expression, detail: the message with the culprit's name in it, in CEL and Python.
    """

    message: str
    cel: str | None = None
    holds: Callable[[Any], bool] | None = None
    message_expression: str | None = None
    detail: Callable[[Any], str] | None = None
    field_path: str | None = None

    def as_validation(self) -> dict[str, Any]:
        """The entry of `x-kubernetes-validations`."""
        entry: dict[str, Any] = {"rule": self.cel, "message": self.message}
        if self.message_expression:
            entry["messageExpression"] = self.message_expression
        if self.field_path:
            entry["fieldPath"] = self.field_path
        return entry


class Model(BaseModel):
    """Frozen, strict about unknown fields, camelCase outside and snake_case inside."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    rules: ClassVar[tuple[Rule, ...]] = ()
    _keyed_lists: ClassVar[tuple[tuple[str, str], ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls._keyed_lists = tuple(
            (name, field.alias or name)
            for name, field in cls.model_fields.items()
            if isinstance(field.json_schema_extra, dict)
            and field.json_schema_extra.get("x-kubernetes-list-map-keys") == ["name"]
        )

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        for field, alias in type(self)._keyed_lists:
            names = [entry.name for entry in getattr(self, field) or ()]
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{alias} has two entries of the name {name}")
        for rule in type(self).rules:
            if rule.holds is not None and not rule.holds(self):
                raise ValueError(rule.detail(self) if rule.detail else rule.message)
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        validations = [rule.as_validation() for rule in cls.rules if rule.cel]
        if validations:
            handler.resolve_ref_schema(schema)["x-kubernetes-validations"] = validations
        return schema


class Observed(BaseModel):
    """Status and metadata: written by machines, maybe newer ones, so unknown fields are let be."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )


class Metadata(Observed):
    """The part of Kubernetes' object metadata that Wayfare reads."""

    name: str = ""
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class Resource(Model):
    """One object of one of our kinds."""

    model_config = ConfigDict(extra="ignore")

    kind_name: ClassVar[str]

    metadata: Metadata = Field(default_factory=Metadata)

    @property
    def plan_name(self) -> str:
        """`namespace/name`: what plans and messages call this object."""
        return f"{self.metadata.namespace}/{self.metadata.name}"


def canonical(spec: Model) -> dict[str, Any]:
    """The spec as plain JSON values, without what equals a default.

    A later version that adds a field with a default leaves this, and so the digest, as it was.
    """
    return spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def canonical_bytes(spec: Model) -> bytes:
    """`canonical` as compact UTF-8 JSON with sorted keys."""
    return json.dumps(
        canonical(spec), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()
