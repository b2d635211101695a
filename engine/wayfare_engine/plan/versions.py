"""Which version of each resource is compiled: the present one, else the last good one.

A version that does not work is told of, and the one that the previous plan holds is tried in its
place. A last good version may also use segments that were deleted since: the previous plan has
them. So what was served goes on being served until there is something better.
"""

from __future__ import annotations

import difflib
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wayfare_engine.plan.expression import segments_of
from wayfare_engine.plan.format import Plan, Source
from wayfare_engine.plan.parts import (
    JourneyParts,
    Placed,
    SegmentParts,
    Unreadable,
    read_journey,
    read_segment,
)
from wayfare_engine.plan.problems import CompileProblem
from wayfare_engine.plan.schema import Schema
from wayfare_engine.resources import (
    API_VERSION,
    Journey,
    Reason,
    ResourceError,
    Segment,
    canonical,
    parse,
    spec_digest,
)

Name = tuple[str, str]
"""Kind and `namespace/name`."""


@dataclass(slots=True)
class Problems:
    """What is wrong with present versions, by resource."""

    found: dict[Name, tuple[CompileProblem, ...]] = field(default_factory=dict)

    def add(self, name: Name, problems: Iterable[CompileProblem]) -> None:
        """Tell problems of a resource; the first telling stands."""
        self.found.setdefault(name, tuple(problems))


@dataclass(frozen=True, slots=True)
class Version:
    """A version that reads well by itself. `present` is false for a last good one."""

    name: str
    source: Source
    parts: Any
    present: bool
    deleted: bool = False


class Reader:
    """Reads present and last good versions; the same spec under the same schema is read once."""

    def __init__(self, schema: Schema, previous: Plan | None) -> None:
        self._schema = schema
        self._previous: Mapping[str, Mapping[str, Source]] = previous.sources if previous else {}

    def present(self, resource: Segment | Journey, problems: Problems) -> Version | None:
        """The present version; None, with its problems told, when it cannot be read."""
        source = _source_of(resource)
        try:
            parts = _read(resource, source.digest, self._schema)
        except Unreadable as error:
            problems.add((resource.kind_name, resource.plan_name), error.problems)
            return None
        return Version(resource.plan_name, source, parts, present=True)

    def last_good(self, kind: str, name: str, *, deleted: bool = False) -> Version | None:
        """The previous plan's version, if it still reads well."""
        source = self._previous.get(kind, {}).get(name)
        if source is None:
            return None
        namespace, _, own = name.partition("/")
        try:
            resource = parse(
                {
                    "apiVersion": API_VERSION,
                    "kind": kind,
                    "metadata": {"name": own, "namespace": namespace},
                    "spec": source.spec,
                }
            )
            if not isinstance(resource, (Segment, Journey)):
                return None
            parts = _read(resource, source.digest, self._schema)
        except (ResourceError, Unreadable):
            return None
        return Version(name, source, parts, present=False, deleted=deleted)

    def previous_names(self, kind: str) -> Iterable[str]:
        """Names of the previous plan's resources of a kind."""
        return self._previous.get(kind, {}).keys()


_CACHE: dict[tuple[str, str, str, Schema], SegmentParts | JourneyParts | Unreadable] = {}
_SOURCES: dict[int, tuple[weakref.ref[Any], Source]] = {}
"""By the identity of a spec, for as long as that spec is alive."""

_CACHE_SIZE = 20_000


def _source_of(resource: Segment | Journey) -> Source:
    """The resource's source; specs are frozen, so it is worked out once for each object."""
    spec = resource.spec
    own = id(spec)
    kept = _SOURCES.get(own)
    if kept is not None and kept[0]() is spec:
        return kept[1]
    source = Source(digest=spec_digest(spec), spec=canonical(spec))

    def forget(gone: weakref.ref[Any]) -> None:
        # Another spec may have the identity by now.
        found = _SOURCES.get(own)
        if found is not None and found[0] is gone:
            del _SOURCES[own]

    _SOURCES[own] = (weakref.ref(spec, forget), source)
    return source


def _read(resource: Segment | Journey, digest: str, schema: Schema) -> SegmentParts | JourneyParts:
    key = (resource.kind_name, resource.metadata.namespace, digest, schema)
    found = _CACHE.get(key)
    if found is None:
        try:
            if isinstance(resource, Segment):
                found = read_segment(resource, schema)
            else:
                found = read_journey(resource, schema)
        except Unreadable as error:
            found = error.with_traceback(None)
        if len(_CACHE) >= _CACHE_SIZE:
            _CACHE.clear()
        _CACHE[key] = found
    if isinstance(found, Unreadable):
        raise found
    return found


