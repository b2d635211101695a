"""Configuration at both sites: exported under its digest, compared, and with Bundle applied.

The acting site's objects are what counts. Secrets never travel, and what the plan's overrides set
at a site is in no bundle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.resources import RecoveryPlan
from wayfare_engine.runs import Beacon, ConfigConflict, bundle, bundles, drift
from wayfare_engine.runs.drift import Drift
from wayfare_operator.cache import Entry, engine_of
from wayfare_operator.kube.client import ApiError
from wayfare_operator.kube.kinds import (
    BY_NAME,
    CHANNEL,
    ENGINE,
    JOURNEY,
    SEGMENT,
    Kind,
    Object,
)
from wayfare_operator.reconcile.world import World
from wayfare_operator.recovery.desire import Role
from wayfare_operator.recovery.memory import PlanMemory

_TRAVEL: tuple[Kind, ...] = (ENGINE, SEGMENT, CHANNEL, JOURNEY)
"""In the order in which they are applied."""


def overrides(plan: RecoveryPlan, site: str | None = None) -> tuple[bundle.Override, ...]:
    """What sites have otherwise: those of one site, or of all."""
    return tuple(
        bundle.Override(each.kind, each.name, each.spec)
        for of in plan.spec.sites
        if site in (None, of.name)
        for each in of.overrides
    )


async def objects(world: World, plan: RecoveryPlan) -> list[Object]:
    """All objects of the plan's engine at this site, as the API server has them. The cache holds
    parsed specs only, so they are read; this is done when one of them changed. One that does not
    parse belongs to them all the same: left out, it would go at the other site."""
    engine = plan.metadata.namespace, plan.spec.engine_ref.name
    found: list[Object] = []
    for kind in _TRAVEL:
        refs = (
            [engine]
            if kind is ENGINE
            else [
                (entry.ref.namespace, entry.ref.name)
                for entry in world.cache.entries(kind)
                if not entry.deleting and _may_belong(entry, engine)
            ]
        )
        for of, called in refs:
            try:
                read = await world.kube.get(kind, of, called)
            except ApiError as error:
                if error.status != 404:
                    raise
                continue
            if kind is ENGINE or _belongs(read, engine):
                found.append(read)
    return found


def _may_belong(entry: Entry, engine: tuple[str, str]) -> bool:
    return entry.resource is None or engine_of(entry.resource) == engine


def _belongs(read: Object, engine: tuple[str, str]) -> bool:
    """Whether its engineRef, which the API server requires, names this engine."""
    reference = (read.get("spec") or {}).get("engineRef") or {}
    namespace = reference.get("namespace") or read["metadata"]["namespace"]
    return bool((namespace, reference.get("name")) == engine)


def fingerprint(world: World, plan: RecoveryPlan) -> tuple[Any, ...]:
    """Changes when an object of the plan's engine, or the plan, does."""
    of = (plan.metadata.namespace, plan.spec.engine_ref.name)
    return (
        plan.metadata.generation,
        *sorted(
            (entry.ref, entry.uid, entry.generation)
            for kind in _TRAVEL
            for entry in world.cache.entries(kind)
            if not entry.deleting and _may_belong(entry, of)
        ),
    )


async def export(
    world: World, plan: RecoveryPlan, memory: PlanMemory, store: ObjectStore, role: Role
) -> list[dict[str, Any]]:
    """Put this site's configuration into the store under its digest; with Bundle, the acting
    site says that it is the current one."""
    found = await objects(world, plan)
    made = bundle.export(found, overrides(plan))
    memory.exported = await asyncio.to_thread(bundles.put, store, made)
    if plan.spec.configuration == "Bundle" and role == "Acting":
        current = bundles.Current(digest=memory.exported, at=world.now(), site=world.settings.site)
        before = await asyncio.to_thread(bundles.read_current, store, memory.reader.plan)
        if before is None or (before.digest, before.site) != (current.digest, current.site):
            await asyncio.to_thread(bundles.put_current, store, memory.reader.plan, current)
    return made


async def compare(
    store: ObjectStore, here: Sequence[Object], here_digest: str, there: Beacon | None
) -> tuple[tuple[Drift, ...] | None, str]:
    """(what differs here from there, why that is unknown)."""
    if there is None or there.digests.configuration is None:
        return None, "the other site has not said yet what it has"
    if there.digests.configuration == here_digest:
        return (), ""
    theirs = await asyncio.to_thread(bundles.get, store, there.digests.configuration)
    return drift.compare(theirs, here), ""


async def apply_current(
    world: World, plan: RecoveryPlan, memory: PlanMemory, store: ObjectStore
) -> str | None:
    """At a site that stands by: make its objects those of the current bundle, exactly. A message
    when something stands in the way. What is not in the bundle goes, the Engine excepted."""
    current = await asyncio.to_thread(bundles.read_current, store, memory.reader.plan)
    if current is None or current.site == world.settings.site:
        return None
    if current.digest == memory.exported:
        return None
    wanted = await asyncio.to_thread(bundles.get, store, current.digest)
    present = await objects(world, plan)
    try:
        bundle.refuse_tracked(present)
    except ConfigConflict as conflict:
        return str(conflict)
    mine = overrides(plan, world.settings.site)
    known = {bundle.identity(each): each for each in present}
    order = {kind.name: place for place, kind in enumerate(_TRAVEL)}
    for each in sorted(wanted, key=lambda one: order.get(one["kind"], len(order))):
        if each["kind"] not in order:
            continue
        placed = bundle.placed(each, mine)
        try:
            await _make(world, placed, known.get(bundle.identity(each)))
        except ApiError as error:
            if error.status in (400, 403, 404, 422):
                name = f"{each['kind']} {each['metadata']['namespace']}/{each['metadata']['name']}"
                return f"{name} of the bundle is refused here: {error.message}"
            raise
    names = {bundle.identity(each) for each in wanted}
    for each in present:
        kind = BY_NAME[each["kind"]]
        if kind is ENGINE or bundle.identity(each) in names:
            continue
        metadata = each["metadata"]
        name = f"{each['kind']} {metadata['namespace']}/{metadata['name']}"
        try:
            await world.kube.delete(
                kind, metadata["namespace"], metadata["name"], uid=metadata["uid"]
            )
        except ApiError as error:
            if error.status == 403:
                return f"{name} is in no bundle, and may not be deleted: {error.message}"
            if error.status not in (404, 409):
                raise
    return None


async def _make(world: World, wanted: Object, present: Object | None) -> None:
    """Make an object exactly what is wanted: fields that somebody else set go as well."""
    kind = BY_NAME[wanted["kind"]]
    if present is None:
        await world.kube.create(kind, wanted)
        return
    before = bundle.normalise(present)
    if before == wanted:
        return
    metadata = dict(present["metadata"])
    for name in ("labels", "annotations"):
        theirs, ours = before["metadata"].get(name, {}), wanted["metadata"].get(name, {})
        # What a client or a tool keeps there is no configuration, and stays.
        kept = {k: v for k, v in (metadata.get(name) or {}).items() if k not in theirs}
        metadata[name] = {**kept, **ours}
    body = {**present, "metadata": metadata, "spec": wanted["spec"]}
    await world.kube.replace(kind, body)
