"""Segment: a named set of customers."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from .fields import (
    CelRule,
    CronSchedule,
    CustomerId,
    Description,
    Digest,
    Identifier,
    TimeZone,
    atomic_list,
)
from .model import Model, Resource, Rule
from .references import AllowedNamespaces, EngineRef, SegmentRef
from .status import LongText, Moment, ResourceStatus

SOURCES = ("rule", "sql", "list", "lookalike")


class SqlSource(Model):
    """Customers by a query in the engine's warehouse."""

    query: CelRule = Field(description="A query whose first column is the customer's id.")


class ListSource(Model):
    """Customers by name."""

    customers: tuple[CustomerId, ...] = Field(
        description="The customers' ids, at most 10,000; ids that the engine does not know are "
        "left out.",
        max_length=10_000,
        json_schema_extra=atomic_list(),
    )


class LookalikeSource(Model):
    """The customers most like those of another segment."""

    seed: SegmentRef = Field(description="The segment whose customers serve as examples.")
    size: int = Field(ge=1, le=100_000_000, description="How many customers to take.")
    attributes: tuple[Identifier, ...] = Field(
        (),
        description="Attributes to compare by; none means all that are not sensitive.",
        max_length=128,
        json_schema_extra=atomic_list(),
    )


class Refresh(Model):
    """When the segment is computed again, besides on every change of it and of customers."""

    schedule: CronSchedule | None = Field(
        None, description="A cron line of five fields, or @hourly, @daily, @weekly, @monthly."
    )
    time_zone: TimeZone = Field("UTC", description="IANA time zone of the schedule.")


def _one_source(spec: SegmentSpec) -> bool:
    return sum(getattr(spec, source) is not None for source in SOURCES) == 1


class SegmentSpec(Model):
    """Which customers the segment holds; exactly one of rule, sql, list and lookalike."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="[has(self.rule), has(self.sql), has(self.list), has(self.lookalike)]"
            ".filter(present, present).size() == 1",
            holds=_one_source,
            message="a segment has exactly one of rule, sql, list and lookalike",
        ),
    )

    engine_ref: EngineRef = Field(description="The engine that computes the segment.")
    description: Description | None = Field(None, description="What the segment is for.")
    rule: CelRule | None = Field(
        None,
        description="A CEL expression over a customer's attributes and other segments, such as "
        'customer.age >= 55 && !segment("in-default"). A customer for whom it is true belongs to '
        "the segment; one for whom it is an error, such as an attribute that is not known, does "
        "not.",
    )
    sql: SqlSource | None = Field(None, description="Customers by a query.")
    lookalike: LookalikeSource | None = Field(
        None, description="The customers most like those of another segment."
    )
    refresh: Refresh | None = Field(
        None,
        description="When it is computed again besides. Accepted; used by a later version.",
    )
    allowed_namespaces: AllowedNamespaces | None = Field(
        None,
        description="From which namespaces journeys and segments may refer to this segment; "
        "absent means its own only.",
    )
    # Last: the name hides the built-in type from what follows it.
    list: ListSource | None = Field(None, description="Customers by name.")


class SegmentStatus(ResourceStatus):
    """What was computed, and when."""

    size: int | None = Field(None, ge=0, description="How many customers the segment holds.")
    as_of: Moment | None = Field(None, description="The moment whose customers were looked at.")
    digest: Digest | None = Field(None, description="Digest of the members, for comparing.")
    duration_seconds: float | None = Field(
        None, ge=0, description="How long the last computing took."
    )
    spec_digest: Digest | None = Field(
        None, description="Digest of the spec that size and digest belong to."
    )
    error: LongText | None = Field(None, description="What went wrong in the last computing.")


class Segment(Resource):
    """A named set of customers, by a rule, a query, a list, or likeness to another segment."""

    kind_name: ClassVar[str] = "Segment"

    spec: SegmentSpec = Field(description="Which customers the segment holds.")
    status: SegmentStatus = Field(
        default_factory=SegmentStatus, description="What was computed; written by the operator."
    )
