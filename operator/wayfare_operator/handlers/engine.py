"""Engine events."""

from __future__ import annotations

from typing import Any

import kopf

from wayfare_operator.handlers.intake import Change, on_event, take
from wayfare_operator.kube.kinds import ENGINE, ref_of
from wayfare_operator.reconcile.world import Key, World


def register(registry: kopf.OperatorRegistry, world: World) -> None:
    """Watch Engines."""

    async def handle(event: Any) -> None:
        change = take(world.cache, ENGINE, event)
        if change is Change.NONE:
            return
        ref = ref_of(ENGINE, event["object"])
        world.queue.add(Key.of(ref))
        if change is Change.SPEC:
            world.enqueue_plan(ref.namespace, ref.name)
            world.enqueue_dependents(ref.namespace, ref.name)

    on_event(registry, ENGINE, handle)
