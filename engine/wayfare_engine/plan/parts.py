"""One version of one resource, read into expressions; pure functions of its spec and the schema.

Raises Unreadable with every problem of the spec; nothing here knows other resources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from wayfare_engine.plan import times
from wayfare_engine.plan.cel import Scope, compile_expression
from wayfare_engine.plan.expression import Expression, canonical_bytes, replace, segments_of
from wayfare_engine.plan.format import PlanSchedule, PlanWindow
from wayfare_engine.plan.problems import CompileProblem, ExpressionError, place, with_caret
from wayfare_engine.plan.schema import Schema
from wayfare_engine.resources import ChannelRef, Journey, Node, Reason, Schedule, Segment
from wayfare_engine.resources.timing import Window

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Unreadable(Exception):
    """A spec that does not compile by itself."""

    def __init__(self, problems: tuple[CompileProblem, ...]) -> None:
        self.problems = problems
        super().__init__(problems)


@dataclass(frozen=True, slots=True)
class Placed:
    """An expression with qualified segment names, and where it stands."""

    path: str
    source: str
    expression: Expression

    def problem(self, reason: Reason, message: str, near: str = "") -> CompileProblem:
        """A problem of this expression, at the first place where `near` is written."""
        offset = max(self.source.find(near), 0)
        line, column = place(self.source, offset)
        return CompileProblem(
            self.path, line, column, reason, with_caret(message, self.source, line, column)
        )


@dataclass(frozen=True, slots=True)
class SegmentParts:
    """A segment: a rule or a list of customer ids."""

    rule: Placed | None
    customers: tuple[str, ...] | None

    def expressions(self) -> tuple[Placed, ...]:
        """All expressions of the segment."""
        return (self.rule,) if self.rule else ()


@dataclass(frozen=True, slots=True)
class SlotParts:
    """A slot node."""

    path: str
    node: str
    slot: str
    when: Placed | None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class JourneyParts:
    """A journey of slots."""

    priority: int
    audience: Placed
    when: Placed | None
    schedule: PlanSchedule | None
    paused: bool
    slots: tuple[SlotParts, ...]

    def expressions(self) -> tuple[Placed, ...]:
        """All expressions of the journey."""
        found = [self.audience, self.when, *(slot.when for slot in self.slots)]
        return tuple(each for each in found if each is not None)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Collects problems while a spec is read."""

    schema: Schema
    namespace: str
    problems: list[CompileProblem]

    def expression(self, path: str, source: str, scope: Scope) -> Placed | None:
        try:
            found = compile_expression(source, self.schema, scope)
        except ExpressionError as error:
            self.problems.append(error.at(path))
            return None
        return Placed(path, source, qualified(found, self.namespace))

    def refuse(self, path: str, message: str, reason: Reason = Reason.NOT_SUPPORTED_YET) -> None:
        self.problems.append(CompileProblem(path, 0, 0, reason, message))


def qualified(expression: Expression, namespace: str) -> Expression:
    """The expression with `namespace/name` for every segment."""
    if not segments_of(expression):
        return expression

    def change(node: Expression) -> Expression:
        if node[0] == "segment":
            return node if "/" in node[1] else ("segment", f"{namespace}/{node[1]}")
        return replace(node, change)

    return change(expression)


def read_segment(segment: Segment, schema: Schema) -> SegmentParts:
    """The parts of a segment; raises Unreadable."""
    reader = _Reader(schema, segment.metadata.namespace, [])
    spec = segment.spec
    rule = None
    customers = None
    if spec.rule is not None:
        rule = reader.expression("spec.rule", spec.rule, Scope.CUSTOMER)
    elif spec.list is not None:
        customers = tuple(sorted(set(spec.list.customers)))
    elif spec.sql is not None:
        reader.refuse("spec.sql", "segments by SQL come with a later version")
    else:
        reader.refuse("spec.lookalike", "look-alike segments come with a later version")
    if reader.problems:
        raise Unreadable(tuple(reader.problems))
    return SegmentParts(rule, customers)


