"""The declared columns of customers, which expressions are type-checked against."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class AttributeType(StrEnum):
    """What a column holds; timestamps have microseconds."""

    STRING = "string"
    INT = "int"
    DOUBLE = "double"
    BOOL = "bool"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True, order=True)
class Attribute:
    """One column, written `customer.<name>` in rules."""

    name: str
    type: AttributeType


@dataclass(frozen=True)
class Schema:
    """All columns of an engine's customers; the order given does not matter.

    Names must be unique. A name that is no CEL identifier can be imported and kept, but no rule can
    name it, so it is left out of `addressable`.
    """

    attributes: tuple[Attribute, ...] = ()

    def __post_init__(self) -> None:
        """Sort, and refuse a name that is there twice (ValueError)."""
        ordered = tuple(sorted(self.attributes))
        for one, other in itertools.pairwise(ordered):
            if one.name == other.name:
                raise ValueError(f"attribute {one.name!r} is declared twice")
        object.__setattr__(self, "attributes", ordered)

    @cached_property
    def types(self) -> Mapping[str, AttributeType]:
        """Type by name."""
        return {attribute.name: attribute.type for attribute in self.attributes}

    @cached_property
    def addressable(self) -> tuple[Attribute, ...]:
        """The attributes that a rule can name."""
        return tuple(a for a in self.attributes if _IDENTIFIER.match(a.name))
