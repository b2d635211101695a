"""What kopf calls: each handler takes one event in and adds keys to the queue. No handler works.

Only `@kopf.on.event` is used, so kopf writes no annotation and no finalizer on anything.
"""

from __future__ import annotations

import kopf

from wayfare_operator.handlers import (
    channel,
    children,
    engine,
    journey,
    namespace,
    recovery,
    segment,
)
from wayfare_operator.reconcile.world import World

__all__ = ["register"]


def register(registry: kopf.OperatorRegistry, world: World, *, namespaces: bool) -> None:
    """Have all events of interest brought to `world`; `namespaces` when they may be watched."""
    engine.register(registry, world)
    segment.register(registry, world)
    journey.register(registry, world)
    channel.register(registry, world)
    recovery.register(registry, world)
    children.register(registry, world)
    if namespaces:
        namespace.register(registry, world)
