"""Jobs of windows and scheduled checks: as those of a run's steps, with a window's number.

Their results are where `runs.windows` says; what a Job's state says does not count beside them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable

from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.resources import Engine, RecoveryPlan, RunKind
from wayfare_engine.runs import StepResult, read_failure, read_result
from wayfare_engine.runs.windows import window_plan
from wayfare_operator.desired import Facts
from wayfare_operator.desired.metadata import DESIRED_ANNOTATION, sealed
from wayfare_operator.kube.client import ApiError
from wayfare_operator.kube.kinds import JOB, POD, Object, Ref
from wayfare_operator.reconcile.world import World
from wayfare_operator.recovery import jobs
from wayfare_operator.recovery.procedure import JobState
from wayfare_operator.recovery.secret_digests import with_digests

WINDOW_LABEL = "wayfare.dev/recovery-window"
_JOB_NAME = "job-name"
_TERMS = "WAYFARE_RECOVERY_TERMS"


def name_of(plan: str, number: int, step: str, attempt: int) -> str:
    """Name of the Job of one attempt; the plan's name may be long, a Job's may not."""
    short = (
        plan if len(plan) <= 24 else f"{plan[:15]}-{hashlib.sha256(plan.encode()).hexdigest()[:8]}"
    )
    return f"{short}-w{number}-{step.lower()}-{attempt}"


def window_job(
    plan: RecoveryPlan,
    engine: Engine,
    facts: Facts,
    *,
    number: int,
    step: str,
    attempt: int,
    timeout: float,
    digest_key: str | None = None,
) -> Object:
    """The Job: that of a step, but its records are a window's. `timeout` in seconds;
    `digest_key`: Secret with the key by which a Check tells digests of the plan's Secrets."""
    task = jobs.Task(
        run=plan.metadata.name,
        number=number,
        kind=RunKind.DRILL,
        step=step,
        attempt=attempt,
        timeout=timeout,
    )
    made = jobs.task_job(task, plan, engine, facts, plan)
    labels = {**made["metadata"]["labels"], WINDOW_LABEL: str(number)}
    template = made["spec"]["template"]
    command = ["wayfare", "recovery", "task", step]
    options = ["--window", str(number), "--attempt", str(attempt)]
    [container] = template["spec"]["containers"]
    container = {
        **container,
        "command": [*command, *options],
        "env": [_of_no_run(each) for each in container["env"]],
    }
    pod = {
        "metadata": {**template["metadata"], "labels": labels},
        "spec": {**template["spec"], "containers": [container]},
    }
    if digest_key is not None:
        pod = with_digests(pod, plan, digest_key)
    annotations = {
        key: value
        for key, value in (made["metadata"].get("annotations") or {}).items()
        if key != DESIRED_ANNOTATION
    }
    return sealed(
        {
            **made,
            "metadata": {
                **made["metadata"],
                "name": name_of(plan.metadata.name, number, step, attempt),
                "labels": labels,
                "annotations": annotations,
            },
            "spec": {
                **made["spec"],
                "template": pod,
            },
        }
    )


def _of_no_run(variable: Object) -> Object:
    """The plan's terms without a kind of run: a window is none."""
    if variable["name"] != _TERMS:
        return variable
    return {**variable, "value": json.dumps({**json.loads(variable["value"]), "kind": None})}


async def look(
    world: World,
    store: ObjectStore,
    plan: RecoveryPlan,
    plan_id: str,
    *,
    number: int,
    step: str,
    attempt: int,
) -> tuple[JobState, StepResult | None, str]:
    """How an attempt stands: (state, result, failure in words)."""
    of = window_plan(plan_id, world.settings.site)
    result = await asyncio.to_thread(read_result, store, of, number, step)
    if result is not None:
        return JobState.DONE, result, ""
    failed = await asyncio.to_thread(read_failure, store, of, number, step, attempt)
    if failed is not None:
        return JobState.FAILED, None, failed.summary
    namespace = plan.metadata.namespace
    name = name_of(plan.metadata.name, number, step, attempt)
    job = world.cache.child(Ref(JOB.name, namespace, name))
    if job is None:
        return JobState.ABSENT, None, ""
    its_pods = [
        pod
        for pod in world.cache.owned(POD, Ref("RecoveryPlan", namespace, plan.metadata.name))
        if (pod["metadata"].get("labels") or {}).get(_JOB_NAME) == name
    ]
    seen = jobs.seen(job, its_pods)
    if seen.state is jobs.JobState.RUNNING:
        return JobState.RUNNING, None, seen.message
    if seen.state is jobs.JobState.FAILED:
        return JobState.FAILED, None, seen.message
    return JobState.FAILED, None, "its Job ended well and left no result in the store"


async def start(world: World, job: Object) -> None:
    """Make the Job; one that is there already is the same."""
    try:
        made = await world.kube.create(JOB, job)
    except ApiError as error:
        if error.status != 409:
            raise
        metadata = job["metadata"]
        made = await world.kube.get(JOB, metadata["namespace"], metadata["name"])
    world.cache.put_child(JOB, made)


async def sweep(world: World, plan: RecoveryPlan, kept: Iterable[int]) -> None:
    """Delete the Jobs of windows and checks that are over; what they found is in the store."""
    keep = {str(number) for number in kept}
    of = Ref("RecoveryPlan", plan.metadata.namespace, plan.metadata.name)
    for job in world.cache.owned(JOB, of):
        metadata = job["metadata"]
        number = (metadata.get("labels") or {}).get(WINDOW_LABEL)
        if number is None or number in keep or metadata.get("deletionTimestamp") is not None:
            continue
        try:
            await world.kube.delete(
                JOB, metadata["namespace"], metadata["name"], uid=metadata["uid"]
            )
        except ApiError as error:
            if error.status not in (404, 409):
                raise
