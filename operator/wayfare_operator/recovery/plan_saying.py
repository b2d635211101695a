"""What this site puts into the store for the other: its configuration and its beacon."""

from __future__ import annotations

import asyncio

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.resources import Engine, RecoveryPlan
from wayfare_engine.runs.windows import forget_but
from wayfare_operator.kube.kinds import Ref
from wayfare_operator.reconcile.world import World
from wayfare_operator.recovery import beacon, configuration, plan_look, site_facts
from wayfare_operator.recovery.desire import Role
from wayfare_operator.recovery.memory import PlanMemory, SiteFacts
from wayfare_operator.recovery.plan_told import Look, site_state
from wayfare_operator.recovery.plan_windows import kept_records

_FORGET_SECONDS = 3600.0


async def say(
    world: World,
    plan: RecoveryPlan,
    engine: Engine,
    memory: PlanMemory,
    store: ObjectStore,
    look: Look,
) -> None:
    """Configuration and beacon, into the store."""
    view = plan_look.view_of(memory)
    clock = world.clock()
    facts = await _site_facts(world, engine, memory)
    if view is None:
        return
    told = beacon.figures(
        memory,
        state=site_state(look.role, memory),
        lag=look.lag,
        estimate=None if look.role == "Acting" else look.estimate,
        ready=look.ready,
        awake=look.awake,
    )
    try:
        await _configure(world, plan, memory, store, look.role)
        await beacon.publish(
            world,
            memory,
            store,
            facts,
            told,
            plan_digest=_plan_digest(world, engine),
            secrets=view.secrets,
            phase=str(view.phase),
            run=view.open_run.number
            if view.open_run is not None and view.open_run.target == world.settings.site
            else None,
        )
        if memory.forgot_at is None or clock - memory.forgot_at >= _FORGET_SECONDS:
            kept = kept_records(memory.standing)
            site, of = world.settings.site, memory.reader.plan
            await asyncio.to_thread(forget_but, store, of, site, kept)
            memory.forgot_at = clock
    except SaidToPeople as problem:
        memory.problem = (plan_look.reason_of(problem), str(problem))


async def _site_facts(world: World, engine: Engine, memory: PlanMemory) -> SiteFacts:
    """Asked for once a minute; the schema's revision as soon as a worker says it."""
    clock, looked = world.clock(), memory.site_facts_at
    before = found = memory.site_facts
    if found is None or looked is None or clock - looked >= site_facts.EVERY_SECONDS:
        found = await site_facts.look(world, engine)
        memory.site_facts_at = clock
    view = plan_look.view_of(memory)
    said = view.beacons.get(world.settings.site) if view is not None else None
    found = site_facts.with_schema(
        found,
        site_facts.schema_revision(world, engine),
        before.versions if before is not None else None,
        said.versions if said is not None else None,
    )
    memory.site_facts = found
    return found


def _plan_digest(world: World, engine: Engine) -> str | None:
    """Of the plan that the worker was told to have served. What is compiled while no worker
    answers is not that: it lacks the attributes that only an import declared."""
    publication = world.publications.get((engine.metadata.namespace, engine.metadata.name))
    if publication is not None and publication.published:
        return publication.digest
    entry = world.cache.get(Ref("Engine", engine.metadata.namespace, engine.metadata.name))
    plan = entry.status.get("plan") if entry is not None else None
    return plan.get("digest") if plan else None


async def _configure(
    world: World, plan: RecoveryPlan, memory: PlanMemory, store: ObjectStore, role: Role
) -> None:
    """Export when something changed here, compare with the other site, apply where that is
    asked for."""
    view = plan_look.view_of(memory)
    assert view is not None
    other = plan.spec.other(world.settings.site).name
    there = view.beacons.get(other)
    fingerprint = configuration.fingerprint(world, plan)
    theirs = there.digests.configuration if there is not None else None
    if plan.spec.configuration == "Bundle" and role == "Standby":
        memory.conflict = await configuration.apply_current(world, plan, memory, store)
        fingerprint = configuration.fingerprint(world, plan)
    if memory.configured == (fingerprint, role, theirs):
        return
    made = await configuration.export(world, plan, memory, store, role)
    assert memory.exported is not None
    memory.drift, memory.drift_unknown = await configuration.compare(
        store, made, memory.exported, there
    )
    memory.configured = (fingerprint, role, theirs)
