"""What a drill's objects in the cluster are: made, seen, and taken away again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.resources import Reason, RecoveryPlan, RecoveryRun
from wayfare_operator.desired import drill
from wayfare_operator.desired.drill_parts import anchor_name, stores_name
from wayfare_operator.desired.metadata import ATTEMPT_LABEL, COMPONENT_LABEL, DRILL_LABEL
from wayfare_operator.kube.client import ApiError
from wayfare_operator.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    NETWORK_POLICY,
    POD,
    SECRET,
    SERVICE,
    Kind,
    Object,
    Ref,
)
from wayfare_operator.reconcile.children import Refused, apply_one
from wayfare_operator.reconcile.pods import failure, rollout

if TYPE_CHECKING:
    from wayfare_operator.recovery.steps.contract import StepContext

_before_make = crash_point("operator.drill.before_make", "a drill's object is made next")
_made = crash_point("operator.drill.made", "some objects of a drill are made")
_before_removal = crash_point("operator.drill.before_delete", "a drill's objects go next")
_removed = crash_point("operator.drill.deleted", "some objects of a drill are gone")

_REFUSED = (400, 403, 422)
_WORKLOADS = (DEPLOYMENT,)
_REST = (SERVICE, CONFIG_MAP, NETWORK_POLICY)
"""What goes when no pod is left: the wall last, because a pod that ends is still a pod."""


def run_of(step: StepContext) -> RecoveryRun:
    """The run, which owns everything: a drill is driven where it is made."""
    assert isinstance(step.owner, RecoveryRun), "a drill is driven at its target"
    return step.owner


async def make(
    step: StepContext, objects: Sequence[Object], *, owner: RecoveryPlan | None = None
) -> Refused | None:
    """Make the cluster hold these, which the run owns, or `owner`; the first refusal, if any."""
    refused: Refused | None = None
    _before_make()
    for obj in objects:
        refused = await apply_one(step.world, owner or run_of(step), obj) or refused
    _made()
    return refused


async def make_wall(step: StepContext) -> Refused | None:
    """The network policy: before any pod."""
    built = drill.wall(run_of(step), step.engine, step.plan)
    return await make(step, [built], owner=step.plan)


async def make_secret(step: StepContext) -> Refused | None:
    """The anchor, and the Secret that goes with it; once, because passwords are made anew."""
    run, world = run_of(step), step.world
    name, namespace = run.metadata.name, run.metadata.namespace
    if world.cache.child(Ref(DEPLOYMENT.name, namespace, stores_name(name))) is not None:
        return None
    refused = await make(step, [drill.anchor(run)])
    anchored = world.cache.child(Ref(CONFIG_MAP.name, namespace, anchor_name(name)))
    if refused is not None or anchored is None:
        return refused
    tokens = (world.token(), world.token(), world.token())
    try:
        await world.kube.create(SECRET, drill.secret(run, anchored, tokens=tokens))
    except ApiError as error:
        if error.status in _REFUSED:
            return Refused(Reason.APPLY_FAILED, f"Secret {anchor_name(name)}: {error.message}")
        if error.status != 409:
            raise
    return None


def waits_for(step: StepContext, name: str, component: str) -> str | None:
    """Why a Deployment of the drill is not ready; None when it is."""
    namespace = step.engine.metadata.namespace
    seen = rollout(step.world.cache.child(Ref(DEPLOYMENT.name, namespace, name)), name)
    if seen.complete:
        return None
    broken = failure(pods(step, component))
    return broken.message if broken is not None else f"{name} is not ready yet"


def pods(step: StepContext, component: str, *, attempt: int | None = None) -> list[Object]:
    """The drill's pods of a component, or those of one attempt, the newest first."""
    run = run_of(step)
    owner = Ref(run.kind_name, run.metadata.namespace, run.metadata.name)
    found = [
        pod
        for pod in step.world.cache.owned(POD, owner)
        if pod["metadata"]["labels"].get(COMPONENT_LABEL) == component
        and attempt in (None, int(pod["metadata"]["labels"].get(ATTEMPT_LABEL, 0)))
    ]
    return sorted(
        found, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True
    )


async def remove(step: StepContext) -> list[str]:
    """Take it all away, pods first; what is still there, by the API server's own word."""
    left = await _remove(step, _WORKLOADS)
    left += [f"Pod {pod['metadata']['name']}" for pod in await _listed(step, POD)]
    if left:
        return left
    left = await _remove(step, _REST)
    if left:
        return left
    name = anchor_name(step.run.name)
    probe = {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.name,
        "metadata": {"name": name, "namespace": step.engine.metadata.namespace},
    }
    return [] if await step.world.kube.is_free(SECRET, probe) else [f"Secret {name}"]


async def take_down(step: StepContext, name: str) -> None:
    """Delete one Deployment of the drill, with its pods."""
    for obj in await _listed(step, DEPLOYMENT):
        if obj["metadata"]["name"] == name:
            await _delete(step, DEPLOYMENT, obj)


async def _remove(step: StepContext, kinds: Sequence[Kind]) -> list[str]:
    """Delete what there is of these kinds; what was still there when it was looked at."""
    left: list[str] = []
    for kind in kinds:
        for obj in await _listed(step, kind):
            left.append(f"{kind.name} {obj['metadata']['name']}")
            await _delete(step, kind, obj)
    return left


async def _delete(step: StepContext, kind: Kind, obj: Object) -> None:
    metadata = obj["metadata"]
    if metadata.get("deletionTimestamp") is not None:
        return
    _before_removal()
    try:
        await step.world.kube.delete(
            kind, metadata["namespace"], metadata["name"], uid=metadata["uid"]
        )
    except ApiError as error:
        if error.status not in (404, 409):
            raise
    _removed()


async def _listed(step: StepContext, kind: Kind) -> list[Object]:
    """From the API server, not from the cache: nothing may be overlooked. By the run's name, for
    the RecoveryRun itself may be deleted."""
    labels = f"{DRILL_LABEL}={step.run.name}"
    namespace = step.engine.metadata.namespace
    return [obj async for obj in step.world.kube.list(kind, namespace, labels=labels)]