def read_journey(journey: Journey, schema: Schema) -> JourneyParts:
    """The parts of a journey; raises Unreadable."""
    reader = _Reader(schema, journey.metadata.namespace, [])
    spec = journey.spec
    if spec.template is not None:
        reader.refuse("spec.template", "journeys from templates come with a later version")
    if spec.entry is not None and (spec.entry.by != "Audience" or spec.entry.limit):
        reader.refuse("spec.entry", "entering by events and entry limits come with a later version")
    if spec.reentry is not None:
        reader.refuse("spec.reentry", "re-entry comes with a later version")
    for index, goal in enumerate(spec.goals):
        if goal.exits:
            reader.refuse(f"spec.goals[{index}].exits", "exit by a goal comes with a later version")
    audience = None
    if spec.audience is not None:
        audience = reader.expression("spec.audience", spec.audience, Scope.CUSTOMER)
    when = None
    if spec.when is not None:
        when = reader.expression("spec.when", spec.when, Scope.REQUEST)
    slots = [_read_node(reader, i, node) for i, node in enumerate(spec.nodes or ())]
    schedule = _schedule(reader, spec.schedule)
    if reader.problems or audience is None:
        raise Unreadable(tuple(reader.problems))
    return JourneyParts(
        priority=spec.priority,
        audience=audience,
        when=when,
        schedule=schedule,
        paused=spec.paused,
        slots=tuple(slot for slot in slots if slot is not None),
    )


def _read_node(reader: _Reader, index: int, node: Node) -> SlotParts | None:
    path = f"spec.nodes[{index}]"
    if node.slot is None:
        reader.refuse(
            f"{path}.type",
            f"node {node.name!r} is of type {node.type}: this version serves journeys of slot "
            "nodes only",
        )
        return None
    if node.next is not None:
        reader.refuse(f"{path}.next", "what follows a slot comes with a later version")
    when = None
    if node.slot.when is not None:
        when = reader.expression(f"{path}.slot.when", node.slot.when, Scope.REQUEST)
    _check_plain(reader, f"{path}.slot.content", node.slot.content)
    if node.slot.alternative is not None:
        _check_plain(reader, f"{path}.slot.alternative", node.slot.alternative)
    return SlotParts(
        f"{path}.slot", node.name, node.slot.name, when, _channel(reader, node.slot.channel_ref)
    )


def _channel(reader: _Reader, reference: ChannelRef | None) -> str | None:
    if reference is None:
        return None
    return f"{reference.namespace or reader.namespace}/{reference.name}"


def _check_plain(reader: _Reader, path: str, content: dict[str, Any]) -> None:
    """Refuse what JSON does not have; YAML knows more (numbers of any size, sets)."""
    try:
        msgspec.json.decode(canonical_bytes(content))
    except (TypeError, ValueError, OverflowError) as error:
        reader.refuse(path, f"the content is not JSON: {error}", Reason.INVALID_SPEC)


def _schedule(reader: _Reader, schedule: Schedule | None) -> PlanSchedule | None:
    if schedule is None:
        return None
    try:
        times.zone(schedule.time_zone)
    except ValueError as error:
        reader.refuse("spec.schedule.timeZone", str(error), Reason.INVALID_SPEC)
    found = PlanSchedule(
        start=_micros(schedule.start_at),
        end=_micros(schedule.end_at),
        zone=schedule.time_zone if schedule.windows else "UTC",
        windows=plan_windows(schedule.windows),
    )
    return None if found == PlanSchedule() else found


def plan_windows(windows: Sequence[Window]) -> tuple[PlanWindow, ...]:
    """Parts of the week in minutes."""
    return tuple(
        PlanWindow(
            start=_minutes(window.from_),
            end=_minutes(window.to),
            days=tuple(sorted({_DAYS.index(day) for day in window.days})),
        )
        for window in windows
    )


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else times.epoch_microseconds(moment)


def _minutes(time_of_day: str) -> int:
    hours, _, minutes = time_of_day.partition(":")
    return int(hours) * 60 + int(minutes)
