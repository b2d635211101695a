"""From a watch event to the cache: what changed, if anything that matters did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

import kopf

from wayfare_operator.cache import Cache
from wayfare_operator.kube.kinds import Kind, Object, ref_of


class Change(Enum):
    """What an event meant for an object of our kinds."""

    NONE = "nothing new"
    STATUS = "status or metadata"
    SPEC = "its spec, or its being there"


def take(cache: Cache, kind: Kind, event: Any) -> Change:
    """Bring one event into the cache."""
    obj: Object = event["object"]
    ref = ref_of(kind, obj)
    if event["type"] == "DELETED":
        return Change.SPEC if cache.remove(ref, obj["metadata"]["uid"]) else Change.NONE
    before = cache.get(ref)
    seen = (before.uid, before.generation, before.deleting) if before is not None else None
    entry = cache.put(kind, obj)
    if entry is None:
        return Change.NONE
    if seen != (entry.uid, entry.generation, entry.deleting):
        return Change.SPEC
    return Change.STATUS


def on_event(
    registry: kopf.OperatorRegistry, kind: Kind, handle: Callable[[Any], Awaitable[None]]
) -> None:
    """Register a handler for a kind's events."""

    async def handler(event: Any, **_: Any) -> None:
        await handle(event)

    kopf.on.event(
        kind.group, kind.version, kind.plural, registry=registry, id=f"{kind.plural}-event"
    )(handler)
