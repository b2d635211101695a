"""A data step: its Job is made, watched, and judged by what it left in the store.

The pod of a step waits for a while for the step after it at its site, and goes on with that one:
so nothing has to start while nobody sends. Only a first attempt is gone on with, and only by a Job
that runs; when there is none, the step gets a Job of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.runs import Attempt, CheckResult, StepResult, Undo, http_checks
from wayfare_engine.runs import steps as records
from wayfare_engine.runs.procedures import Step
from wayfare_operator.desired.metadata import ATTEMPT_LABEL
from wayfare_operator.kube.client import ApiError
from wayfare_operator.kube.kinds import JOB, POD, Kind, Object, Ref
from wayfare_operator.reconcile.engine import facts_of
from wayfare_operator.recovery.jobs import (
    CHECK_LABEL,
    NUMBER_LABEL,
    STEP_LABEL,
    JobState,
    Task,
    seen,
    task_job,
)
from wayfare_operator.recovery.run_machine import table_of
from wayfare_operator.recovery.steps.contract import Failed, Going, Progress, StepContext, Told
from wayfare_operator.recovery.stores import call

LATE = timedelta(seconds=15)
"""How long after its deadline a Job may still be ending before it is taken away."""

_OF_JOB = (STEP_LABEL, ATTEMPT_LABEL, CHECK_LABEL)
"""Labels by which the pods of one Job of a run are known."""

_before_job = crash_point("operator.job.before_create", "the attempt; its Job comes next")
_after_job = crash_point("operator.job.created", "the Job of a step is made")
_before_removal = crash_point("operator.job.before_delete", "a Job hangs; it is removed next")
_after_removal = crash_point("operator.job.deleted", "the Job that hung is removed")


async def begun(step: StepContext) -> StepContext:
    """Begin an attempt, unless it was begun before, by the clock of this site."""
    wanted = Attempt(
        run=step.run.number,
        step=step.step,
        attempt=step.attempt,
        at=step.world.now(),
        by=step.world.settings.pod_name,
    )
    found = await call(records.begin, step.store, step.run.plan, wanted)
    return replace(step, began_at=found.at)


async def drive(step: StepContext, found: Sequence[CheckResult] = ()) -> Progress:
    """Make the Job of this attempt unless it is there, and see how it stands. `found`: results of
    checks that the step's own are to be judged with."""
    told = await written(step)
    if told is not None:
        return Told(told)
    task = task_of(step)
    job = await find(step, task.name) or await going_on(step)
    over = step.world.now() - step.began_at
    if job is None:
        if over >= timedelta(seconds=step.timeout):
            return Failed(f"it did not end within {step.timeout:g} s, and its Job is gone")
        return await _make(step, task, found)
    stands = seen(job, pods(step, job))
    if stands.state is JobState.RUNNING and over < timedelta(seconds=step.timeout) + LATE:
        return Going(stands.message or "its Job runs")
    if stands.state is JobState.RUNNING:
        _before_removal()
        await remove(step, job)
        _after_removal()
        waits = f": {stands.message}" if stands.message else ""
        return Failed(f"it did not end within {step.timeout:g} s, and its Job was removed{waits}")
    # What it left in the store counts, and may have come a moment before its end.
    told = await written(step)
    if told is not None:
        return Told(told)
    if stands.state is JobState.COMPLETE:
        return Failed("its Job ended well and left no result in the store")
    return Failed(stands.message)


def task_of(step: StepContext) -> Task:
    """The task of this attempt. Its pod goes on with no step before which the plan's own Jobs
    check something."""
    own = {http_checks.step_of(each) for each in step.plan.spec.checks.custom if each.job}
    then = itertools.takewhile(
        lambda each: each.name not in own, table_of(step.kind).going_on(step.step)
    )
    return _task(step, step.step, step.attempt, then)


def _task(step: StepContext, name: str, attempt: int, then: Iterable[Step] = ()) -> Task:
    return Task(
        run=step.run.name,
        number=step.run.number,
        kind=step.kind,
        step=name,
        attempt=attempt,
        timeout=step.timeout,
        then=tuple((each.name.value, each.timeout) for each in then),
    )


