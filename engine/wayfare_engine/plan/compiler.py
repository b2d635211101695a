"""Compiling: all segments and journeys of an engine into one plan. Pure and deterministic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wayfare_engine.plan.expression import (
    Expression,
    canonical,
    digest,
    replace,
    segments_of,
)
from wayfare_engine.plan.format import (
    FORMAT,
    Candidate,
    Plan,
    PlanAttribute,
    PlanChannel,
    PlanSegment,
    Source,
    alternative_of,
    content_of,
)
from wayfare_engine.plan.formula import (
    TRUE,
    Formula,
    Linker,
    NeedsCustomerValue,
    TooLarge,
    joined,
    names_of,
    numbered,
)
from wayfare_engine.plan.parts import JourneyParts, Placed
from wayfare_engine.plan.problems import CompileProblem
from wayfare_engine.plan.schema import Schema
from wayfare_engine.plan.versions import (
    Problems,
    Reader,
    Version,
    choose_journeys,
    choose_segments,
    missing_segments,
)
from wayfare_engine.resources import Journey, Reason, Segment


@dataclass(frozen=True, slots=True)
class CompileResult:
    """The plan, and what is wrong with present versions, by (kind, `namespace/name`).

    A resource with problems is in the plan only if an earlier version of it still works.
    """

    plan: Plan
    problems: Mapping[tuple[str, str], tuple[CompileProblem, ...]]


@dataclass(frozen=True, slots=True)
class _Linked:
    """A journey's formulas, with segment names; conditions by slot node."""

    audience: Formula
    conditions: tuple[Formula, ...]
    used: frozenset[str]


def compile_plan(
    *,
    engine: str,
    schema: Schema,
    segments: Sequence[Segment],
    journeys: Sequence[Journey],
    previous: Plan | None,
    channels: Mapping[str, PlanChannel] | None = None,
    governance: Mapping[str, Any] | None = None,
) -> CompileResult:
    """Compile everything that compiles; the order of inputs does not matter.

    engine: `namespace/name`. previous: the last plan, for last good versions of what does not
    compile now. channels: by `namespace/name`, those that can be used. governance: the Engine's.
    """
    ways = dict(sorted((channels or {}).items()))
    problems = Problems()
    reader = Reader(schema, previous)
    chosen = choose_segments(segments, reader, problems)
    hoisting = _Hoisting(chosen)
    present = frozenset(segment.plan_name for segment in segments)
    linked: dict[str, _Linked] = {}

    def works(version: Version) -> tuple[CompileProblem, ...]:
        missing = missing_segments(version, chosen, present)
        missing = missing or _missing_channels(version.parts, ways)
        if missing:
            return missing
        found = _link(version.parts, hoisting)
        if isinstance(found, _Linked):
            linked[version.name] = found
            return ()
        return found

    running = choose_journeys(journeys, reader, problems, works)
    kept = _kept(chosen, running, linked, hoisting)
    table = _segment_table(kept, running, linked, hoisting)
    index = {segment.name: segment.index for segment in table}
    plan = Plan(
        format=FORMAT,
        engine=engine,
        attributes=tuple(PlanAttribute(a.name, a.type.value) for a in schema.attributes),
        segments=table,
        slots=_slots(running, linked, index),
        sources={
            "Segment": _sources(kept),
            "Journey": _sources(running),
        },
        channels=ways,
        governance=dict(governance or {}),
    )
    return CompileResult(plan, dict(sorted(problems.found.items())))


def _missing_channels(
    parts: JourneyParts, channels: Mapping[str, PlanChannel]
) -> tuple[CompileProblem, ...]:
    return tuple(
        CompileProblem(
            f"{slot.path}.channelRef",
            0,
            0,
            Reason.CHANNEL_MISSING,
            f"there is no channel {slot.channel} that this engine can use",
        )
        for slot in parts.slots
        if slot.channel is not None and slot.channel not in channels
    )


def _sources(versions: Mapping[str, Version]) -> dict[str, Source]:
    return {name: versions[name].source for name in sorted(versions)}


