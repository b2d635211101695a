"""Labels of namespaces, for grants by selector."""

from __future__ import annotations

from wayfare_operator.kube.client import ApiError
from wayfare_operator.kube.kinds import CHANNEL, ENGINE, NAMESPACE
from wayfare_operator.reconcile.world import Key, World

_AGAIN_SECONDS = 60.0


def take_labels(world: World, name: str, labels: dict[str, str] | None) -> None:
    """A namespace's labels, None when it is gone; plans are made again only if they changed."""
    if world.cache.namespaces.get(name) == labels:
        return
    if labels is None:
        world.cache.namespaces.pop(name, None)
    else:
        world.cache.namespaces[name] = labels
    for entry in world.cache.entries(ENGINE):
        world.enqueue_plan(entry.ref.namespace, entry.ref.name)
        world.enqueue_dependents(entry.ref.namespace, entry.ref.name)
    for entry in world.cache.entries(CHANNEL):
        world.queue.add(Key.of(entry.ref))


async def reconcile_namespaces(world: World, key: Key) -> float | None:
    """Read the labels of the served namespaces one by one: what a Role in each of them allows."""
    for name in world.settings.namespaces:
        try:
            found = await world.kube.get(NAMESPACE, None, name)
        except ApiError as error:
            if error.status not in (403, 404):
                raise
            take_labels(world, name, None)
            continue
        take_labels(world, name, found["metadata"].get("labels") or {})
    return _AGAIN_SECONDS
