"""The Job of a check of a user's own, and what its end says. Pure."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from typing import Any

from wayfare_engine.resources import Engine, RecoveryPlan, RecoveryRun, Verdict, parse_duration
from wayfare_engine.resources.recovery_checks import CustomCheck
from wayfare_operator.desired.metadata import (
    ATTEMPT_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PLAN_LABEL,
    RUN_LABEL,
    owner,
    sealed,
)
from wayfare_operator.kube.kinds import JOB, Object
from wayfare_operator.recovery.jobs import (
    CHECK_LABEL,
    NUMBER_LABEL,
    STEP_LABEL,
    JobState,
    Seen,
    Task,
)

STEP = "CustomCheck"
"""What its step label says: it is no data step, and no pod of one."""

LATE = timedelta(seconds=15)
"""How long after its deadline it may still be ending; nobody can tell then."""


def name_of(check: str, task: Task) -> str:
    """Name of the Job: the same whoever makes it, and another for another check or attempt."""
    slug = re.sub(r"[^a-z0-9-]", "", check.lower())[:12].strip("-")
    return (
        f"{task.run}-check-{slug}-{hashlib.sha256(check.encode()).hexdigest()[:6]}-{task.attempt}"
    )


def check_job(
    check: CustomCheck,
    task: Task,
    plan: RecoveryPlan,
    engine: Engine,
    site: str,
    owned_by: RecoveryPlan | RecoveryRun,
) -> Object:
    """The user's pod, once. Labels and restart policy are ours, and no token of the API server is
    mounted unless the template says so; all else is the template's."""
    assert check.job is not None, "the check is a Job"
    label = RUN_LABEL if isinstance(owned_by, RecoveryRun) else PLAN_LABEL
    labels = {
        MANAGED_BY_LABEL: MANAGED_BY,
        label: owned_by.metadata.name,
        NUMBER_LABEL: str(task.number),
        STEP_LABEL: STEP,
        ATTEMPT_LABEL: str(task.attempt),
        CHECK_LABEL: check.name.rstrip("-"),
    }
    told = [
        {"name": "WAYFARE_RUN", "value": task.run},
        {"name": "WAYFARE_SITE", "value": site},
    ]
    given: dict[str, Any] = check.job.template
    metadata = given.get("metadata") or {}
    spec = {"automountServiceAccountToken": False, **(given.get("spec") or {})}
    for member in ("containers", "initContainers"):
        if isinstance(spec.get(member), list):
            spec[member] = [_told(each, told) for each in spec[member]]
    spec["restartPolicy"] = "Never"
    template = {
        **given,
        "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), **labels}},
        "spec": spec,
    }
    return sealed(
        {
            "apiVersion": JOB.api_version,
            "kind": JOB.name,
            "metadata": {
                "name": name_of(check.name, task),
                "namespace": engine.metadata.namespace,
                "labels": labels,
                "ownerReferences": [owner(owned_by)],
            },
            "spec": {
                "backoffLimit": 0,
                "completions": 1,
                "parallelism": 1,
                "podReplacementPolicy": "Failed",
                "activeDeadlineSeconds": max(1, int(seconds_of(check))),
                "template": template,
            },
        }
    )


def _told(container: Any, told: list[Object]) -> Any:
    if not isinstance(container, dict):
        return container
    names = {each["name"] for each in told}
    env = [each for each in container.get("env") or [] if each.get("name") not in names]
    return {**container, "env": [*env, *told]}


def seconds_of(check: CustomCheck) -> float:
    """The check's timeout."""
    assert check.job is not None, "the check is a Job"
    return parse_duration(check.job.timeout).total_seconds()


def judged(
    check: CustomCheck, job: Object, seen: Seen, now: datetime
) -> tuple[Verdict, str] | None:
    """What the Job says, or None while it has its time."""
    metadata = job["metadata"]
    timeout = seconds_of(check)
    conditions = (job.get("status") or {}).get("conditions") or ()
    late = any(
        each.get("type") in ("Failed", "FailureTarget") and each.get("reason") == "DeadlineExceeded"
        for each in conditions
        if each.get("status") == "True"
    )
    said = f"its Job {metadata['name']} did not end within {timeout:g} s"
    if late:
        return Verdict.UNKNOWN, said
    if seen.state is JobState.COMPLETE:
        return Verdict.PASSED, f"its Job {metadata['name']} succeeded"
    if seen.state is JobState.FAILED:
        return Verdict.FAILED, seen.message
    began = datetime.fromisoformat(metadata["creationTimestamp"])
    if now - began >= timedelta(seconds=timeout) + LATE:
        return Verdict.UNKNOWN, f"{said}{f': {seen.message}' if seen.message else ''}"
    return None
