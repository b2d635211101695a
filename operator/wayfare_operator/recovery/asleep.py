"""Whether a plan keeps an engine asleep at this site: what Engine's and its plan's reconcile ask.

They own no replicas, so there is nothing to fight about; but a Deployment that is made while the
site sleeps begins with none, and pods that are not there are not missing.
"""

from __future__ import annotations

from wayfare_engine.resources import RecoveryPlan
from wayfare_operator.kube.kinds import RECOVERY_PLAN, Object
from wayfare_operator.reconcile.world import World


def plan_of(world: World, namespace: str, engine: str) -> RecoveryPlan | None:
    """The plan that covers an engine, if one does; the oldest of several."""
    found = [
        entry.resource
        for entry in world.cache.entries(RECOVERY_PLAN)
        if isinstance(entry.resource, RecoveryPlan)
        and not entry.deleting
        and entry.ref.namespace == namespace
        and entry.resource.spec.engine_ref.name == engine
    ]
    return min(
        found,
        key=lambda each: (str(each.metadata.creation_timestamp or ""), each.metadata.name),
        default=None,
    )


def asleep(world: World, namespace: str, engine: str) -> str | None:
    """Why an engine has no pods here now; None when it is to have some."""
    plan = plan_of(world, namespace, engine)
    if plan is None:
        return None
    name = plan.metadata.name
    memory = world.plan_memory(plan)
    if memory is not None and memory.desire is not None and memory.desire.awake is not None:
        if memory.desire.awake and memory.desire.only_stores:
            return f"RecoveryPlan {name}: it catches up, for which its stores are enough"
        return None if memory.desire.awake else f"RecoveryPlan {name}: {memory.desire.why}"
    state = _told_state(world, namespace, name)
    if state == "Asleep":
        return f"RecoveryPlan {name} said that this site is asleep"
    fresh = state is None and plan.spec.standby.mode == "Cold"
    if fresh and plan.spec.primary.name != world.settings.site:
        return f"RecoveryPlan {name} is new here, and this is not its primary site"
    return None


def _told_state(world: World, namespace: str, name: str) -> str | None:
    for entry in world.cache.entries(RECOVERY_PLAN):
        if (entry.ref.namespace, entry.ref.name) == (namespace, name):
            sites: list[Object] = entry.status.get("sites") or []
            mine = [each for each in sites if each.get("name") == world.settings.site]
            return str(mine[0].get("state")) if mine else None
    return None
