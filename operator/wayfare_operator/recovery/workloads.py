"""What sleeps and wakes with a site, and how each of it stands. Pure.

Two tiers: what holds data wakes first and sleeps last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any

from wayfare_engine.resources import Channel, Engine, RecoveryPlan
from wayfare_engine.runs.bundle import tracked_by
from wayfare_operator.desired.channel import child_name
from wayfare_operator.desired.metadata import POSTGRESQL, SERVE, VALKEY, WORKER
from wayfare_operator.desired.serve import initial_replicas
from wayfare_operator.kube.compare import quantity
from wayfare_operator.kube.kinds import DEPLOYMENT, STATEFUL_SET, Kind, Object

CLUSTER = Kind("postgresql.cnpg.io", "v1", "clusters", "Cluster")
"""CloudNativePG's: it is hibernated by an annotation."""

HIBERNATION = "cnpg.io/hibernation"
AWAKE_REPLICAS = "wayfare.dev/awake-replicas"
"""On a workload that sleeps: how many replicas it had."""

KINDS = {kind.name: kind for kind in (DEPLOYMENT, STATEFUL_SET, CLUSTER)}


class Tier(IntEnum):
    """In which order things wake."""

    STORE = 0
    ENGINE = 1


@dataclass(frozen=True, order=True, slots=True)
class Workload:
    """`replicas`: what it gets when nobody knows what it had. `excluded`: a GitOps tool that keeps
    it leaves its replicas alone."""

    tier: Tier
    kind: str
    namespace: str
    name: str
    replicas: int = 1
    excluded: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class State:
    """How a workload stands. `wanted`: replicas that it is to have now; `remembered`: that it had
    before it slept; `up`: pods that run or are to run; `volumes`: those that its pods use."""

    workload: Workload
    present: bool
    uid: str = ""
    version: str = ""
    wanted: int = 0
    remembered: int | None = None
    ready: bool = False
    up: int = 0
    volumes: int = 0
    always: int = 0
    always_volumes: int = 0
    """Pods and volumes that it would have if it never slept."""
    kept_by: str | None = None
    """The GitOps tool that would scale it up again."""
    cpu: Decimal = Decimal(0)
    memory: Decimal = Decimal(0)
    """What one pod requests: cores and bytes."""

    @property
    def awake(self) -> bool:
        """Whether it is to have pods."""
        return self.wanted > 0


def workloads_of(
    plan: RecoveryPlan, engine: Engine, channels: Iterable[Channel]
) -> tuple[Workload, ...]:
    """All that sleeps, in the order in which it wakes."""
    namespace, name = engine.metadata.namespace, engine.metadata.name
    found = {
        Workload(Tier.STORE, each.kind, namespace, each.name, excluded=each.replicas_excluded)
        for each in plan.spec.standby.workloads
    }
    managed = engine.spec.stores.managed is not None
    for component in (POSTGRESQL, VALKEY) if managed else ():
        found.add(Workload(Tier.STORE, STATEFUL_SET.name, namespace, f"{name}-{component}"))
    for component, replicas in (
        (WORKER, engine.spec.worker.replicas),
        (SERVE, initial_replicas(engine)),
    ):
        child = f"{name}-{component}"
        found.add(Workload(Tier.ENGINE, DEPLOYMENT.name, namespace, child, max(1, replicas)))
    for channel in channels:
        plugin = channel.spec.plugin
        if not plugin.built_in and plugin.url is None:
            of = channel.metadata.namespace
            found.add(Workload(Tier.ENGINE, DEPLOYMENT.name, of, child_name(channel)))
    return tuple(sorted(found))


def state_of(workload: Workload, obj: Object | None) -> State:
    """How the object stands; None: there is none."""
    if obj is None:
        return State(workload, present=False)
    if workload.kind == CLUSTER.name:
        return _cluster(workload, obj)
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    wanted = int(spec.get("replicas", 1))
    remembered = _number((metadata.get("annotations") or {}).get(AWAKE_REPLICAS))
    claims = len(spec.get("volumeClaimTemplates") or ())
    up = max(wanted, int(status.get("replicas") or 0))
    always = wanted or remembered or workload.replicas
    current = int(status.get("observedGeneration") or 0) >= int(metadata.get("generation") or 0)
    return State(
        workload,
        present=True,
        uid=metadata["uid"],
        version=str(metadata.get("resourceVersion") or ""),
        wanted=wanted,
        remembered=remembered,
        ready=current and int(status.get("readyReplicas") or 0) >= wanted > 0,
        up=up,
        volumes=up * claims,
        always=always,
        always_volumes=always * claims,
        kept_by=_kept_by(workload, obj),
        cpu=_requested(spec, "cpu"),
        memory=_requested(spec, "memory"),
    )