async def going_on(step: StepContext) -> Object | None:
    """The Job of a step before this one whose pod waits for this attempt, if there is one."""
    table, name, attempt = table_of(step.kind), step.step, step.attempt
    while attempt == 1 and (before := table.before(name)) is not None:
        result = step.results.get(before)
        if result is None:
            return None
        name, attempt = before, result.attempt
        job = await find(step, _task(step, name, attempt).name)
        if job is not None:
            return job if _waits(job, step) else None
    return None


def _waits(job: Object, step: StepContext) -> bool:
    [container] = job["spec"]["template"]["spec"]["containers"]
    return (
        step.step in container["command"]
        and job["metadata"].get("deletionTimestamp") is None
        and seen(job, pods(step, job)).state is JobState.RUNNING
    )


async def written(step: StepContext) -> StepResult | None:
    """What is in the store: the step's result, or this attempt's failure."""
    plan, number = step.run.plan, step.run.number
    result = await call(records.read_result, step.store, plan, number, step.step)
    if result is not None:
        return result
    return await call(records.read_failure, step.store, plan, number, step.step, step.attempt)


async def find(step: StepContext, name: str) -> Object | None:
    """The Job, from the cache or from the server: it may be younger than the cache."""
    namespace = step.engine.metadata.namespace
    job = step.world.cache.child(Ref(JOB.name, namespace, name))
    if job is not None:
        return job
    try:
        job = await step.world.kube.get(JOB, namespace, name)
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    step.world.cache.put_child(JOB, job)
    return job


def pods(step: StepContext, job: Object) -> list[Object]:
    """The pods of a Job of the run."""
    labels = job["metadata"]["labels"]
    its = {name: labels[name] for name in _OF_JOB if name in labels}
    return [
        pod for pod in _of_run(step, POD) if its.items() <= dict(pod["metadata"]["labels"]).items()
    ]


def _of_run(step: StepContext, kind: Kind) -> list[Object]:
    """Jobs or pods of the run here, as far as they are known."""
    owner = Ref(step.owner.kind_name, step.owner.metadata.namespace, step.owner.metadata.name)
    return [
        obj
        for obj in step.world.cache.owned(kind, owner)
        if obj["metadata"]["labels"].get(NUMBER_LABEL) == str(step.run.number)
    ]


async def _make(step: StepContext, task: Task, found: Sequence[CheckResult] = ()) -> Progress:
    facts = await facts_of(step.world)
    job = task_job(task, step.plan, step.engine, facts, step.owner, found)
    _before_job()
    try:
        made = await step.world.kube.create(JOB, job)
    except ApiError as error:
        if error.status in (400, 403, 422):
            return Failed(f"its Job was refused: {error.message}")
        if error.status != 409:
            raise
    else:
        step.world.cache.put_child(JOB, made)
    _after_job()
    return Going("its Job is made")


async def remove(step: StepContext, job: Object) -> None:
    """Delete a Job; its pods go with it."""
    metadata = job["metadata"]
    try:
        await step.world.kube.delete(
            JOB, metadata["namespace"], metadata["name"], uid=metadata["uid"]
        )
    except ApiError as error:
        if error.status not in (404, 409):
            raise
    step.world.cache.remove_child(Ref(JOB.name, metadata["namespace"], metadata["name"]))


async def end_jobs(step: StepContext) -> bool:
    """End every Job of the run that still runs, but for those that take its effects back; whether
    none of their pods is left."""
    for job in _of_run(step, JOB):
        if _taken_back(job) and seen(job, ()).state is JobState.RUNNING:
            await remove(step, job)
    return all(
        (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        for pod in _of_run(step, POD)
        if _taken_back(pod)
    )


def _taken_back(obj: Object) -> bool:
    return obj["metadata"]["labels"].get(STEP_LABEL) not in set(Undo)
