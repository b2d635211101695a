"""What pods and Deployments say of themselves. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wayfare_engine.resources import Reason
from wayfare_operator.kube.kinds import Object

_BROKEN = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImagePull",
        "ErrImageNeverPull",
        "ImagePullBackOff",
        "InvalidImageName",
        "CrashLoopBackOff",
        "RunContainerError",
    }
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A pod that cannot start."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Rollout:
    """How far a Deployment is with its newest template."""

    name: str
    wanted: int
    ready: int
    complete: bool


def failure(pods: Sequence[Object]) -> Failure | None:
    """The first pod, by name, with a container that cannot start, in the kubelet's own words."""
    for pod in sorted(pods, key=lambda each: str(each["metadata"]["name"])):
        if pod["metadata"].get("deletionTimestamp") is not None:
            continue
        status = pod.get("status") or {}
        containers: Iterable[Object] = (
            *(status.get("initContainerStatuses") or ()),
            *(status.get("containerStatuses") or ()),
        )
        for container in containers:
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in _BROKEN:
                continue
            said = str(waiting.get("message") or waiting["reason"])
            last = _last_words(container)
            return Failure(
                _reason(str(waiting["reason"]), said, last),
                f"pod {pod['metadata']['name']}, container {container.get('name')}: "
                f"{waiting['reason']}: {last or said}",
            )
    return None


def _last_words(container: Object) -> str:
    """What our command said when it ended, where the pod's template has that kept."""
    ended = (container.get("lastState") or {}).get("terminated") or {}
    lines = str(ended.get("message") or "").strip().splitlines()
    return lines[-1].removeprefix("wayfare: ") if lines else ""


def _reason(waiting: str, said: str, last: str) -> Reason:
    if last.startswith("there is no channel plugin"):
        return Reason.PLUGIN_UNKNOWN
    if last.startswith(("secret ", "there is no secret ")):
        return Reason.SECRET_MISSING
    if last.startswith("config: "):
        return Reason.INVALID_SPEC
    missing = waiting == "CreateContainerConfigError" and "secret" in said.lower()
    return Reason.SECRET_MISSING if missing else Reason.POD_FAILED


def rollout(deployment: Object | None, name: str) -> Rollout:
    """A Deployment's progress, from its own status."""
    if deployment is None:
        return Rollout(name, 1, 0, False)
    status = deployment.get("status") or {}
    wanted = int((deployment.get("spec") or {}).get("replicas", 1))
    ready = int(status.get("readyReplicas") or 0)
    complete = (
        int(status.get("observedGeneration") or 0)
        >= int(deployment["metadata"].get("generation") or 0)
        and int(status.get("updatedReplicas") or 0) >= wanted
        and int(status.get("replicas") or 0) <= wanted
        and int(status.get("availableReplicas") or 0) >= wanted
    )
    return Rollout(name, wanted, ready, complete)