def _kept_by(workload: Workload, obj: Object) -> str | None:
    return None if workload.excluded else tracked_by(obj)


def fought_over(states: Sequence[State]) -> str | None:
    """What may not be put to sleep, because something else would wake it, with what to do."""
    found = [f"{each.workload} ({each.kept_by})" for each in states if each.kept_by is not None]
    if not found:
        return None
    return (
        f"{', '.join(found)}: a GitOps tool keeps it and would scale it up again, so it stays "
        "awake. Have the tool leave its replicas alone (of a Cluster: its annotations), then say "
        "replicasExcluded: true for it in spec.standby.workloads"
    )


def _requested(spec: Object, resource: str) -> Decimal:
    containers = ((spec.get("template") or {}).get("spec") or {}).get("containers") or ()
    amounts = [
        quantity(((each.get("resources") or {}).get("requests") or {}).get(resource, 0))
        for each in containers
    ]
    return sum((each for each in amounts if each is not None), Decimal(0))


def _cluster(workload: Workload, obj: Object) -> State:
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    instances = int(spec.get("instances", 1))
    asleep = (metadata.get("annotations") or {}).get(HIBERNATION) == "on"
    ready = int(status.get("readyInstances") or 0)
    return State(
        workload,
        present=True,
        uid=metadata["uid"],
        version=str(metadata.get("resourceVersion") or ""),
        wanted=0 if asleep else instances,
        remembered=_number((metadata.get("annotations") or {}).get(AWAKE_REPLICAS)),
        ready=not asleep and ready >= instances,
        up=ready if asleep else instances,
        volumes=ready if asleep else instances,
        always=instances,
        always_volumes=instances,
        kept_by=_kept_by(workload, obj),
    )


def _number(text: Any) -> int | None:
    try:
        found = int(text)
    except (TypeError, ValueError):
        return None
    return found if found > 0 else None


@dataclass(frozen=True, slots=True)
class Change:
    """Set a workload's replicas; for a Cluster, 0 hibernates it and anything else wakes it."""

    state: State
    replicas: int


def to_wake(states: Sequence[State], *, only_stores: bool = False) -> tuple[Change, ...]:
    """What to scale up now: the stores, and once these are ready the rest."""
    return tuple(
        Change(each, each.remembered or each.workload.replicas)
        for each in _reached(states, waking=True)
        if each.present and not each.awake and (each.workload.tier is Tier.STORE or not only_stores)
    )


def to_sleep(states: Sequence[State]) -> tuple[Change, ...]:
    """What to scale to zero now: the engine, and once its pods are gone the stores."""
    return tuple(
        Change(each, 0)
        for each in _reached(states, waking=False)
        if each.present and each.awake and each.kept_by is None
    )


def _reached(states: Sequence[State], *, waking: bool) -> tuple[State, ...]:
    """The tiers up to the first that is not there yet, it included."""
    found: list[State] = []
    for tier in sorted(Tier, reverse=not waking):
        of = [each for each in states if each.workload.tier is tier]
        found += of
        if not all(each.ready if waking else each.up == 0 for each in of if each.present):
            break
    return tuple(found)


def all_ready(states: Sequence[State]) -> bool:
    """Whether all of it is up; what is not there cannot be."""
    return all(each.present and each.ready for each in states)


def all_asleep(states: Sequence[State]) -> bool:
    """Whether nothing is up of what may sleep."""
    return all(each.up == 0 for each in states if each.kept_by is None)


def waiting(states: Sequence[State], *, waking: bool) -> str:
    """What is waited for, in words; empty when nothing is."""
    missing = [str(each.workload) for each in states if not each.present]
    if waking:
        late = [str(each.workload) for each in states if each.present and not each.ready]
        said = f"not ready yet: {', '.join(late)}" if late else ""
        gone = f"not there: {', '.join(missing)}" if missing else ""
        return "; ".join(each for each in (gone, said) if each)
    late = [f"{each.workload} ({each.up} pods)" for each in states if each.up and not each.kept_by]
    return f"still up: {', '.join(late)}" if late else ""
