"""The plan as a value and as bytes: content-addressed, the same for the same inputs."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

import msgspec

from wayfare_engine.plan.expression import canonical_bytes, freeze

FORMAT = 1


class PlanFormatError(Exception):
    """Bytes that are no plan, or a plan of a newer format than this version reads."""


class PlanSegment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A segment's place in the row, and how its membership is computed.

    name: `namespace/name`, or `~<16 hex>` for one hoisted out of an audience or a condition.
    index: bit position in a customer's row.
    key: digest of everything that the membership depends on except the customers.
    kind: `rule`, `list` or `hoisted`.
    """

    name: str
    index: int
    key: str
    kind: str
    expression: Any = None
    customers: tuple[str, ...] | None = None


class PlanWindow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of the week: minutes of the day, end excluded, past midnight when end <= start.

    days: on which it starts, Monday is 0; empty means every day.
    """

    start: int
    end: int
    days: tuple[int, ...] = ()


class PlanSchedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a candidate is active; `start` and `end` in microseconds since 1970, end excluded."""

    start: int | None = None
    end: int | None = None
    zone: str = "UTC"
    windows: tuple[PlanWindow, ...] = ()


class Candidate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A slot node of a journey: what may be shown in the slot, to whom, when.

    audience, condition: formulas (see `formula`).
    content: the very object that the journey's source has; `content_of` finds it.
    channel: what is shown leads to it, so that it is not shown while nothing leaves through it;
    alternative: what is shown then instead, also from the source; None: nothing is.
    """

    journey: str
    node: str
    priority: int
    audience: Any
    condition: Any = ("all",)
    schedule: PlanSchedule | None = None
    paused: bool = False
    content: dict[str, Any] = {}
    channel: str | None = None
    alternative: dict[str, Any] | None = None


class PlanChannel(msgspec.Struct, frozen=True, kw_only=True):
    """A way out. url: where its host speaks the channel contract, empty where
    it has none; digest and spec: of its
    Channel."""

    url: str
    digest: str
    spec: dict[str, Any]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The spec that a segment or journey in the plan was compiled from."""

    digest: str
    spec: dict[str, Any]


class PlanAttribute(msgspec.Struct, frozen=True):
    """A column that the plan was type-checked against."""

    name: str
    type: str


class Plan(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """All segments and journeys of one engine, compiled.

    slots: by slot name, candidates in order: priority descending, journey, node.
    sources: by kind, then by `namespace/name`.
    channels: by `namespace/name`.
    governance: of the Engine's spec, as JSON; bounds on every send.

    Contents are most of a plan's bytes, and stand in them once: in the sources.
    """

    format: int
    engine: str
    attributes: tuple[PlanAttribute, ...]
    segments: tuple[PlanSegment, ...]
    slots: dict[str, tuple[Candidate, ...]]
    sources: dict[str, dict[str, Source]]
    channels: dict[str, PlanChannel] = {}
    governance: dict[str, Any] = {}

    @cached_property
    def digest(self) -> str:
        """`sha256:<64 hex>` of `to_bytes()`."""
        return "sha256:" + hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """The canonical bytes, made anew each time: they are too many to be kept."""
        slots = {slot: tuple(map(_bare, found)) for slot, found in self.slots.items()}
        return canonical_bytes(msgspec.structs.replace(self, slots=slots))

    @staticmethod
    def from_bytes(data: bytes) -> Plan:
        """The plan in canonical bytes; raises PlanFormatError."""
        try:
            head = msgspec.json.decode(data, type=_Head)
            if head.format > FORMAT:
                raise PlanFormatError(
                    f"the plan has format {head.format}, this version reads up to {FORMAT}"
                )
            plan = msgspec.json.decode(data, type=Plan)
            return msgspec.structs.replace(
                plan,
                segments=tuple(
                    msgspec.structs.replace(segment, expression=freeze(segment.expression))
                    for segment in plan.segments
                ),
                slots={
                    slot: tuple(_whole(each, plan.sources) for each in found)
                    for slot, found in plan.slots.items()
                },
            )
        except (AttributeError, TypeError) as error:
            raise PlanFormatError(f"not a plan: a source is no spec: {error}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise PlanFormatError(f"not a plan: {error}") from None

    @cached_property
    def journeys(self) -> frozenset[str]:
        """Names of the journeys that are in the plan."""
        return frozenset(self.sources.get("Journey", ()))


class _Head(msgspec.Struct):
    format: int


def content_of(journey: Source, node: str) -> dict[str, Any]:
    """The content of a journey's slot node, as its source has it; empty when it has none."""
    content: dict[str, Any] = _slot_of(journey, node).get("content") or {}
    return content


def alternative_of(journey: Source, node: str) -> dict[str, Any] | None:
    """What a journey's slot node shows while its channel is open, as its source has it."""
    found: dict[str, Any] | None = _slot_of(journey, node).get("alternative")
    return found


def _slot_of(journey: Source, node: str) -> dict[str, Any]:
    for each in journey.spec.get("nodes") or ():
        if each.get("name") == node:
            slot: dict[str, Any] = each.get("slot") or {}
            return slot
    return {}


def _bare(candidate: Candidate) -> Candidate:
    return msgspec.structs.replace(candidate, content={}, alternative=None)


def _whole(candidate: Candidate, sources: dict[str, dict[str, Source]]) -> Candidate:
    source = sources.get("Journey", {}).get(candidate.journey)
    if source is None:
        raise PlanFormatError(
            f"not a plan: slot node {candidate.node} of journey {candidate.journey} has no source"
        )
    return msgspec.structs.replace(
        candidate,
        audience=freeze(candidate.audience),
        condition=freeze(candidate.condition),
        content=content_of(source, candidate.node),
        alternative=alternative_of(source, candidate.node),
    )
