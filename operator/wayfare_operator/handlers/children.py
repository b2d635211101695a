"""Events of what the operator made, and of pods and endpoints: drift, progress, readiness."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import kopf

from wayfare_operator.cache import owner_of_child
from wayfare_operator.handlers.intake import on_event
from wayfare_operator.kube.kinds import ENDPOINT_SLICE, WATCHED, Kind, ref_of
from wayfare_operator.reconcile.world import Key, Work, World


def register(registry: kopf.OperatorRegistry, world: World) -> None:
    """Watch children; the watch itself asks for those with our label only."""
    for kind in WATCHED:
        on_event(registry, kind, _handler(world, kind))


def _handler(world: World, kind: Kind) -> Callable[[Any], Awaitable[None]]:
    async def handle(event: Any) -> None:
        obj = event["object"]
        ref = ref_of(kind, obj)
        if event["type"] == "DELETED":
            changed = world.cache.remove_child(ref, obj["metadata"]["uid"])
        else:
            changed = world.cache.put_child(kind, obj) is not None
        owner = owner_of_child(obj)
        if not changed or owner is None:
            return
        if kind is ENDPOINT_SLICE and owner.kind == "Engine":
            world.queue.add(Key(Work.PLAN, owner.namespace, owner.name))
        else:
            world.queue.add(Key.of(owner))

    return handle
