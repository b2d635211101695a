"""From a folder of manifests to a plan, as the operator would make it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wayfare_engine.dev.channels import into_sink
from wayfare_engine.dev.manifests import Folder, Manifest, ManifestProblem, Place
from wayfare_engine.errors import SaidToPeople
from wayfare_engine.plan import Attribute, AttributeType, Plan, Schema, compile_plan
from wayfare_engine.resources import Channel, Engine, Journey, Segment


@dataclass(eq=False)
class NoSuchEngine(SaidToPeople):
    """The folder does not say which engine is meant."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        if not self.names:
            return "the folder has no Engine, Segment or Journey"
        return f"the folder is about several engines: choose with --engine: {', '.join(self.names)}"


@dataclass(frozen=True)
class Compiled:
    """A plan, and what was left out of it."""

    engine: str
    plan: Plan
    problems: tuple[ManifestProblem, ...]


def compile_folder(
    folder: Folder,
    *,
    imported: Sequence[tuple[str, str]],
    previous: Plan | None,
    engine: str | None = None,
) -> Compiled:
    """Compile what belongs to one engine. `imported` are (name, type) of loaded columns.

    Raises NoSuchEngine.
    """
    chosen = engine or _only_engine(folder)
    problems = list(folder.problems)
    segments: dict[str, tuple[Segment, Manifest]] = {}
    journeys: dict[str, tuple[Journey, Manifest]] = {}
    channels: dict[str, Channel] = {}
    governance: dict[str, Any] = {}
    declared = declared_types(folder, chosen)
    for manifest in folder.manifests:
        resource = manifest.resource
        name = resource.plan_name
        if isinstance(resource, Engine):
            if name == chosen and resource.spec.governance is not None:
                governance = resource.spec.governance.model_dump(
                    mode="json", by_alias=True, exclude_none=True
                )
            continue
        if not isinstance(resource, Segment | Journey | Channel):
            continue  # recovery has no part in a plan
        if _engine_of(resource) != chosen:
            continue
        if isinstance(resource, Channel):
            channels[name] = resource
            continue
        kept: dict[str, tuple[Segment, Manifest]] | dict[str, tuple[Journey, Manifest]]
        kept = segments if isinstance(resource, Segment) else journeys
        if name in kept:
            problems.append(
                ManifestProblem(manifest.place("metadata.name"), f"{name} is there twice")
            )
            continue
        kept[name] = (resource, manifest)  # type: ignore[assignment]
    types = {n: AttributeType(t) for n, t in imported} | declared
    result = compile_plan(
        engine=chosen,
        schema=Schema(tuple(Attribute(n, t) for n, t in types.items())),
        segments=[s for s, _ in segments.values()],
        journeys=[j for j, _ in journeys.values()],
        previous=previous,
        channels=into_sink(channels.values()),
        governance=governance,
    )
    for (kind, name), found in result.problems.items():
        manifest = (segments if kind == "Segment" else journeys)[name][1]
        for problem in found:
            place = _inside(manifest.place(problem.path), problem.line, problem.column)
            problems.append(
                ManifestProblem(place, f"{kind} {name}: {problem.path}: {problem.message}")
            )
    return Compiled(chosen, result.plan, tuple(sorted(problems, key=lambda p: p.place)))


def declared_types(folder: Folder, engine: str | None) -> dict[str, AttributeType]:
    """The attributes that the folder's engine declares; empty when it does not say."""
    try:
        chosen = engine or _only_engine(folder)
    except NoSuchEngine:
        return {}
    for manifest in folder.manifests:
        resource = manifest.resource
        if isinstance(resource, Engine) and resource.plan_name == chosen:
            return {a.name: AttributeType(a.type) for a in resource.spec.customers.attributes}
    return {}


def _only_engine(folder: Folder) -> str:
    engines = {m.resource.plan_name for m in folder.manifests if isinstance(m.resource, Engine)}
    if not engines:
        engines = {
            _engine_of(m.resource)
            for m in folder.manifests
            if isinstance(m.resource, Segment | Journey | Channel)
        }
    if len(engines) != 1:
        raise NoSuchEngine(tuple(sorted(engines)))
    return engines.pop()


def _engine_of(resource: Segment | Journey | Channel) -> str:
    reference = resource.spec.engine_ref
    return f"{reference.namespace or resource.metadata.namespace}/{reference.name}"


def _inside(place: Place, line: int, column: int) -> Place:
    """A place inside an expression; exact for one that stands on one line without quotes."""
    if line <= 0:
        return place
    if line == 1:
        return Place(place.path, place.line, place.column + max(column, 1) - 1)
    return Place(place.path, place.line + line - 1, place.column)
