"""Readiness: every serving pod that was named says that requests may be sent to it."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec

from wayfare_engine.recovery.checks.check import Check, Cost, Found, Step, failed, passed
from wayfare_engine.recovery.checks.looking import Looking, Source
from wayfare_engine.resources import CheckLevel
from wayfare_engine.runs.http_asking import ask, client

_SECONDS = 5.0


def _ask(at: Looking) -> Found:
    assert at.engine is not None, "the check says that it needs the engine"
    pods: list[dict[str, Any]] = []
    with client() as asking:
        for url in at.engine.urls:
            pods.append(_pod(asking, url))
    not_ready = [pod for pod in pods if not pod["ready"]]
    plans = sorted({str(pod["plan"]) for pod in pods if pod.get("plan")})
    figures: dict[str, Any] = {
        "pods": len(pods),
        "ready": len(pods) - len(not_ready),
        "plans": len(plans),
    }
    if not_ready:
        said = "; ".join(f"pod {pod['pod']}: {pod['why']}" for pod in not_ready)
        return failed(f"not ready: {said}", figures, not_ready, pods=pods)
    if len(plans) > 1:
        return failed("the pods serve different plans", figures, plans, pods=pods)
    return passed(f"{len(pods)} pods are ready, with one plan", figures, pods=pods)


def _pod(asking: httpx.Client, url: str) -> dict[str, Any]:
    """What one pod says; a pod that does not answer is not ready."""
    pod: dict[str, Any] = {"pod": _name(url), "ready": False}
    try:
        answer = ask(asking, "GET", f"{url.rstrip('/')}/readyz?stores=required", seconds=_SECONDS)
    except httpx.TransportError as error:
        return pod | {"why": str(error).splitlines()[0] if str(error) else type(error).__name__}
    pod["status"] = answer.status
    try:
        said = msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.MsgspecError:
        said = {}
    pod |= {key: said[key] for key in ("plan", "degraded") if key in said}
    if answer.status == 200:
        return pod | {"ready": True}
    return pod | {"why": f"answered {answer.status}"}


def _name(url: str) -> str:
    """Its place among the addresses, without anything that an address may carry."""
    parts = httpx.URL(url)
    return f"{parts.host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


CHECK = Check(
    name="Readiness",
    level=CheckLevel.SERVICE,
    gate=True,
    cost=Cost.CHEAP,
    guards="Every serving pod is ready, its stores too, and all serve one plan.",
    seen="What each pod answered to /readyz.",
    unclear="No pod's address was given.",
    steps=frozenset({Step.ISOLATED}),
    needs=(Source.ENGINE,),
    ask=_ask,
)
