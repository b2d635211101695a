"""A Journey: what of it is served, and why not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wayfare_engine.resources import ConditionType, Journey, Reason
from wayfare_operator.cache import Entry, engine_of
from wayfare_operator.kube.kinds import Object, Ref
from wayfare_operator.reconcile.plan import NO_PODS_GRACE_SECONDS
from wayfare_operator.reconcile.problems import invalid, problem_outcome
from wayfare_operator.reconcile.publication import Publication
from wayfare_operator.reconcile.references import refusal
from wayfare_operator.reconcile.world import Key, World
from wayfare_operator.reconcile.writing import write_status
from wayfare_operator.status import Outcome, condition, status, timestamp

SHORT_DIGEST = len("sha256:") + 12


@dataclass(frozen=True, slots=True)
class Observed:
    """What the decision is made from."""

    entry: Entry
    refused: Outcome | None
    publication: Publication | None
    no_pods_for: float


async def reconcile_journey(world: World, key: Key) -> float | None:
    """Tell how a journey stands."""
    entry = world.cache.get(Ref("Journey", key.namespace, key.name))
    if entry is None or entry.deleting:
        return None
    refused, publication, no_pods_for = None, None, 0.0
    if isinstance(entry.resource, Journey):
        refused = refusal(entry.resource, world.cache)
        publication = world.publications.get(engine_of(entry.resource))
        if publication is not None and publication.no_pods_since is not None:
            no_pods_for = world.clock() - publication.no_pods_since
    wanted = decide(Observed(entry, refused, publication, no_pods_for), world.now())
    if wanted is not None:
        await write_status(world, entry, wanted)
    return None


def decide(observed: Observed, now: datetime) -> Object | None:
    """The whole status, or None when the plan has not looked at this spec yet."""
    entry = observed.entry
    if entry.error is not None:
        return _told(observed, invalid(entry.error), {}, now)
    assert isinstance(entry.resource, Journey)
    assert entry.spec_digest is not None
    if observed.refused is not None:
        return _told(observed, observed.refused, {"specDigest": entry.spec_digest}, now)
    publication = observed.publication
    if publication is None or publication.compiled is None or not publication.looked:
        return None
    compiled = publication.compiled
    name = entry.resource.plan_name
    if compiled.considered.get(("Journey", name)) != entry.spec_digest:
        return None
    served = _served_fields(entry.status)
    in_plan = compiled.contents.journeys.get(name)
    problem = problem_outcome(compiled, ("Journey", name), entry.spec_digest, in_plan)
    if problem is not None:
        fields = {"specDigest": entry.spec_digest, **(served if in_plan is not None else {})}
        return _told(observed, problem, fields, now)
    if _published(observed, publication, name):
        fields = {"specDigest": entry.spec_digest, **served}
        version = _version(entry.spec_digest)
        if served.get("version") != version or "publishedAt" not in served:
            fields.update(version=version, plan=publication.digest, publishedAt=timestamp(now))
        return _told(observed, _good(entry.resource), fields, now)
    fields = {"specDigest": entry.spec_digest, **served}
    return _told(observed, _waiting(publication), fields, now)


def _published(observed: Observed, publication: Publication, name: str) -> bool:
    """Whether pods serve this spec; once they did, only news to the contrary changes it.

    A worker that does not answer, or an acknowledgement that is late, is told once, by the
    Engine, and not by every journey of it.
    """
    entry = observed.entry
    assert entry.spec_digest is not None
    if publication.serves(name, entry.spec_digest):
        return True
    ready = condition(entry.status, ConditionType.READY)
    was = (
        ready is not None
        and ready.get("status") == "True"
        and entry.status.get("specDigest") == entry.spec_digest
    )
    if not was or publication.contradicts(name, entry.spec_digest):
        return False
    return bool(publication.pods) or observed.no_pods_for <= NO_PODS_GRACE_SECONDS


def _good(journey: Journey) -> Outcome:
    if journey.spec.paused:
        return Outcome(True, Reason.PAUSED, "spec.paused is true: nothing of it is shown or sent")
    return Outcome(True, Reason.PUBLISHED, "every serving pod has acknowledged it")


def _waiting(publication: Publication) -> Outcome:
    if publication.told is None:
        reason, message = (
            Reason.WAITING_FOR_ENGINE,
            "the engine's worker does not answer yet; the Engine's conditions say why",
        )
    elif publication.refused is not None or publication.unreadable is not None:
        reason, message = (
            Reason.WAITING_FOR_ENGINE,
            "the engine's worker refused the plan; the Engine's conditions say why",
        )
    elif not publication.pods:
        reason, message = Reason.NO_SERVING_PODS, "no pod of the engine is ready to serve it"
    else:
        # Without numbers: they would have every journey written again for every pod.
        reason, message = Reason.PUBLISHING, "waiting for every serving pod to acknowledge it"
    return Outcome(False, reason, message, progressing=True)


def _version(digest: str) -> str:
    return digest[len("sha256:") : SHORT_DIGEST]


def _served_fields(observed: Object) -> dict[str, Any]:
    kept = ("version", "plan", "publishedAt")
    return {name: observed[name] for name in kept if name in observed}


def _told(observed: Observed, outcome: Outcome, fields: dict[str, Any], now: datetime) -> Object:
    entry = observed.entry
    return status(outcome, fields, generation=entry.generation, observed=entry.status, now=now)
