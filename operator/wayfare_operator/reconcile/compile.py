"""Everything that refers to one engine, compiled together into its plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from wayfare_engine.content import channel_problems
from wayfare_engine.plan import (
    Attribute,
    AttributeType,
    CompileProblem,
    CompileResult,
    Plan,
    PlanChannel,
    Schema,
    compile_plan,
)
from wayfare_engine.resources import (
    API_VERSION,
    AllowedNamespaces,
    Channel,
    Engine,
    Journey,
    Reason,
    ResourceError,
    Segment,
    Tenant,
    parse,
)
from wayfare_operator.cache import Cache, Entry, engine_of
from wayfare_operator.control import ControlStatus
from wayfare_operator.desired.channel import host_url
from wayfare_operator.grants import (
    NamespaceLabels,
    foreign_channels,
    foreign_segments,
    not_permitted,
    permitted,
)
from wayfare_operator.kube.kinds import CHANNEL, JOURNEY, SEGMENT
from wayfare_operator.reconcile.fallbacks import fallback_problem
from wayfare_operator.reconcile.publication import Compiled, Contents, Denied
from wayfare_operator.reconcile.references import admits
from wayfare_operator.tenants import Excess, outside, too_many


@dataclass(frozen=True, slots=True)
class Input:
    """A frozen picture of what one compile is made from; nothing in it changes afterwards."""

    engine: str
    schema: Schema
    segments: tuple[tuple[Segment, str], ...]
    journeys: tuple[tuple[Journey, str], ...]
    labels: NamespaceLabels
    tenants: tuple[Tenant, ...]
    channels: Mapping[str, PlanChannel]
    kept_channels: frozenset[str]
    """Channels that are there and cannot be used as they are: as they were, they go on."""
    grants: Mapping[str, AllowedNamespaces | None]
    """Of channels: from which namespaces journeys may lead to them."""
    wrong_channels: Mapping[tuple[str, str], tuple[CompileProblem, ...]]
    governance: Mapping[str, Any]
    fingerprint: str


def gather(engine: Engine, cache: Cache, told: ControlStatus | None) -> Input:
    """What is to be compiled now. Objects that the engine's grant does not cover are left out."""
    namespace, name = engine.metadata.namespace, engine.metadata.name
    found: list[tuple[Segment | Journey, str]] = []
    for kind in (SEGMENT, JOURNEY):
        for entry in cache.referring(kind, namespace, name):
            if _compilable(entry, engine, cache):
                assert isinstance(entry.resource, Segment | Journey)
                assert entry.spec_digest is not None
                found.append((entry.resource, entry.spec_digest))
    schema = effective_schema(engine, told)
    segments = tuple(each for each in found if isinstance(each[0], Segment))
    journeys = tuple(each for each in found if isinstance(each[0], Journey))
    labels = {space: dict(told_labels) for space, told_labels in cache.namespaces.items()}
    channels, kept, grants, wrong = _channels(engine, cache, schema)
    governance = (
        engine.spec.governance.model_dump(mode="json", by_alias=True, exclude_none=True)
        if engine.spec.governance is not None
        else {}
    )
    return Input(
        engine=f"{namespace}/{name}",
        schema=schema,
        segments=segments,  # type: ignore[arg-type]
        journeys=journeys,  # type: ignore[arg-type]
        labels=labels,
        tenants=engine.spec.tenants,
        channels=channels,
        kept_channels=kept,
        grants=grants,
        wrong_channels=wrong,
        governance=governance,
        fingerprint=_fingerprint(
            schema,
            found,
            labels,
            engine.spec.tenants,
            [
                sorted([name, each.digest, each.url] for name, each in channels.items()),
                sorted(kept),
                sorted(wrong),
                governance,
            ],
        ),
    )


