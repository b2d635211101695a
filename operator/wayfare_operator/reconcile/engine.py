"""An Engine: its children, and what it serves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wayfare_engine.resources import ConditionType, Engine, Reason, parse_duration
from wayfare_operator.cache import Entry
from wayfare_operator.desired import Facts, RecoveryFacts
from wayfare_operator.desired.metadata import SERVE, WORKER
from wayfare_operator.kube.kinds import DEPLOYMENT, POD, SERVICE, Object, Ref
from wayfare_operator.reconcile.children import Refused, apply_children
from wayfare_operator.reconcile.pods import Failure, Rollout, failure, rollout
from wayfare_operator.reconcile.problems import compile_errors, invalid
from wayfare_operator.reconcile.publication import Publication
from wayfare_operator.reconcile.world import Key, World
from wayfare_operator.reconcile.writing import write_status
from wayfare_operator.recovery.asleep import asleep, plan_of
from wayfare_operator.status import Extra, Outcome, condition, status, timestamp

_COMPILE_ERRORS = 20
_COUNTERS = ("pods", "customers")
_REFUSED_RETRY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Observed:
    """What the decision is made from."""

    entry: Entry
    refused: Refused | None
    publication: Publication
    serve: Rollout
    worker: Rollout
    failed: Failure | None
    node_port: int | None


async def reconcile_engine(world: World, key: Key) -> float | None:
    """Put the children right and tell how the engine stands."""
    entry = world.cache.get(Ref("Engine", key.namespace, key.name))
    if entry is None or entry.deleting:
        # Children have owner references: the garbage collector takes them away. Nothing outside
        # the cluster must be undone, so there is no finalizer.
        world.publications.pop((key.namespace, key.name), None)
        world.enqueue_dependents(key.namespace, key.name)
        return None
    if not isinstance(entry.resource, Engine):
        assert entry.error is not None
        told = status(
            invalid(entry.error),
            {},
            generation=entry.generation,
            observed=entry.status,
            now=world.now(),
        )
        await write_status(world, entry, told)
        return None
    engine = entry.resource
    sleeping = asleep(world, key.namespace, key.name)
    facts = await facts_of(world, engine)
    refused = await apply_children(world, engine, facts, asleep=sleeping is not None)
    if sleeping is not None and refused is None:
        await write_status(world, entry, told_asleep(entry, sleeping, world.now()))
        return world.settings.resync
    publication = world.publication(key.namespace, key.name)
    if not publication.looked and entry.status.get("observedGeneration") == entry.generation:
        # Just started: what was told before still stands until the plan was looked at.
        return None
    wanted = decide(_observe(world, entry, refused), world.now())
    wait = world.figures.hold(entry.uid, entry.status, wanted, _COUNTERS, world.clock())
    if wait is not None:
        return wait
    if await write_status(world, entry, wanted):
        world.figures.wrote(entry.uid, world.clock())
    return _REFUSED_RETRY_SECONDS if refused is not None else world.settings.resync


async def facts_of(world: World, engine: Engine | None = None) -> Facts:
    """What builders of children need to know of the installation, and of the engine's plan."""
    issuer, jwks = await world.issuer.current()
    settings = world.settings
    return Facts(
        image=settings.image,
        image_pull_policy=settings.image_pull_policy,
        site=settings.site,
        operator_namespace=settings.operator_namespace,
        operator_service_account=settings.operator_service_account,
        issuer=issuer,
        jwks=jwks,
        recovery=None if engine is None else recovery_of(world, engine),
    )


def recovery_of(world: World, engine: Engine) -> RecoveryFacts | None:
    """What the engine's RecoveryPlan says to its pods; None when no plan covers it."""
    plan = plan_of(world, engine.metadata.namespace, engine.metadata.name)
    if plan is None:
        return None
    lease = plan.spec.lease
    return RecoveryFacts(
        take_first=plan.spec.primary.name == world.settings.site,
        ttl=parse_duration(lease.ttl).total_seconds(),
        hand_over=parse_duration(lease.hand_over).total_seconds(),
        clock_error=lease.clock_error_percent / 100,
        takeover=plan.spec.takeover,
        # In a drill the copy is drilled, and the standby itself goes on following.
        follow=True,
    )


def told_asleep(entry: Entry, why: str, now: datetime) -> Object:
    """The status of an engine that is to have no pods: none is missing."""
    kept = {
        name: value
        for name, value in entry.status.items()
        if name not in ("conditions", "observedGeneration")
    }
    kept["pods"] = {"serving": 0, "acknowledged": 0}
    return status(
        Outcome(True, Reason.ASLEEP, why),
        kept,
        generation=entry.generation,
        observed=entry.status,
        now=now,
    )


def _observe(world: World, entry: Entry, refused: Refused | None) -> Observed:
    namespace, name = entry.ref.namespace, entry.ref.name

    def deployed(component: str) -> Rollout:
        child = f"{name}-{component}"
        return rollout(world.cache.child(Ref(DEPLOYMENT.name, namespace, child)), child)

    service = world.cache.child(Ref(SERVICE.name, namespace, name)) or {}
    ports = (service.get("spec") or {}).get("ports") or [{}]
    return Observed(
        entry=entry,
        refused=refused,
        publication=world.publication(namespace, name),
        serve=deployed(SERVE),
        worker=deployed(WORKER),
        failed=failure(world.cache.children(POD, namespace, name)),
        node_port=ports[0].get("nodePort"),
    )


