"""The ConfigMap in which a site's operator keeps what it remembers of a plan."""

from __future__ import annotations

from datetime import datetime

from wayfare_engine.resources import RecoveryPlan
from wayfare_operator.desired.metadata import MANAGED_BY, MANAGED_BY_LABEL, PLAN_LABEL, owner
from wayfare_operator.kube.client import ApiError
from wayfare_operator.kube.kinds import CONFIG_MAP, Object
from wayfare_operator.reconcile.world import World
from wayfare_operator.recovery.record import KEY, Standing, decode, encode


def config_map(plan: RecoveryPlan, standing: Standing) -> Object:
    """The ConfigMap as it is applied."""
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.name,
        "metadata": {
            "name": name_of(plan),
            "namespace": plan.metadata.namespace,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY, PLAN_LABEL: plan.metadata.name},
            "ownerReferences": [owner(plan)],
        },
        "data": {KEY: encode(standing)},
    }


def name_of(plan: RecoveryPlan) -> str:
    """Name of the ConfigMap."""
    return f"{plan.metadata.name}-standby"


async def load(world: World, plan: RecoveryPlan, now: datetime) -> Standing:
    """What was kept; a new beginning when nothing was, or when it was another plan's."""
    try:
        found = await world.kube.get(CONFIG_MAP, plan.metadata.namespace, name_of(plan))
    except ApiError as error:
        if error.status == 404:
            return Standing(since=now)
        raise
    owners = {each.get("uid") for each in found["metadata"].get("ownerReferences") or ()}
    text = (found.get("data") or {}).get(KEY)
    standing = decode(text) if text is not None and plan.metadata.uid in owners else None
    return standing or Standing(since=now)


async def save(world: World, plan: RecoveryPlan, standing: Standing) -> None:
    """Keep it."""
    await world.kube.apply(CONFIG_MAP, config_map(plan, standing), force=True)