class _Hoisting:
    """Keys of segments, and the anonymous segments that formulas ask for."""

    def __init__(self, chosen: Mapping[str, Version]) -> None:
        self._chosen = chosen
        self._keys: dict[str, str] = {}
        self._names: dict[Expression, str] = {}
        self.expressions: dict[str, tuple[str, Expression]] = {}

    def key(self, name: str) -> str:
        """The key of a named segment: its content, with the keys of those it refers to."""
        found = self._keys.get(name)
        if found is None:
            # References among segments may be long chains: settle the furthest ones first.
            pending = [name]
            while pending:
                parts = self._chosen[pending[-1]].parts
                waiting = []
                if parts.rule is not None:
                    refers = segments_of(parts.rule.expression)
                    waiting = sorted(t for t in refers if t not in self._keys)
                if waiting:
                    pending.extend(waiting)
                    continue
                done = pending.pop()
                if parts.rule is not None:
                    self._keys[done] = self._key_of(canonical(parts.rule.expression))
                else:
                    self._keys[done] = digest(["list", parts.customers])
            found = self._keys[name]
        return found

    def _key_of(self, expression: Expression) -> str:
        return digest(["rule", self._inlined(expression)])

    def _inlined(self, expression: Expression) -> Expression:
        if expression[0] == "segment":
            return ("segment", self.key(expression[1]))
        return replace(expression, self._inlined)

    def hoist(self, expression: Expression) -> str:
        """The name of the anonymous segment for a canonical expression."""
        name = self._names.get(expression)
        if name is None:
            key = self._key_of(expression)
            name = "~" + key.removeprefix("sha256:")[:16]
            self._names[expression] = name
            self.expressions[name] = (key, expression)
        return name


def _link(parts: JourneyParts, hoisting: _Hoisting) -> _Linked | tuple[CompileProblem, ...]:
    linker = Linker(hoisting.hoist)
    found: list[CompileProblem] = []

    def link(placed: Placed | None) -> Formula:
        if placed is None:
            return TRUE
        try:
            return linker.link(placed.expression)
        except NeedsCustomerValue as error:
            written = f"customer.{error.attribute}"
            message = (
                f"the value of {written} cannot be used together with the request's context yet: "
                "compare it with constants, or make a segment of it"
            )
            found.append(placed.problem(Reason.NOT_SUPPORTED_YET, message, written))
        except TooLarge:
            message = "the expression has too many combinations of conditions"
            found.append(placed.problem(Reason.TOO_COMPLEX, message))
        return TRUE

    audience = link(parts.audience)
    when = link(parts.when)
    conditions = tuple(joined("all", (when, link(slot.when))) for slot in parts.slots)
    if found:
        return tuple(found)
    used = frozenset(name for formula in (audience, *conditions) for name in names_of(formula))
    return _Linked(audience, conditions, used)


def _kept(
    chosen: Mapping[str, Version],
    running: Mapping[str, Version],
    linked: Mapping[str, _Linked],
    hoisting: _Hoisting,
) -> dict[str, Version]:
    """The present segments, and those deleted ones that something kept still refers to."""
    kept = {name: version for name, version in chosen.items() if not version.deleted}
    wanted = list(kept)
    for name in running:
        for used in linked[name].used:
            if used in hoisting.expressions:
                wanted.extend(segments_of(hoisting.expressions[used][1]))
            else:
                wanted.append(used)
    seen: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        kept[name] = chosen[name]
        for placed in chosen[name].parts.expressions():
            wanted.extend(segments_of(placed.expression))
    return kept


def _segment_table(
    kept: Mapping[str, Version],
    running: Mapping[str, Version],
    linked: Mapping[str, _Linked],
    hoisting: _Hoisting,
) -> tuple[PlanSegment, ...]:
    rows: dict[str, PlanSegment] = {}
    for name, version in kept.items():
        rule = version.parts.rule
        rows[name] = PlanSegment(
            name=name,
            index=0,
            key=hoisting.key(name),
            kind="rule" if rule is not None else "list",
            expression=canonical(rule.expression) if rule is not None else None,
            customers=version.parts.customers,
        )
    for journey in running:
        for name in linked[journey].used:
            if name in hoisting.expressions and name not in rows:
                key, expression = hoisting.expressions[name]
                rows[name] = PlanSegment(
                    name=name, index=0, key=key, kind="hoisted", expression=expression
                )
    return tuple(
        PlanSegment(
            name=row.name,
            index=position,
            key=row.key,
            kind=row.kind,
            expression=row.expression,
            customers=row.customers,
        )
        for position, (_, row) in enumerate(sorted(rows.items()))
    )


def _slots(
    running: Mapping[str, Version],
    linked: Mapping[str, _Linked],
    index: Mapping[str, int],
) -> dict[str, tuple[Candidate, ...]]:
    slots: dict[str, list[Candidate]] = {}
    for journey, version in running.items():
        parts: JourneyParts = version.parts
        audience = numbered(linked[journey].audience, index.__getitem__)
        for slot, condition in zip(parts.slots, linked[journey].conditions, strict=True):
            slots.setdefault(slot.slot, []).append(
                Candidate(
                    journey=journey,
                    node=slot.node,
                    priority=parts.priority,
                    audience=audience,
                    condition=numbered(condition, index.__getitem__),
                    schedule=parts.schedule,
                    paused=parts.paused,
                    content=content_of(version.source, slot.node),
                    channel=slot.channel,
                    alternative=alternative_of(version.source, slot.node),
                )
            )
    return {
        slot: tuple(sorted(found, key=lambda c: (-c.priority, c.journey, c.node)))
        for slot, found in sorted(slots.items())
    }
