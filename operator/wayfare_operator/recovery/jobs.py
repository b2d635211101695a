"""The Job of a data step, and what the cluster says of it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec

from wayfare_engine.resources import Engine, RecoveryPlan, RecoveryRun, RunKind, parse_duration
from wayfare_engine.runs import CheckResult
from wayfare_engine.runs.procedures import TURN_SECONDS
from wayfare_operator.desired import drill, pods
from wayfare_operator.desired.facts import Facts
from wayfare_operator.desired.metadata import (
    ATTEMPT_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PLAN_LABEL,
    RECOVERY,
    RUN_LABEL,
    WORKER,
    owner,
    sealed,
    selector,
)
from wayfare_operator.kube.kinds import JOB, Object
from wayfare_operator.reconcile.pods import failure

STEP_LABEL = "wayfare.dev/recovery-step"
CHECK_LABEL = "wayfare.dev/recovery-check"
"""Of the Job of a check of a user's own."""
NUMBER_LABEL = "wayfare.dev/recovery-number"
"""Number of the run: the plan's owner has Jobs of windows as well."""
_GRACE_SECONDS = 10
_CHECKING = frozenset({"Verify", "Check"})
"""Steps that make the plan's own requests."""


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt of one data step. `timeout` in seconds, from its beginning. `then`: the steps
    that its pod goes on with when their turn comes, and the seconds that each may take."""

    run: str
    number: int
    kind: RunKind
    step: str
    attempt: int
    timeout: float
    then: tuple[tuple[str, float], ...] = ()

    @property
    def name(self) -> str:
        """Name of its Job: the same whoever makes it."""
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", self.step).lower()
        return f"{self.run}-{words}-{self.attempt}"

    @property
    def longest(self) -> float:
        """Seconds that its pod may run: its own step, and each wait and step after that."""
        return self.timeout + sum(TURN_SECONDS + timeout for _, timeout in self.then)


def task_job(
    task: Task,
    plan: RecoveryPlan,
    engine: Engine,
    facts: Facts,
    owned_by: RecoveryPlan | RecoveryRun,
    found: Sequence[CheckResult] = (),
) -> Object:
    """The Job: one pod, once. A new attempt is another Job. `found`: what is judged with its own
    checks.

    It is owned by the run at the site that drives it, and by the plan at the other.
    """
    key_env, key_mounts, key_volumes = pods.master_key(engine)
    store_env, store_env_from = pods.object_store(engine)
    label = RUN_LABEL if isinstance(owned_by, RecoveryRun) else PLAN_LABEL
    labels = {
        **selector(engine.metadata.name, RECOVERY),
        MANAGED_BY_LABEL: MANAGED_BY,
        label: owned_by.metadata.name,
        NUMBER_LABEL: str(task.number),
        STEP_LABEL: task.step,
        ATTEMPT_LABEL: str(task.attempt),
    }
    command = ["wayfare", "recovery", "task", task.step]
    container = pods.container(
        engine,
        facts,
        "task",
        [
            *command,
            *("--run", str(task.number), "--attempt", str(task.attempt)),
            *(word for step, _ in task.then for word in ("--then", step)),
        ],
        env=[
            *pods.environment(engine, facts),
            # The right to act is taken by a step, never by the way.
            *(each for each in store_env if each["name"] != "WAYFARE_LEASE_TAKE_FIRST"),
            *key_env,
            *_terms(task, plan, found),
            *drill.task_environment(task.run, engine, task.step, task.kind),
        ],
        mounts=key_mounts,
        **({"envFrom": store_env_from} if store_env_from else {}),
        resources=pods.resources(engine.spec.worker.resources, "250m", "1Gi"),
        terminationMessagePolicy="FallbackToLogsOnError",
    )
    template: Object = pods.placed(
        engine,
        {
            "metadata": {"labels": labels},
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "serviceAccountName": f"{engine.metadata.name}-{WORKER}",
                "securityContext": pods.POD_SECURITY,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": _GRACE_SECONDS,
                "containers": [container],
                "volumes": [{"name": "tmp", "emptyDir": {}}, *key_volumes],
            },
        },
    )
    return sealed(
        {
            "apiVersion": JOB.api_version,
            "kind": JOB.name,
            "metadata": {
                "name": task.name,
                "namespace": engine.metadata.namespace,
                "labels": labels,
                "ownerReferences": [owner(owned_by)],
            },
            "spec": {
                "backoffLimit": 0,
                "completions": 1,
                "parallelism": 1,
                "podReplacementPolicy": "Failed",
                "activeDeadlineSeconds": max(1, int(task.longest)),
                "template": template,
            },
        }
    )


def _terms(task: Task, plan: RecoveryPlan, found: Sequence[CheckResult]) -> list[Object]:
    spec = plan.spec
    terms: Object = {
        "kind": str(task.kind),
        "sites": [site.name for site in spec.sites],
        "takeover": spec.takeover,
        "standby": spec.standby.mode,
        "rtoSeconds": _seconds(spec.objectives.rto),
        "rpoSeconds": _seconds(spec.objectives.rpo),
        "latencySeconds": _seconds(spec.objectives.latency),
        "secrets": [each.name for each in spec.secrets],
        "gates": None if spec.checks.gates is None else list(spec.checks.gates),
    }
    custom = [
        each.model_dump(by_alias=True, exclude_none=True)
        for each in spec.checks.custom
        if each.http
    ]
    if custom and not _CHECKING.isdisjoint([task.step, *(step for step, _ in task.then)]):
        terms["custom"] = custom
    if found:
        terms["found"] = msgspec.to_builtins(list(found))
    values = {
        "WAYFARE_LEASE_TTL_SECONDS": f"{_seconds(spec.lease.ttl):g}",
        "WAYFARE_HAND_OVER_SECONDS": f"{_seconds(spec.lease.hand_over):g}",
        "WAYFARE_CLOCK_ERROR": f"{spec.lease.clock_error_percent / 100:g}",
        "WAYFARE_RECOVERY_TERMS": json.dumps(terms),
    }
    return [{"name": name, "value": value} for name, value in values.items()]


def _seconds(duration: str) -> float:
    return parse_duration(duration).total_seconds()


class JobState(Enum):
    """How a Job stands."""

    RUNNING = "it has not ended"
    COMPLETE = "it ended well"
    FAILED = "it failed"


@dataclass(frozen=True, slots=True)
class Seen:
    """A Job as the cluster has it. `message` says what is wrong, or what it waits for."""

    state: JobState
    message: str


def seen(job: Object, its_pods: Sequence[Object]) -> Seen:
    """What the Job and its pods say of themselves."""
    conditions = {
        each["type"]: each
        for each in (job.get("status") or {}).get("conditions") or ()
        if each.get("status") == "True"
    }
    if "Complete" in conditions:
        return Seen(JobState.COMPLETE, "")
    failed = conditions.get("Failed") or conditions.get("FailureTarget")
    if failed is not None:
        said = _why(its_pods) or str(failed.get("message") or failed.get("reason") or "")
        return Seen(JobState.FAILED, f"its Job failed: {said}" if said else "its Job failed")
    gone = _evicted(its_pods)
    if gone:
        return Seen(JobState.FAILED, gone)
    broken = failure(its_pods)
    return Seen(JobState.RUNNING, broken.message if broken is not None else "")


def _evicted(its_pods: Sequence[Object]) -> str:
    """A pod that was taken away; its Job says so later, or never when the node is lost."""
    for pod in its_pods:
        status = pod.get("status") or {}
        name = pod["metadata"]["name"]
        if status.get("phase") == "Failed" and status.get("reason") == "Evicted":
            return f"pod {name} was evicted: {status.get('message') or 'no reason was given'}"
        for each in status.get("conditions") or ():
            if each.get("type") == "DisruptionTarget" and each.get("status") == "True":
                return f"pod {name} was taken away: {each.get('message') or each.get('reason')}"
    return ""


def _why(its_pods: Sequence[Object]) -> str:
    said = _evicted(its_pods)
    if said:
        return said
    for pod in its_pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or ():
            ended = (container.get("state") or {}).get("terminated") or {}
            if not ended or ended.get("exitCode") == 0:
                continue
            lines = str(ended.get("message") or "").strip().splitlines()
            last = lines[-1].removeprefix("wayfare: ") if lines else str(ended.get("reason") or "")
            return f"pod {pod['metadata']['name']} ended with {ended.get('exitCode')}: {last}"
    return ""
