"""What a group of namespaces may use of a shared engine: `Engine.spec.tenants`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wayfare_engine.resources import Journey, Segment, Tenant


@dataclass(frozen=True, slots=True)
class Excess:
    """A resource that is outside its tenant's bounds."""

    path: str
    message: str


def tenant_of(namespace: str, tenants: Sequence[Tenant]) -> Tenant | None:
    """The first tenant that holds a namespace; None when nothing bounds it."""
    return next((each for each in tenants if namespace in each.namespaces), None)


def outside(resource: Segment | Journey, tenants: Sequence[Tenant]) -> Excess | None:
    """Why a resource, by itself, is outside its tenant's bounds; None when it is not."""
    tenant = tenant_of(resource.metadata.namespace, tenants)
    if tenant is None or isinstance(resource, Segment):
        return None
    priority = resource.spec.priority
    if not tenant.min_priority <= priority <= tenant.max_priority:
        return Excess(
            "spec.priority",
            f"{priority} is outside of what tenant {tenant.name} may use: "
            f"{tenant.min_priority} to {tenant.max_priority}",
        )
    if tenant.slots is None:
        return None
    for index, node in enumerate(resource.spec.nodes or ()):
        if node.slot is not None and node.slot.name not in tenant.slots:
            return Excess(
                f"spec.nodes[{index}].slot.name",
                f"tenant {tenant.name} may not fill slot {node.slot.name}, only: "
                f"{', '.join(tenant.slots) or 'none'}",
            )
    return None


def too_many(
    resources: Iterable[Segment | Journey], tenants: Sequence[Tenant]
) -> dict[tuple[str, str], Excess]:
    """Those beyond the number that their tenant may have, by (kind, plan name).

    The eldest stay, and of one age the first by name: a new one never takes an old one off the air.
    """
    groups: dict[tuple[str, str], list[Segment | Journey]] = {}
    bounds: dict[tuple[str, str], int] = {}
    for resource in resources:
        tenant = tenant_of(resource.metadata.namespace, tenants)
        if tenant is None:
            continue
        journeys = isinstance(resource, Journey)
        most = tenant.max_journeys if journeys else tenant.max_segments
        if most is not None:
            group = (tenant.name, "journeys" if journeys else "segments")
            groups.setdefault(group, []).append(resource)
            bounds[group] = most
    found = {}
    for (name, what), members in groups.items():
        most = bounds[name, what]
        for resource in sorted(members, key=_age)[most:]:
            found[resource.kind_name, resource.plan_name] = Excess(
                "spec.engineRef", f"tenant {name} may have {most} {what} and has {len(members)}"
            )
    return found


def _age(resource: Segment | Journey) -> tuple[float, str]:
    created = resource.metadata.creation_timestamp
    return (created.timestamp() if created is not None else float("inf"), resource.plan_name)