def _channels(
    engine: Engine, cache: Cache, schema: Schema
) -> tuple[
    dict[str, PlanChannel],
    frozenset[str],
    dict[str, AllowedNamespaces | None],
    dict[tuple[str, str], tuple[CompileProblem, ...]],
]:
    """Those that can be used, those that can only go on as they were, who may lead to them, and
    what is wrong with what they say."""
    wrong: dict[tuple[str, str], tuple[CompileProblem, ...]] = {}
    usable: dict[str, PlanChannel] = {}
    grants: dict[str, AllowedNamespaces | None] = {}
    kept = set()
    for entry in cache.entries(CHANNEL):
        channel = entry.resource
        if entry.deleting:
            continue
        if not isinstance(channel, Channel):
            kept.add(f"{entry.ref.namespace}/{entry.ref.name}")
            continue
        if engine_of(channel) != (engine.metadata.namespace, engine.metadata.name):
            continue
        if not admits(engine, channel, cache):
            continue
        grants[channel.plan_name] = channel.spec.allowed_namespaces
        problems = channel_problems(channel, schema)
        if problems:
            wrong[("Channel", channel.plan_name)] = problems
        if problems or fallback_problem(channel, cache) is not None:
            kept.add(channel.plan_name)
            continue
        assert entry.spec_digest is not None
        usable[channel.plan_name] = PlanChannel(
            url=host_url(channel),
            digest=entry.spec_digest,
            spec=channel.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        )
    return usable, frozenset(kept), grants, wrong


def _compilable(entry: Entry, engine: Engine, cache: Cache) -> bool:
    resource = entry.resource
    return (
        not entry.deleting
        and isinstance(resource, Segment | Journey)
        and admits(engine, resource, cache)
    )


def effective_schema(engine: Engine, told: ControlStatus | None) -> Schema:
    """The declared attributes, then those that an import brought and nobody declared."""
    attributes = {
        each.name: Attribute(each.name, AttributeType(str(each.type)))
        for each in engine.spec.customers.attributes
    }
    known = {str(kind) for kind in AttributeType}
    for imported in told.schema_.attributes if told is not None else ():
        if imported.name not in attributes and imported.type in known:
            attributes[imported.name] = Attribute(imported.name, AttributeType(imported.type))
    return Schema(tuple(attributes.values()))


def _fingerprint(
    schema: Schema,
    found: Iterable[tuple[Segment | Journey, str]],
    labels: NamespaceLabels,
    tenants: tuple[Tenant, ...],
    channels: object,
) -> str:
    grants = {
        each.plan_name: repr(each.spec.allowed_namespaces)
        for each, _ in found
        if isinstance(each, Segment)
    }
    picture = [
        [[each.name, each.type] for each in schema.attributes],
        sorted([each.kind_name, each.plan_name, digest] for each, digest in found),
        grants,
        labels,
        [each.model_dump(mode="json") for each in tenants],
        channels,
    ]
    return hashlib.sha256(json.dumps(picture, sort_keys=True).encode()).hexdigest()


def compile_all(given: Input, previous: Plan | None) -> Compiled:
    """Judge grants, then compile. Pure; takes long enough to be run in a thread."""
    grants: dict[tuple[str, str], AllowedNamespaces | None] = {
        (segment.metadata.namespace, segment.metadata.name): segment.spec.allowed_namespaces
        for segment, _ in given.segments
    }
    denied: dict[tuple[str, str], Denied] = {}
    considered: dict[tuple[str, str], str] = {}
    allowed: dict[str, list[Segment | Journey]] = {"Segment": [], "Journey": []}
    everything: list[tuple[Segment | Journey, str]] = [*given.segments, *given.journeys]
    excess = too_many((resource for resource, _ in everything), given.tenants)
    for resource, digest in everything:
        key = (resource.kind_name, resource.plan_name)
        considered[key] = digest
        if key in excess:
            # Its number is what is wrong, so no earlier version of it may stay either.
            denied[key] = _beyond(excess[key])
            continue
        refusal = _refusal(resource, given, grants)
        if refusal is None:
            allowed[resource.kind_name].append(resource)
            continue
        denied[key] = refusal
        earlier = _last_good(resource, previous)
        if earlier is not None and _refusal(earlier, given, grants) is None:
            allowed[resource.kind_name].append(earlier)

    earlier_channels = previous.channels if previous is not None else {}
    channels = {
        **{n: c for n, c in earlier_channels.items() if n in given.kept_channels},
        **given.channels,
    }

    def compiled(base: Plan | None) -> CompileResult:
        return compile_plan(
            engine=given.engine,
            schema=given.schema,
            segments=[each for each in allowed["Segment"] if isinstance(each, Segment)],
            journeys=[each for each in allowed["Journey"] if isinstance(each, Journey)],
            previous=base,
            channels=channels,
            governance=given.governance,
        )

    result = compiled(previous)
    revoked = _revoked(everything, result, previous, given, grants)
    if revoked and previous is not None:
        result = compiled(_without(previous, revoked))
    return Compiled(
        plan=result.plan,
        contents=contents(result.plan),
        problems={
            **{key: tuple(value) for key, value in result.problems.items() if value},
            **given.wrong_channels,
        },
        denied=denied,
        considered=considered,
    )


