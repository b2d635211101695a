"""What is known of an engine's plan: compiled, wanted, acknowledged. Pure, but for its memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wayfare_engine.plan import CompileProblem, Plan
from wayfare_engine.resources import Reason
from wayfare_operator.control import ControlStatus, ToldChannel
from wayfare_operator.kube.kinds import Object

FRESH_SECONDS = 15.0
"""An acknowledgement that is older says nothing of what a pod serves now."""

_REMEMBERED_PLANS = 8


@dataclass(frozen=True, slots=True)
class Contents:
    """What a plan holds: spec digests by plan name, and each segment's key."""

    journeys: Mapping[str, str]
    segments: Mapping[str, str]
    segment_keys: Mapping[str, str]
    channels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Denied:
    """A resource that may not have what it asks for: a reference, or its place in an engine."""

    path: str
    message: str
    reason: Reason = Reason.REF_NOT_PERMITTED


@dataclass(frozen=True, slots=True)
class Compiled:
    """The result of compiling everything of one engine. Names are (kind, "namespace/name")."""

    plan: Plan
    contents: Contents
    problems: Mapping[tuple[str, str], tuple[CompileProblem, ...]]
    denied: Mapping[tuple[str, str], Denied]
    considered: Mapping[tuple[str, str], str]
    """Spec digests that were looked at; another one has not been compiled yet."""


@dataclass(frozen=True, slots=True)
class ServingPod:
    """A Ready endpoint of serve, and the plan it acknowledged, None when there is no fresh word."""

    uid: str
    name: str
    plan: str | None


@dataclass
class Publication:
    """The state of one engine's plan in this process; all of it can be found out again."""

    fingerprint: str | None = None
    compiled: Compiled | None = None
    previous: Plan | None = None
    previous_read: bool = False
    unreadable: str | None = None
    told: ControlStatus | None = None
    unreachable: str | None = None
    unreachable_since: float | None = None
    refused: tuple[str, str] | None = None
    pods: tuple[ServingPod, ...] = ()
    no_pods_since: float | None = None
    pending_since: float | None = None
    plans: OrderedDict[str, Contents] = field(default_factory=OrderedDict)
    seen: object = None
    channels_seen: object = None

    def told_of(self, channel: str) -> ToldChannel | None:
        """What the workers said of a channel last, if they said anything."""
        if self.told is None:
            return None
        return next((each for each in self.told.channels if each.name == channel), None)

    def remember(self, digest: str, contents: Contents) -> None:
        """Keep what a plan holds, so that an acknowledgement of it can be understood."""
        self.plans[digest] = contents
        self.plans.move_to_end(digest)
        while len(self.plans) > _REMEMBERED_PLANS:
            self.plans.popitem(last=False)

    @property
    def looked(self) -> bool:
        """Whether this process has looked once; before that it has nothing to tell."""
        return self.seen is not None

    @property
    def digest(self) -> str | None:
        """Digest of the plan that was compiled last."""
        return self.compiled.plan.digest if self.compiled is not None else None

    @property
    def published(self) -> bool:
        """Whether the worker wants the plan that was compiled last."""
        return (
            self.told is not None
            and self.digest is not None
            and self.told.wanted_plan == self.digest
        )

    @property
    def acknowledged(self) -> int:
        """How many serving pods have acknowledged the plan that was compiled last."""
        return sum(pod.plan == self.digest for pod in self.pods)

    @property
    def everywhere(self) -> bool:
        """Whether every serving pod, and at least one, serves the plan that was compiled last."""
        return self.published and bool(self.pods) and self.acknowledged == len(self.pods)

    def serves(self, journey: str, spec_digest: str) -> bool:
        """Whether every serving pod is known to serve this spec of a journey."""
        return bool(self.pods) and all(
            pod.plan is not None
            and (held := self.plans.get(pod.plan)) is not None
            and held.journeys.get(journey) == spec_digest
            for pod in self.pods
        )

    def contradicts(self, journey: str, spec_digest: str) -> bool:
        """Whether some serving pod is known to serve something else for a journey."""
        return any(
            pod.plan is not None
            and (held := self.plans.get(pod.plan)) is not None
            and held.journeys.get(journey) != spec_digest
            for pod in self.pods
        )


def serving_pods(slices: Sequence[Object], told: ControlStatus | None) -> tuple[ServingPod, ...]:
    """Ready endpoints of serve, each with the plan it acknowledged freshly, sorted by name."""
    acknowledged = {
        each.pod_uid: each.plan
        for each in (told.acknowledgements if told is not None else ())
        if each.age_seconds < FRESH_SECONDS
    }
    pods: dict[str, ServingPod] = {}
    for each in slices:
        for endpoint in each.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            target = endpoint.get("targetRef") or {}
            # An absent `ready` means unknown, which consumers are told to read as ready.
            if conditions.get("ready") is False or target.get("kind") != "Pod":
                continue
            uid = target.get("uid", "")
            pods[uid] = ServingPod(uid, target.get("name", ""), acknowledged.get(uid))
    return tuple(sorted(pods.values(), key=lambda pod: (pod.name, pod.uid)))
