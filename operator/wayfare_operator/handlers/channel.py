"""Channel events."""

from __future__ import annotations

from typing import Any

import kopf

from wayfare_operator.cache import engine_of
from wayfare_operator.handlers.intake import Change, on_event, take
from wayfare_operator.kube.kinds import CHANNEL, ref_of
from wayfare_operator.reconcile.world import Key, World


def register(registry: kopf.OperatorRegistry, world: World) -> None:
    """Watch Channels. A fallback's change concerns the channels that lead to it."""

    async def handle(event: Any) -> None:
        ref = ref_of(CHANNEL, event["object"])
        before = world.cache.get(ref)
        change = take(world.cache, CHANNEL, event)
        if change is Change.NONE:
            return
        world.queue.add(Key.of(ref))
        if change is Change.SPEC:
            for entry in world.cache.entries(CHANNEL):
                world.queue.add(Key.of(entry.ref))
            for known in (before, world.cache.get(ref)):
                if known is not None and known.resource is not None:
                    world.enqueue_plan(*engine_of(known.resource))

    on_event(registry, CHANNEL, handle)
