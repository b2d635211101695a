"""Putting a site to sleep and waking it: through `/scale`, with what there was kept on the object.

The number of replicas is written on the workload before it is scaled to zero, and removed after it
was scaled up, so that an operator may die between any two writes. An autoscaler leaves a workload
with zero replicas alone, which pauses it. Both calls may be repeated for ever.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from wayfare_engine.resources import Channel, Engine, RecoveryPlan
from wayfare_operator.kube.client import ApiError
from wayfare_operator.kube.kinds import CHANNEL, CHILDREN, Object, Ref
from wayfare_operator.reconcile.world import World
from wayfare_operator.recovery.workloads import (
    AWAKE_REPLICAS,
    CLUSTER,
    HIBERNATION,
    KINDS,
    Change,
    State,
    Tier,
    Workload,
    all_asleep,
    all_ready,
    state_of,
    to_sleep,
    to_wake,
    waiting,
    workloads_of,
)

_GONE = frozenset({404, 409})


@dataclass(frozen=True, slots=True)
class Waking:
    """How far waking is. `figures`: pods and workloads by how they stand."""

    ready: bool
    message: str
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sleeping:
    """How far falling asleep is."""

    asleep: bool
    message: str


async def states(world: World, plan: RecoveryPlan, engine: Engine) -> tuple[State, ...]:
    """How everything that sleeps with the site stands."""
    namespace, name = engine.metadata.namespace, engine.metadata.name
    channels = [
        entry.resource
        for entry in world.cache.referring(CHANNEL, namespace, name)
        if isinstance(entry.resource, Channel) and not entry.deleting
    ]
    found = workloads_of(plan, engine, channels)
    objects = await asyncio.gather(*(_look(world, each) for each in found))
    return tuple(state_of(each, obj) for each, obj in zip(found, objects, strict=True))


async def _look(world: World, workload: Workload) -> Object | None:
    """From the cache what is ours; the rest is asked for. A kind that is not installed is not
    there."""
    known = world.cache.child(Ref(workload.kind, workload.namespace, workload.name))
    if known is not None:
        return known
    try:
        return await world.kube.get(KINDS[workload.kind], workload.namespace, workload.name)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


async def wake(
    world: World,
    plan: RecoveryPlan,
    engine: Engine,
    *,
    only_sleeping: bool = False,
    only_stores: bool = False,
) -> Waking:
    """Scale everything up to what it had: the stores, then the rest. Ready when all of it is.

    `only_sleeping`: what somebody else scaled to zero is left so. `only_stores`: the stores are
    all that is wanted.
    """
    seen = await states(world, plan, engine)
    changes = to_wake(seen, only_stores=only_stores)
    if only_sleeping:
        changes = tuple(each for each in changes if each.state.remembered is not None)
    for change in changes:
        await _set(world, change)
    # Left over where an operator died right after scaling up.
    for each in seen:
        if each.awake and each.remembered is not None:
            await _forget(world, each)
    if changes:
        seen = await states(world, plan, engine)
    if only_stores:
        seen = tuple(each for each in seen if each.workload.tier is Tier.STORE)
    return Waking(
        all_ready(seen),
        waiting(seen, waking=True) or "everything is ready",
        {
            "workloads": len(seen),
            "ready": sum(each.ready for each in seen),
            "pods": sum(each.up for each in seen),
        },
    )


async def put_to_sleep(world: World, plan: RecoveryPlan, engine: Engine) -> Sleeping:
    """Scale everything to zero: the engine and its hosts, then the stores."""
    seen = await states(world, plan, engine)
    changes = to_sleep(seen)
    for change in changes:
        await _set(world, change)
    if changes:
        seen = await states(world, plan, engine)
    return Sleeping(all_asleep(seen), waiting(seen, waking=False) or "nothing is up")


async def _set(world: World, change: Change) -> None:
    state, kind = change.state, KINDS[change.state.workload.kind]
    of = state.workload
    try:
        if kind is CLUSTER:
            asleep = change.replicas == 0
            await _annotate(
                world,
                state,
                {
                    HIBERNATION: "on" if asleep else "off",
                    AWAKE_REPLICAS: str(state.wanted) if asleep else None,
                },
            )
            return
        if change.replicas == 0:
            # Of what was seen: who changed it meanwhile may have written the number that counts.
            await _annotate(
                world, state, {AWAKE_REPLICAS: str(state.wanted)}, version=state.version
            )
        await world.kube.scale(kind, of.namespace, of.name, uid=state.uid, replicas=change.replicas)
        if change.replicas > 0 and state.remembered is not None:
            await _annotate(world, state, {AWAKE_REPLICAS: None})
        else:
            await _refresh(world, of)
    except ApiError as error:
        # Deleted, or deleted and made again: the next look tells.
        if error.status not in _GONE:
            raise


async def _forget(world: World, state: State) -> None:
    try:
        await _annotate(world, state, {AWAKE_REPLICAS: None})
    except ApiError as error:
        if error.status not in _GONE:
            raise


async def _annotate(
    world: World,
    state: State,
    annotations: dict[str, str | None],
    *,
    version: str | None = None,
) -> None:
    of = state.workload
    written = await world.kube.annotate(
        KINDS[of.kind],
        of.namespace,
        of.name,
        uid=state.uid,
        annotations=annotations,
        version=version,
    )
    _keep(world, of, written)


async def _refresh(world: World, of: Workload) -> None:
    """`/scale` answers with a Scale: read the object, so that the next look is not stale."""
    _keep(world, of, await world.kube.get(KINDS[of.kind], of.namespace, of.name))


def _keep(world: World, of: Workload, obj: Object) -> None:
    kind = KINDS[of.kind]
    known = world.cache.child(Ref(of.kind, of.namespace, of.name))
    if kind in CHILDREN and known is not None:
        world.cache.put_child(kind, obj)
