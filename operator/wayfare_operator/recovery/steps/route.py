"""Route: callers are led to this site. It is verified by asking through the front door.

What is set is the same whenever it is done again, and traffic never returns by itself.
"""

from __future__ import annotations

import hashlib
import hmac

import httpx
import msgspec

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.resources import parse_duration
from wayfare_engine.resources.traffic import RouteHttpRoute, RouteService, RouteWebhook
from wayfare_engine.runs import Skip
from wayfare_engine.runs.http_asking import async_client
from wayfare_operator.desired.metadata import SERVE, selector
from wayfare_operator.kube.client import ApiError
from wayfare_operator.kube.kinds import HTTP_ROUTE, SERVICE
from wayfare_operator.recovery.steps.contract import (
    Done,
    Failed,
    Going,
    Progress,
    StepContext,
    skip,
)
from wayfare_operator.recovery.steps.serving import front_door

SIGNATURE = "wayfare-signature"
_before_route = crash_point("operator.route.before", "nothing yet: traffic is moved next")
_after_route = crash_point("operator.route.moved", "whoever leads callers was told")


async def drive(step: StepContext) -> Progress:
    """Move the traffic, then ask where callers come in."""
    traffic = step.plan.spec.traffic
    if traffic.type == "None" and traffic.front_door is None:
        return skip(Skip.NO_TRAFFIC)
    refused: str | None = None
    _before_route()
    if traffic.webhook is not None:
        refused = await _tell(step, traffic.webhook)
    elif traffic.http_route is not None:
        refused = await _weigh(step, traffic.http_route, step.site, step.site)
    elif traffic.service is not None:
        refused = await _select(step, traffic.service)
    _after_route()
    if refused is not None:
        return Going(refused) if _early(step) else Failed(refused)
    led, said = await front_door(step)
    if not led:
        return Going(said) if _early(step) else Failed(said)
    return Done(said, figures={"type": traffic.type, "frontDoor": traffic.front_door})


def _early(step: StepContext) -> bool:
    """Whether it may still turn out well: load balancers take their time."""
    return (step.world.now() - step.began_at).total_seconds() < step.timeout * 0.9


async def _tell(step: StepContext, webhook: RouteWebhook) -> str | None:
    """POST {plan, run, site, epoch}, signed as requests between the sites are. The receiver is
    told again when it is not known whether it heard: the same run and epoch say so."""
    taken = step.results.get("TakeEpoch") or step.results.get("TransferEpoch")
    body = msgspec.json.encode(
        {
            "plan": step.run.plan,
            "run": step.run.number,
            "site": step.site,
            "epoch": taken.figures.get("epoch") if taken is not None else None,
        }
    )
    headers = {"Content-Type": "application/json"}
    keys = step.world.recovery.keys
    if keys is not None:
        headers[SIGNATURE] = "sha256=" + keys.sign(b"wayfare route\n" + body)
    timeout = parse_duration(webhook.timeout).total_seconds()
    try:
        async with async_client(timeout) as http:
            answer = await http.post(webhook.url, content=body, headers=headers)
    except httpx.HTTPError as error:
        return f"the webhook does not answer: {type(error).__name__}"
    return None if answer.is_success else f"the webhook answered with HTTP {answer.status_code}"


def signature_holds(key: bytes, body: bytes, signature: str) -> bool:
    """What a receiver of the webhook does."""
    made = hmac.new(key, b"wayfare route\n" + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"sha256={made}", signature)


async def _weigh(step: StepContext, declared: RouteHttpRoute, acting: str, own: str) -> str | None:
    """Weight 1 to the backend of the acting site and 0 to the other's, wherever they stand. The
    route has to have the one of site `own`, which is set here."""
    namespace = step.plan.metadata.namespace
    weights = {each.service: int(each.site == acting) for each in declared.backends}
    needed = {each.service for each in declared.backends if each.site == own}
    try:
        route = await step.world.kube.get(HTTP_ROUTE, namespace, declared.name)
    except ApiError as error:
        if error.status in (403, 404):
            return f"HTTPRoute {declared.name} cannot be read: {error.message}"
        raise
    rules, changed, found = [], False, False
    for rule in (route.get("spec") or {}).get("rules") or []:
        backends = []
        for backend in rule.get("backendRefs") or []:
            weight = weights.get(backend.get("name"), backend.get("weight", 1))
            found = found or backend.get("name") in needed
            changed = changed or backend.get("weight", 1) != weight
            backends.append({**backend, "weight": weight})
        rules.append({**rule, **({"backendRefs": backends} if backends else {})})
    if not found:
        return (
            f"HTTPRoute {declared.name} has no backend {', '.join(sorted(needed)) or '?'} that "
            f"leads to site {own}: nothing was changed"
        )
    if changed:
        metadata = route["metadata"]
        body = {
            "metadata": {"resourceVersion": metadata["resourceVersion"]},
            "spec": {"rules": rules},
        }
        await step.world.kube.merge_patch(HTTP_ROUTE, namespace, declared.name, body)
    return None


async def _select(step: StepContext, declared: RouteService) -> str | None:
    """The Service leads to the engine's serving pods here."""
    namespace = step.plan.metadata.namespace
    wanted = selector(step.engine.metadata.name, SERVE)
    return await set_selector(step, namespace, declared.name, wanted)


async def set_selector(
    step: StepContext, namespace: str, name: str, wanted: dict[str, str]
) -> str | None:
    """Give a Service exactly this selector; why it could not be, if so."""
    try:
        service = await step.world.kube.get(SERVICE, namespace, name)
    except ApiError as error:
        if error.status in (403, 404):
            return f"Service {name} cannot be read: {error.message}"
        raise
    present = (service.get("spec") or {}).get("selector") or {}
    if present == wanted:
        return None
    gone = dict.fromkeys(set(present) - set(wanted))
    body = {
        "metadata": {"resourceVersion": service["metadata"]["resourceVersion"]},
        "spec": {"selector": {**gone, **wanted}},
    }
    await step.world.kube.merge_patch(SERVICE, namespace, name, body)
    return None


NOBODY = {"wayfare.dev/acting": "elsewhere"}
"""A selector that no pod has: the Service of a site that does not act leads nowhere."""


async def lead_away(step: StepContext) -> str | None:
    """At the site that stands down: its own Service and route lead to nothing here."""
    traffic = step.plan.spec.traffic
    namespace = step.plan.metadata.namespace
    if traffic.service is not None:
        return await set_selector(step, namespace, traffic.service.name, NOBODY)
    if traffic.http_route is not None:
        return await _weigh(step, traffic.http_route, step.other, step.site)
    return None
