"""What every reconcile is given: caches, clients, clocks; and the keys of the queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from wayfare_engine.resources import RecoveryPlan
from wayfare_operator.cache import Cache, engine_of
from wayfare_operator.control import ControlClient
from wayfare_operator.issuer import IssuerKeys
from wayfare_operator.kube.client import KubeClient
from wayfare_operator.kube.kinds import CHANNEL, JOURNEY, RECOVERY_PLAN, SEGMENT, Ref
from wayfare_operator.queue import WorkQueue
from wayfare_operator.reconcile.figures import Figures
from wayfare_operator.reconcile.publication import Publication
from wayfare_operator.recovery.memory import PlanMemory
from wayfare_operator.recovery.stores import Recovery
from wayfare_operator.settings import OperatorSettings

_PLANNED = frozenset({"Engine", "Segment", "Journey", "Channel"})
"""Kinds that go into an engine's plan."""


class Work(StrEnum):
    """What is reconciled. PLAN is an engine's compile and publication, apart from its children;
    REQUESTS is what a recovery plan's other site asks of this one."""

    ENGINE = "Engine"
    PLAN = "Plan"
    SEGMENT = "Segment"
    JOURNEY = "Journey"
    CHANNEL = "Channel"
    NAMESPACES = "Namespaces"
    RECOVERY_PLAN = "RecoveryPlan"
    RECOVERY_RUN = "RecoveryRun"
    APPROVAL = "Approval"
    REQUESTS = "RecoveryRequests"


class Key(NamedTuple):
    """One thing to reconcile."""

    work: Work
    namespace: str
    name: str

    @classmethod
    def of(cls, ref: Ref) -> Key:
        """The key of one of our objects."""
        return cls(Work(ref.kind), ref.namespace, ref.name)

    def __str__(self) -> str:
        return f"{self.work} {self.namespace}/{self.name}"


@dataclass
class World:
    """Shared by all reconciles of one leading operator. `now` is UTC; `clock` is monotonic."""

    settings: OperatorSettings
    cache: Cache
    kube: KubeClient
    control: ControlClient
    issuer: IssuerKeys
    now: Callable[[], datetime]
    clock: Callable[[], float]
    token: Callable[[], str]
    recovery: Recovery
    queue: WorkQueue[Key] = field(init=False)
    publications: dict[tuple[str, str], Publication] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)
    accepted: dict[Ref, str] = field(default_factory=dict)
    secrets_made: set[str] = field(default_factory=set)
    plans: dict[tuple[str, str], PlanMemory] = field(default_factory=dict)
    """What is known of each RecoveryPlan, by its namespace and name."""

    def publication(self, namespace: str, name: str) -> Publication:
        """What is known of an engine's plan; made when asked for first."""
        return self.publications.setdefault((namespace, name), Publication())

    def plan_memory(self, plan: RecoveryPlan) -> PlanMemory | None:
        """What is known of a RecoveryPlan; None before it was looked at."""
        return self.plans.get((plan.metadata.namespace, plan.metadata.name))

    def enqueue_plan(self, namespace: str, name: str) -> None:
        """Compile and publish soon; a burst of changes is one compile."""
        self.queue.add(Key(Work.PLAN, namespace, name), self.settings.debounce)

    def enqueue_dependents(self, namespace: str, name: str) -> None:
        """Have everything that refers to an engine look at it again."""
        for kind in (SEGMENT, JOURNEY, CHANNEL):
            for entry in self.cache.referring(kind, namespace, name):
                self.queue.add(Key.of(entry.ref))
        for entry in self.cache.referring(RECOVERY_PLAN, namespace, name):
            self.enqueue_recovery_plan(entry.ref.namespace, entry.ref.name)

    def enqueue_recovery_plan(self, namespace: str, name: str) -> None:
        """Look again at a plan, at what its other site asks of this one, and at its runs."""
        self.queue.add(Key(Work.RECOVERY_PLAN, namespace, name))
        self.queue.add(Key(Work.REQUESTS, namespace, name))
        for entry in self.cache.runs_of(namespace, name):
            self.queue.add(Key.of(entry.ref))

    def enqueue_engine_of(self, ref: Ref) -> None:
        """Have the plan of the engine that an object refers to compiled again."""
        entry = self.cache.get(ref)
        if entry is not None and entry.resource is not None and ref.kind in _PLANNED:
            self.enqueue_plan(*engine_of(entry.resource))
