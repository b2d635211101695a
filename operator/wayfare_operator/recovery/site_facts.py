"""What a site is and has: versions, and what pods can be given. What cannot be asked is unknown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from importlib import metadata
from typing import Any

import msgspec

from wayfare_engine.resources import Engine
from wayfare_engine.runs import Capacity, Versions
from wayfare_operator.kube.client import ApiError
from wayfare_operator.kube.compare import quantity
from wayfare_operator.kube.kinds import Kind, Object
from wayfare_operator.reconcile.world import World
from wayfare_operator.recovery.memory import SiteFacts
from wayfare_operator.recovery.workloads import State

NODE = Kind("", "v1", "nodes", "Node", namespaced=False)
QUOTA = Kind("", "v1", "resourcequotas", "ResourceQuota")
EVERY_SECONDS = 60.0
_HARD = {
    "cpu": ("requests.cpu", "cpu"),
    "memory": ("requests.memory", "memory"),
    "pods": ("pods", "count/pods"),
}


async def look(world: World, engine: Engine) -> SiteFacts:
    """Ask for everything. Raises ApiUnreachable, and ApiError for what is not a refusal."""
    return SiteFacts(
        Versions(
            operator=_own_version(),
            image=engine.spec.image or world.settings.image,
            schema=schema_revision(world, engine),
            kubernetes=(await world.kube.read("/version")).get("gitVersion"),
        ),
        capacity(
            await _listed(world, NODE, None),
            await _listed(world, QUOTA, engine.metadata.namespace) or [],
        ),
    )


def schema_revision(world: World, engine: Engine) -> str | None:
    """What the engine's worker says now; None while none answers."""
    publication = world.publications.get((engine.metadata.namespace, engine.metadata.name))
    told = publication.told if publication is not None else None
    return told.schema_revision if told is not None else None


def with_schema(found: SiteFacts, now: str | None, *before: Versions | None) -> SiteFacts:
    """What is said now, or was said last under the same image: only another one changes it. So a
    site that sleeps still has one. Pure."""
    image = found.versions.image
    known = [each.schema for each in before if each is not None and each.image == image]
    schema = next((each for each in (now, *known) if each is not None), None)
    return replace(found, versions=msgspec.structs.replace(found.versions, schema=schema))


def _own_version() -> str | None:
    try:
        return metadata.version("wayfare")
    except metadata.PackageNotFoundError:  # run from sources
        return None


async def _listed(world: World, kind: Kind, namespace: str | None) -> list[Object] | None:
    """None when it may not be asked for, as where only some namespaces are served."""
    try:
        return [each async for each in world.kube.list(kind, namespace)]
    except ApiError as error:
        if error.status == 403:
            return None
        raise


def capacity(nodes: Sequence[Object] | None, quotas: Iterable[Object]) -> Capacity:
    """What pods of a namespace can be given: what ready nodes have, within the quotas. Pure."""
    found: dict[str, Decimal | None] = dict.fromkeys(_HARD)
    if nodes is not None:
        usable = [node for node in nodes if _usable(node)]
        for name in found:
            amounts = [
                quantity(((node.get("status") or {}).get("allocatable") or {}).get(name, 0))
                for node in usable
            ]
            found[name] = sum((each for each in amounts if each is not None), Decimal(0))
    for quota in quotas:
        hard = (quota.get("spec") or {}).get("hard") or {}
        for name, keys in _HARD.items():
            limits = [limit for key in keys if (limit := quantity(hard.get(key))) is not None]
            before = found[name]
            found[name] = min([*limits, *([] if before is None else [before])], default=None)
    pods = found["pods"]
    return Capacity(
        cpu=cpu_text(found["cpu"]),
        memory=memory_text(found["memory"]),
        pods=None if pods is None else int(pods),
    )


def _usable(node: Object) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
    return ready and not (node.get("spec") or {}).get("unschedulable")


def cpu_text(cores: Decimal | None) -> str | None:
    """Cores as a quantity."""
    if cores is None:
        return None
    return f"{int(cores * 1000)}m" if cores % 1 else str(int(cores))


def memory_text(amount: Decimal | None) -> str | None:
    """Bytes as a quantity, in whole mebibytes."""
    return None if amount is None else f"{int(amount) // 2**20}Mi"


def needs(states: Iterable[State]) -> dict[str, Any]:
    """What everything requests when it is awake: what the other site has to have room for. Pure."""
    found = [each for each in states if each.present]
    cpu = sum((each.cpu * each.always for each in found), Decimal(0))
    memory = sum((each.memory * each.always for each in found), Decimal(0))
    return {
        "cpu": cpu_text(cpu),
        "memory": memory_text(memory),
        "pods": sum(each.always for each in found),
    }
