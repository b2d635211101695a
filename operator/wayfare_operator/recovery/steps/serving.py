"""VerifyServing: seen from where callers come in, does this site serve? At its end the clock of the
recovery time stops."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from wayfare_engine.resources import CheckLevel, Journey, Verdict
from wayfare_engine.resources.fields import parse_duration
from wayfare_engine.runs import CheckResult
from wayfare_engine.runs.http_asking import async_client
from wayfare_operator.control import WorkerUnreachable
from wayfare_operator.desired.metadata import SERVE
from wayfare_operator.kube.kinds import DEPLOYMENT, JOURNEY, Ref
from wayfare_operator.reconcile.pods import rollout
from wayfare_operator.recovery.steps import custom
from wayfare_operator.recovery.steps.contract import Done, Going, Progress, StepContext

ASKED = 8
"""How often /activez is asked: a Service leads to any of its pods."""

PATIENCE_SECONDS = 60.0
"""For how long what does not pass is looked at again, before it is told."""

CUSTOMER = "wayfare-recovery-probe"
_TIMEOUT = 5.0
_REQUESTS, _WARM = 50, 3
"""Decisions whose time is measured, and those before that are not: who was asked first is slow."""


async def drive(step: StepContext) -> Progress:
    """All must pass; what does not is looked at again for a while."""
    jobs = await custom.jobs(step)
    if isinstance(jobs, Going):
        return jobs
    own = (*await custom.requests(step), *jobs)
    checks = (*await look(step), *(each.result for each in own))
    short = _barring(checks)
    waited = (step.world.now() - step.began_at).total_seconds()
    again = [each for each in short if each not in [one.result for one in jobs]]
    if again and waited < min(PATIENCE_SECONDS, step.timeout / 2):
        return Going("; ".join(each.message for each in short))
    timed = () if short else (await latency(step),)
    said = "; ".join(each.message for each in short or _barring(timed) or checks)
    checks = (*checks[: -len(own) or None], *timed, *await custom.kept(step, own))
    await custom.remove(step)
    return Done(said, checks=checks, figures={"seconds": round(waited, 1)})


def _barring(checks: Sequence[CheckResult]) -> list[CheckResult]:
    return [each for each in checks if each.gate and each.verdict is not Verdict.PASSED]


async def look(step: StepContext) -> tuple[CheckResult, ...]:
    """Pods, the right to act, and a decision."""
    url = _url(step)
    async with async_client(_TIMEOUT) as http:
        return (
            _pods(step),
            await _active(step, http, url),
            await _decision(step, http, url),
        )


def _result(
    step: StepContext,
    name: str,
    verdict: Verdict,
    message: str,
    *,
    gate: bool = True,
    figures: Mapping[str, Any] | None = None,
) -> CheckResult:
    return CheckResult(
        name=name,
        level=CheckLevel.SERVICE,
        verdict=verdict,
        gate=step.gates(name, default=gate),
        message=message,
        figures=dict(figures or {}),
        as_of=step.world.now(),
    )


def _pods(step: StepContext) -> CheckResult:
    metadata = step.engine.metadata
    name = f"{metadata.name}-{SERVE}"
    seen = rollout(step.world.cache.child(Ref(DEPLOYMENT.name, metadata.namespace, name)), name)
    ready = seen.ready >= seen.wanted > 0
    return _result(
        step,
        "Readiness",
        Verdict.PASSED if ready else Verdict.FAILED,
        f"{seen.ready} of {seen.wanted} serving pods are ready",
        figures={"ready": seen.ready, "wanted": seen.wanted},
    )


async def _active(step: StepContext, http: httpx.AsyncClient, url: str) -> CheckResult:
    """Whoever answers says that this site acts."""
    name, said = "Active", ""
    for _ in range(ASKED):
        try:
            answer = await http.get(f"{url}/activez")
            body = answer.json() if answer.content else {}
        except (httpx.HTTPError, ValueError) as error:
            said = f"{url}/activez does not answer: {type(error).__name__}"
            break
        if answer.status_code != httpx.codes.OK or body.get("site") != step.site:
            why = body.get("why") or f"HTTP {answer.status_code} from site {body.get('site')}"
            said = f"a serving pod says that it may not act: {why}"
            break
    verdict = Verdict.FAILED if said else Verdict.PASSED
    message = said or f"/activez was 200 {ASKED} times"
    return _result(step, name, verdict, message, figures={"asked": ASKED})


async def _decision(step: StepContext, http: httpx.AsyncClient, url: str) -> CheckResult:
    """A decision through the Service, of a slot that a journey has."""
    name, slot = "Decision", _slot(step)
    if slot is None:
        said = "no journey of the engine has a slot, so there is no decision to ask for"
        return _result(step, name, Verdict.UNKNOWN, said, gate=False)
    metadata = step.engine.metadata
    keys, uid = step.world.recovery.probe_keys, step.run.uid
    try:
        if uid not in keys:
            keys[uid] = await step.world.control.probe_key(metadata.namespace, metadata.name)
    except WorkerUnreachable as problem:
        said = f"no decision was asked for: no worker gave a key for it ({problem})"
        return _result(step, name, Verdict.UNKNOWN, said)
    headers = {"Authorization": f"Bearer {keys[uid]}"}
    began = time.perf_counter()
    try:
        answer = await http.post(
            f"{url}/v1/decisions", json={"customer": CUSTOMER, "slot": slot}, headers=headers
        )
    except httpx.HTTPError as error:
        said = f"{url}/v1/decisions does not answer: {type(error).__name__}"
        return _result(step, name, Verdict.FAILED, said)
    milliseconds = round((time.perf_counter() - began) * 1000, 1)
    figures = {"status": answer.status_code, "milliseconds": milliseconds}
    if answer.status_code in (httpx.codes.OK, httpx.codes.NOT_FOUND):
        # 404: the customer is unknown, which a decision is needed to say.
        return _result(
            step, name, Verdict.PASSED, f"a decision took {milliseconds:g} ms", figures=figures
        )
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        # It may be over by now, or the database another one: the next look asks with a new key.
        del keys[uid]
    said = f"a decision was answered with HTTP {answer.status_code}"
    return _result(step, name, Verdict.FAILED, said, figures=figures)


async def latency(step: StepContext) -> CheckResult:
    """How long decisions take through the Service, against the objective. It bars nothing, unless
    the plan says so: the site serves, and how fast is for people to judge."""
    name, slot, key = "Latency", _slot(step), step.world.recovery.probe_keys.get(step.run.uid)
    if slot is None or key is None:
        said = "no decision can be asked for, so nothing was measured"
        return _result(step, name, Verdict.UNKNOWN, said, gate=False)
    asked = {"customer": CUSTOMER, "slot": slot}
    took: list[float] = []
    async with async_client(_TIMEOUT) as http:
        for number in range(_WARM + _REQUESTS):
            began = time.perf_counter()
            try:
                answer = await http.post(
                    f"{_url(step)}/v1/decisions",
                    json=asked,
                    headers={"Authorization": f"Bearer {key}"},
                )
            except httpx.HTTPError as error:
                said = f"of {number} decisions each was answered, then: {type(error).__name__}"
                return _result(step, name, Verdict.UNKNOWN, said, gate=False)
            if answer.status_code not in (httpx.codes.OK, httpx.codes.NOT_FOUND):
                said = f"a decision was answered with HTTP {answer.status_code}"
                return _result(step, name, Verdict.UNKNOWN, said, gate=False)
            if number >= _WARM:
                took.append((time.perf_counter() - began) * 1000)
    took.sort()
    limit = parse_duration(step.plan.spec.objectives.latency).total_seconds() * 1000
    p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    return _result(
        step,
        name,
        Verdict.PASSED if p99 <= limit else Verdict.FAILED,
        f"99 in 100 decisions took at most {p99:.1f} ms, and {limit:g} ms are the objective",
        gate=False,
        figures={
            "requests": len(took),
            "p50Ms": round(p50, 2),
            "p99Ms": round(p99, 2),
            "objectiveMs": limit,
        },
    )


def _url(step: StepContext) -> str:
    metadata = step.engine.metadata
    return step.world.settings.serve_url_template.format(
        name=metadata.name, namespace=metadata.namespace
    )


def _slot(step: StepContext) -> str | None:
    metadata = step.engine.metadata
    for entry in step.world.cache.referring(JOURNEY, metadata.namespace, metadata.name):
        if isinstance(entry.resource, Journey):
            for node in entry.resource.spec.nodes or ():
                if node.slot is not None:
                    return str(node.slot.name)
    return None


async def front_door(step: StepContext) -> tuple[bool, str]:
    """Whether every answer at the front door comes from this site, and what was seen."""
    url = step.plan.spec.traffic.front_door
    if url is None:
        return True, "the plan names no front door, so nobody has asked there"
    async with async_client(_TIMEOUT) as http:
        for _ in range(ASKED):
            try:
                answer = await http.get(f"{url.rstrip('/')}/activez")
                site = answer.json().get("site") if answer.content else None
            except (httpx.HTTPError, ValueError, AttributeError) as error:
                return False, f"the front door does not answer: {type(error).__name__}"
            if answer.status_code != httpx.codes.OK or site != step.site:
                return False, f"the front door leads to site {site} (HTTP {answer.status_code})"
    return True, f"the front door led here {ASKED} times of {ASKED}"
