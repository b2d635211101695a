"""Checks of a user's own, at the step of a run to which they belong.

Jobs run before the step's own checks, all at once; what they found stands for the whole attempt. A
check only looks, so one that is made again after the operator died does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.resources import CheckLevel, RunKind, Verdict
from wayfare_engine.resources.recovery_checks import CustomCheck
from wayfare_engine.runs import CheckResult, evidence, http_checks
from wayfare_operator.kube.client import ApiError
from wayfare_operator.kube.kinds import JOB, Object, Ref
from wayfare_operator.recovery.custom_jobs import STEP, check_job, judged, name_of, seconds_of
from wayfare_operator.recovery.jobs import JobState, Task, seen
from wayfare_operator.recovery.steps import task
from wayfare_operator.recovery.steps.contract import Going, StepContext
from wayfare_operator.recovery.stores import call

_before_job = crash_point("operator.custom_job.before_create", "the Job of a check comes next")
_after_job = crash_point("operator.custom_job.created", "the Job of a check of a user's is made")


def of_step(step: StepContext) -> tuple[CustomCheck, ...]:
    """Those that this step makes; a drill makes all of them in Verify."""
    custom = step.plan.spec.checks.custom
    if step.kind is RunKind.DRILL:
        return custom if step.step == "Verify" else ()
    return tuple(each for each in custom if http_checks.step_of(each) == step.step)


@dataclass(frozen=True)
class Looked:
    """A verdict, and what its evidence has beside it."""

    result: CheckResult
    findings: Sequence[object] = ()
    saw: Mapping[str, object] = field(default_factory=dict)


async def jobs(step: StepContext) -> Going | tuple[Looked, ...]:
    """What the Jobs of this step found, when all of them ended; they are made unless they are
    there."""
    wanted = [each for each in of_step(step) if each.job is not None]
    found: list[Looked] = []
    waiting: list[str] = []
    for check in wanted:
        result = await _job(step, check)
        if isinstance(result, str):
            waiting.append(result)
        else:
            found.append(result)
    return Going("; ".join(waiting)) if waiting else tuple(found)


async def requests(step: StepContext) -> tuple[Looked, ...]:
    """What the requests of this step find now."""
    wanted = [each for each in of_step(step) if each.http is not None]
    return tuple(await asyncio.gather(*(_request(step, each) for each in wanted)))


async def kept(step: StepContext, looked: Sequence[Looked]) -> tuple[CheckResult, ...]:
    """The results, each with its evidence in the store."""
    return tuple([await _keep(step, each) for each in looked])


async def remove(step: StepContext) -> None:
    """The Jobs of this step's checks are not needed any more: what they found is kept."""
    for check in of_step(step):
        if check.job is None:
            continue
        name = name_of(check.name, _task(step, check))
        job = step.world.cache.child(Ref(JOB.name, step.engine.metadata.namespace, name))
        if job is not None and job["metadata"].get("deletionTimestamp") is None:
            await task.remove(step, job)


async def _job(step: StepContext, check: CustomCheck) -> Looked | str:
    """Its verdict, or what it waits for."""
    attempt = _task(step, check)
    name = name_of(check.name, attempt)
    job = await task.find(step, name)
    if job is None:
        body = check_job(check, attempt, step.plan, step.engine, step.site, step.owner)
        _before_job()
        try:
            job = await step.world.kube.create(JOB, body)
        except ApiError as error:
            if error.status in (400, 403, 422):
                said = f"its Job was refused: {error.message}"
                return _result(step, check, Verdict.UNKNOWN, said)
            if error.status != 409:
                raise
            return f"check {check.name}: its Job is made"
        step.world.cache.put_child(JOB, job)
        _after_job()
    its_pods = task.pods(step, job)
    found = seen(job, its_pods)
    verdict = judged(check, job, found, step.world.now())
    if verdict is None:
        said = (
            found.message if found.state is JobState.RUNNING and found.message else "its Job runs"
        )
        return f"check {check.name}: {said}"
    return _result(step, check, *verdict, job=job)


async def _request(step: StepContext, check: CustomCheck) -> Looked:
    found = await call(http_checks.look, check)
    return _result(
        step, check, found.verdict, found.message, figures=found.figures, findings=found.findings
    )


def _result(
    step: StepContext,
    check: CustomCheck,
    verdict: Verdict,
    message: str,
    *,
    job: Object | None = None,
    figures: Mapping[str, Any] | None = None,
    findings: Sequence[object] = (),
) -> Looked:
    """The verdict. A check of one's own is a gate where the plan names it."""
    as_of = step.world.now()
    given = dict(figures or {})
    saw: dict[str, object] = {}
    if job is not None:
        as_of = _ended(job) or as_of
        given["seconds"] = _seconds(job, as_of)
        conditions = (job.get("status") or {}).get("conditions") or []
        saw = {"job": job["metadata"]["name"], "conditions": conditions}
    result = CheckResult(
        name=check.name,
        level=CheckLevel(check.level),
        verdict=verdict,
        gate=step.gates(check.name, default=False),
        message=message,
        figures=given,
        as_of=as_of,
    )
    return Looked(result, findings, saw)


async def _keep(step: StepContext, looked: Looked) -> CheckResult:
    found = looked.result
    value = {
        "check": found.name,
        "level": found.level,
        "plan": step.run.plan,
        "site": step.site,
        "run": step.run.number,
        "asOf": found.as_of.isoformat(),
        "verdict": found.verdict,
        "message": found.message,
        "figures": found.figures,
        "findings": list(looked.findings),
        "findingsInAll": len(looked.findings),
        "saw": dict(looked.saw),
    }
    digest = await call(evidence.put, step.store, value)
    return msgspec.structs.replace(found, evidence=digest)


def _ended(job: Object) -> datetime | None:
    for each in (job.get("status") or {}).get("conditions") or ():
        if each.get("type") in ("Complete", "Failed") and each.get("lastTransitionTime"):
            return datetime.fromisoformat(each["lastTransitionTime"])
    return None


def _seconds(job: Object, ended: datetime) -> float:
    began = datetime.fromisoformat(job["metadata"]["creationTimestamp"])
    return round(max(timedelta(0), ended - began).total_seconds(), 1)


def _task(step: StepContext, check: CustomCheck) -> Task:
    run = step.run
    return Task(run.name, run.number, run.kind, STEP, step.attempt, seconds_of(check))
