"""Segment events."""

from __future__ import annotations

from typing import Any

import kopf

from wayfare_operator.cache import engine_of
from wayfare_operator.handlers.intake import Change, on_event, take
from wayfare_operator.kube.kinds import SEGMENT, ref_of
from wayfare_operator.reconcile.world import Key, World


def register(registry: kopf.OperatorRegistry, world: World) -> None:
    """Watch Segments."""

    async def handle(event: Any) -> None:
        ref = ref_of(SEGMENT, event["object"])
        before = world.cache.get(ref)
        change = take(world.cache, SEGMENT, event)
        if change is Change.NONE:
            return
        world.queue.add(Key.of(ref))
        if change is Change.SPEC:
            for entry in (before, world.cache.get(ref)):
                if entry is not None and entry.resource is not None:
                    world.enqueue_plan(*engine_of(entry.resource))

    on_event(registry, SEGMENT, handle)
