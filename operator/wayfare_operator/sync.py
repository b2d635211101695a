"""The first listing before anything is decided, and the comparison of caches every ten minutes.

A plan compiled from half of the journeys would take the other half off the air, so nothing is
reconciled before every kind was listed. Watches can miss a deletion (an expired resource version
ends in a new listing, which does not show what is gone); the comparison finds those.
"""

from __future__ import annotations

import asyncio

import structlog

from wayfare_operator.cache import owner_of_child
from wayfare_operator.desired.metadata import MANAGED_BY, MANAGED_BY_LABEL
from wayfare_operator.kube.client import ApiError, ApiUnreachable, KubeClient
from wayfare_operator.kube.kinds import NAMESPACE, OURS, WATCHED, Kind, Ref
from wayfare_operator.reconcile.world import Key, Work, World

SELECTOR = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
_FIRST_COMPARISON_SECONDS = 20.0

log = structlog.get_logger(__name__)


def scopes(world: World) -> tuple[str | None, ...]:
    """The namespaces to list; None alone means all at once."""
    return world.settings.namespaces or (None,)


async def wait_for_kinds(kube: KubeClient, *, every: float = 1.0) -> None:
    """Return when the API server serves all our kinds: they may be installed after us."""
    told = False
    while True:
        try:
            served = await kube.read(f"/apis/{OURS[0].group}/{OURS[0].version}")
        except (ApiError, ApiUnreachable):
            served = {}
        plurals = {each.get("name") for each in served.get("resources") or ()}
        if {kind.plural for kind in OURS} <= plurals:
            return
        if not told:
            log.warning("waiting for the custom resource definitions")
            told = True
        await asyncio.sleep(every)


async def prime(world: World) -> None:
    """List everything once and have it all reconciled."""
    for scope in scopes(world):
        for kind in OURS:
            async for obj in world.kube.list(kind, scope):
                world.cache.put(kind, obj)
        for kind in WATCHED:
            async for obj in world.kube.list(kind, scope, labels=SELECTOR):
                world.cache.put_child(kind, obj)
    if world.settings.namespaces:
        world.queue.add(Key(Work.NAMESPACES, "", ""))
    else:
        async for obj in world.kube.list(NAMESPACE, None, metadata_only=True):
            metadata = obj["metadata"]
            world.cache.namespaces[metadata["name"]] = metadata.get("labels") or {}
    enqueue_all(world)


def enqueue_all(world: World) -> None:
    """Have every one of our objects reconciled, and every engine's plan."""
    for kind in OURS:
        for entry in world.cache.entries(kind):
            world.queue.add(Key.of(entry.ref))
            if kind.name == "Engine":
                world.enqueue_plan(entry.ref.namespace, entry.ref.name)
            if kind.name == "RecoveryPlan":
                world.queue.add(Key(Work.REQUESTS, entry.ref.namespace, entry.ref.name))


async def compare_forever(world: World) -> None:
    """Compare the caches with the API server now and then."""
    await asyncio.sleep(_FIRST_COMPARISON_SECONDS)
    while True:
        try:
            await compare(world)
        except (ApiError, ApiUnreachable) as error:
            log.warning("the caches could not be compared", error=str(error))
        await asyncio.sleep(world.settings.relist)


async def compare(world: World) -> None:
    """Forget what is no longer there, and reconcile everything once more."""
    for kind in (*OURS, *WATCHED):
        # What is known before the listing and is not in it was deleted; what came later is newer.
        known = list(world.cache.refs(kind))
        labels = None if kind in OURS else SELECTOR
        alive: set[tuple[Ref, str]] = set()
        for scope in scopes(world):
            async for obj in world.kube.list(kind, scope, labels=labels, metadata_only=True):
                metadata = obj["metadata"]
                ref = Ref(kind.name, metadata.get("namespace", ""), metadata["name"])
                alive.add((ref, metadata["uid"]))
        for ref, uid in known:
            if (ref, uid) not in alive:
                _forget(world, kind, ref, uid)
    enqueue_all(world)


def _forget(world: World, kind: Kind, ref: Ref, uid: str) -> None:
    log.info("a deletion was missed", object=str(ref))
    if kind in OURS:
        world.enqueue_engine_of(ref)
        world.cache.remove(ref, uid)
        world.queue.add(Key.of(ref))
        return
    child = world.cache.child(ref)
    owner = owner_of_child(child) if child is not None else None
    world.cache.remove_child(ref, uid)
    if owner is not None:
        world.queue.add(Key.of(owner))
        if owner.kind == "Engine":
            world.queue.add(Key(Work.PLAN, owner.namespace, owner.name))