def choose_segments(
    segments: Iterable[Segment], reader: Reader, problems: Problems
) -> dict[str, Version]:
    """Versions that work together: every reference leads somewhere, and none in a circle.

    Segments that were deleted since the previous plan are among them, marked as such.
    """
    present = {segment.plan_name: segment for segment in segments}
    chosen: dict[str, Version] = {}
    for name, segment in present.items():
        version = reader.present(segment, problems) or reader.last_good("Segment", name)
        if version is not None:
            chosen[name] = version
    for name in reader.previous_names("Segment"):
        if name not in present:
            version = reader.last_good("Segment", name, deleted=True)
            if version is not None:
                chosen[name] = version
    while True:
        failing = _failing(chosen, present.keys())
        if not failing:
            return chosen
        for name, found in failing.items():
            version = chosen.pop(name)
            if version.present:
                problems.add(("Segment", name), found)
                earlier = reader.last_good("Segment", name)
                if earlier is not None:
                    chosen[name] = earlier


def _failing(
    chosen: Mapping[str, Version], present: Iterable[str]
) -> dict[str, tuple[CompileProblem, ...]]:
    known = frozenset(present)
    failing: dict[str, tuple[CompileProblem, ...]] = {}
    for name, version in sorted(chosen.items()):
        found = missing_segments(version, chosen, known)
        if found:
            failing[name] = found
    for circle in _circles(chosen):
        for position, name in enumerate(circle):
            rule = chosen[name].parts.rule
            turned = circle[position:] + circle[:position]
            path = " → ".join([*turned, name])
            problem = rule.problem(
                Reason.SEGMENT_CYCLE, f"segments refer to each other in a circle: {path}", "segment"
            )
            failing.setdefault(name, (problem,))
    return failing


def missing_segments(
    version: Version, chosen: Mapping[str, Version], present: frozenset[str]
) -> tuple[CompileProblem, ...]:
    """A problem for each reference that leads nowhere."""
    found = []
    for placed in version.parts.expressions():
        for target in sorted(segments_of(placed.expression)):
            there = chosen.get(target)
            if there is None or (version.present and there.deleted):
                found.append(_missing(placed, target, version.name, chosen, present))
    return tuple(found)


def _missing(
    placed: Placed,
    target: str,
    own: str,
    chosen: Mapping[str, Version],
    present: frozenset[str],
) -> CompileProblem:
    namespace, _, short = target.partition("/")
    written = (f"{quote}{name}{quote}" for name in (target, short) for quote in "\"'")
    near = next((text for text in written if text in placed.source), "segment")
    if target in present:
        message = f"segment {target} does not compile: its own status says why"
    else:
        message = f"there is no segment {short!r} in namespace {namespace}"
        names = [n.partition("/")[2] for n in chosen if n.startswith(f"{namespace}/") and n != own]
        close = difflib.get_close_matches(short, sorted(names), n=1)
        if close:
            message += f"; did you mean {close[0]!r}?"
    return placed.problem(Reason.UNKNOWN_SEGMENT, message, near)


def _circles(chosen: Mapping[str, Version]) -> list[list[str]]:
    """The circles among references: strongly connected components, each in one walk's order."""
    edges = {
        name: sorted(
            {
                target
                for placed in version.parts.expressions()
                for target in segments_of(placed.expression)
                if target in chosen
            }
        )
        for name, version in sorted(chosen.items())
    }
    state: dict[str, int] = {}
    circles: list[list[str]] = []
    in_circle: set[str] = set()
    for root in edges:
        if root in state:
            continue
        path: list[str] = [root]
        iterators = [iter(edges[root])]
        state[root] = 1
        while path:
            target = next(iterators[-1], None)
            if target is None:
                state[path.pop()] = 2
                iterators.pop()
            elif state.get(target) is None:
                state[target] = 1
                path.append(target)
                iterators.append(iter(edges[target]))
            elif state[target] == 1:
                circle = path[path.index(target) :]
                if not in_circle.intersection(circle):
                    first = circle.index(min(circle))
                    circles.append(circle[first:] + circle[:first])
                    in_circle.update(circle)
    return circles


def choose_journeys(
    journeys: Iterable[Journey],
    reader: Reader,
    problems: Problems,
    works: Callable[[Version], tuple[CompileProblem, ...]],
) -> dict[str, Version]:
    """The version of each journey that `works` (no problems), present or last good."""
    chosen: dict[str, Version] = {}
    for journey in journeys:
        name = journey.plan_name
        version = reader.present(journey, problems)
        if version is not None:
            found = works(version)
            if not found:
                chosen[name] = version
                continue
            problems.add(("Journey", name), found)
        earlier = reader.last_good("Journey", name)
        if earlier is not None and not works(earlier):
            chosen[name] = earlier
    return chosen