def decide(observed: Observed, now: datetime) -> Object:
    """The whole status of an engine whose spec is sound."""
    entry, publication = observed.entry, observed.publication
    engine = entry.resource
    assert isinstance(engine, Engine)
    told, compiled = publication.told, publication.compiled
    name, namespace = engine.metadata.name, engine.metadata.namespace
    fields: dict[str, Any] = {
        "plan": _plan(entry.status, publication, now),
        "pods": {"serving": len(publication.pods), "acknowledged": publication.acknowledged},
        "customers": entry.status.get("customers")
        if told is None or told.customers is None
        else told.customers,
        "compileErrors": compile_errors(compiled, _COMPILE_ERRORS)
        if compiled is not None
        else entry.status.get("compileErrors"),
        "stores": _stores(engine, publication),
        "endpoints": {
            "decisions": f"http://{name}.{namespace}.svc/v1/decisions",
            **({"nodePort": observed.node_port} if observed.node_port is not None else {}),
        },
    }
    if not fields["compileErrors"]:
        fields["compileErrors"] = None
    return status(
        _outcome(observed),
        fields,
        generation=entry.generation,
        observed=entry.status,
        now=now,
    )


def _outcome(observed: Observed) -> Outcome:
    found = _judge(observed)
    return Outcome(
        ready=found.ready,
        reason=found.reason,
        message=found.message,
        progressing=found.progressing,
        stalled=found.stalled,
        progress_reason=found.progress_reason,
        progress_message=found.progress_message,
        extra=_extra(observed),
    )


def _judge(observed: Observed) -> Outcome:
    publication, refused = observed.publication, observed.refused
    if refused is not None:
        return Outcome(False, refused.reason, refused.message, stalled=True)
    if observed.failed is not None:
        return Outcome(False, observed.failed.reason, observed.failed.message, stalled=True)
    if publication.unreadable is not None or publication.refused is not None:
        said = publication.unreadable or (publication.refused or ("", ""))[1]
        return Outcome(
            False, Reason.PLAN_REFUSED, f"the worker and we differ: {said}", stalled=True
        )
    if publication.told is None:
        return _silent_worker(observed)
    broken = [
        f"{name}: {store.error or 'does not answer'}"
        for name, store in sorted(publication.told.stores.items())
        if not store.ok
    ]
    if broken:
        return Outcome(False, Reason.STORES_UNAVAILABLE, "; ".join(broken), progressing=True)
    if not publication.pods:
        message = f"no serve pod is ready ({observed.serve.ready} of {observed.serve.wanted})"
        return Outcome(False, Reason.NO_SERVING_PODS, message, progressing=True)
    serving = Outcome(True, Reason.SERVING, "pods are ready and serve the newest plan")
    if not publication.everywhere:
        message = "not every serving pod has acknowledged the newest plan"
        if not _was_serving(observed):
            return Outcome(False, Reason.PUBLISHING, message, progressing=True)
        return Outcome(
            True,
            Reason.SERVING,
            serving.message,
            progressing=True,
            progress_reason=Reason.PUBLISHING,
            progress_message=message,
        )
    unfinished = [each for each in (observed.serve, observed.worker) if not each.complete]
    if unfinished:
        names = " and ".join(each.name for each in unfinished)
        return Outcome(
            True,
            Reason.SERVING,
            serving.message,
            progressing=True,
            progress_reason=Reason.PODS_NOT_READY,
            progress_message=f"rolling out {names}",
        )
    return serving


def _silent_worker(observed: Observed) -> Outcome:
    if observed.worker.ready == 0:
        message = f"{observed.worker.name}: 0 of {observed.worker.wanted} pods are ready"
        return Outcome(False, Reason.PODS_NOT_READY, message, progressing=True)
    message = f"the worker does not answer: {observed.publication.unreachable or 'not asked yet'}"
    return Outcome(False, Reason.WORKER_UNREACHABLE, message, progressing=True)


def _was_serving(observed: Observed) -> bool:
    ready = condition(observed.entry.status, ConditionType.READY)
    return ready is not None and ready.get("status") == "True"


def _extra(observed: Observed) -> tuple[Extra, ...]:
    engine = observed.entry.resource
    assert isinstance(engine, Engine)
    extra = []
    if engine.spec.stores.managed is not None:
        extra.append(
            Extra(
                ConditionType.EVALUATION_STORES,
                "True",
                Reason.MANAGED_STORES,
                Reason.MANAGED_STORES.meaning,
            )
        )
    if engine.spec.authentication.mode == "None":
        extra.append(
            Extra(
                ConditionType.AUTHENTICATION_DISABLED,
                "True",
                Reason.AUTHENTICATION_NONE,
                Reason.AUTHENTICATION_NONE.meaning,
            )
        )
    return tuple(extra)


def _plan(observed: Object, publication: Publication, now: datetime) -> Object | None:
    """The plan that the worker was told to have served."""
    before: Object | None = observed.get("plan")
    compiled = publication.compiled
    if compiled is None or not publication.published:
        return before
    digest = compiled.plan.digest
    since = before.get("publishedAt") if before and before.get("digest") == digest else None
    return {
        "digest": digest,
        "publishedAt": since or timestamp(now),
        "journeys": len(compiled.contents.journeys),
        "segments": len(compiled.contents.segments),
    }


def _stores(engine: Engine, publication: Publication) -> Object | None:
    grade = "Evaluation" if engine.spec.stores.managed is not None else "External"
    told = publication.told
    stores: Object = {}
    for name in ("postgresql", "valkey"):
        store = told.stores.get(name) if told is not None else None
        stores[name] = {"grade": grade}
        if store is not None:
            stores[name]["ok"] = store.ok
            if store.version:
                stores[name]["version"] = store.version[:256]
            if store.error:
                stores[name]["message"] = store.error[:1000]
    return stores