def _revoked(
    everything: list[tuple[Segment | Journey, str]],
    result: CompileResult,
    previous: Plan | None,
    given: Input,
    grants: dict[tuple[str, str], AllowedNamespaces | None],
) -> set[tuple[str, str]]:
    """Broken resources whose earlier version, kept by the compiler, lost its grant meanwhile."""
    revoked = set()
    for resource, _ in everything:
        key = (resource.kind_name, resource.plan_name)
        if not result.problems.get(key):
            continue
        earlier = _last_good(resource, previous)
        if earlier is not None and _refusal(earlier, given, grants) is not None:
            revoked.add(key)
    return revoked


def _without(plan: Plan, keys: set[tuple[str, str]]) -> Plan:
    sources = {
        kind: {name: source for name, source in found.items() if (kind, name) not in keys}
        for kind, found in plan.sources.items()
    }
    return msgspec.structs.replace(plan, sources=sources)


def contents(plan: Plan) -> Contents:
    """What a plan holds, without the weight of it."""
    sources = plan.sources
    return Contents(
        journeys={name: each.digest for name, each in sources.get("Journey", {}).items()},
        segments={name: each.digest for name, each in sources.get("Segment", {}).items()},
        segment_keys={each.name: each.key for each in plan.segments},
        channels={name: each.digest for name, each in plan.channels.items()},
    )


def _refusal(
    resource: Segment | Journey,
    given: Input,
    grants: dict[tuple[str, str], AllowedNamespaces | None],
) -> Denied | None:
    beyond = outside(resource, given.tenants)
    if beyond is not None:
        return _beyond(beyond)
    for path, namespace, name in foreign_segments(resource, given.schema):
        target = (namespace, name)
        if target in grants and permitted(
            grants[target],
            target_namespace=namespace,
            source_namespace=resource.metadata.namespace,
            labels=given.labels,
        ):
            continue
        return Denied(path, not_permitted("Segment", namespace, name))
    for path, namespace, name in foreign_channels(resource):
        known = f"{namespace}/{name}"
        if known not in given.grants or not permitted(
            given.grants[known],
            target_namespace=namespace,
            source_namespace=resource.metadata.namespace,
            labels=given.labels,
        ):
            return Denied(path, not_permitted("Channel", namespace, name))
    return None


def _beyond(excess: Excess) -> Denied:
    return Denied(excess.path, excess.message, Reason.TENANT_LIMIT_EXCEEDED)


def _last_good(resource: Segment | Journey, previous: Plan | None) -> Segment | Journey | None:
    """The version of a resource that is in the last plan."""
    if previous is None:
        return None
    source = previous.sources.get(resource.kind_name, {}).get(resource.plan_name)
    if source is None:
        return None
    try:
        earlier = parse(
            {
                "apiVersion": API_VERSION,
                "kind": resource.kind_name,
                "metadata": resource.metadata.model_dump(
                    mode="json", by_alias=True, exclude_none=True
                ),
                "spec": source.spec,
            }
        )
    except ResourceError:
        return None
    return earlier if isinstance(earlier, Segment | Journey) else None
