"""A Segment: whether its members were computed, and how many they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from wayfare_engine.resources import ConditionType, Reason, Segment
from wayfare_operator.cache import Entry, engine_of
from wayfare_operator.control import ToldSegment
from wayfare_operator.kube.kinds import Object, Ref
from wayfare_operator.reconcile.problems import invalid, problem_outcome
from wayfare_operator.reconcile.publication import Publication
from wayfare_operator.reconcile.references import refusal
from wayfare_operator.reconcile.world import Key, World
from wayfare_operator.reconcile.writing import write_status
from wayfare_operator.status import Outcome, condition, status

_COUNTERS = ("size", "asOf", "digest", "durationSeconds")
_FIGURES = (*_COUNTERS, "specDigest")


@dataclass(frozen=True, slots=True)
class Observed:
    """What the decision is made from."""

    entry: Entry
    refused: Outcome | None
    publication: Publication | None


async def reconcile_segment(world: World, key: Key) -> float | None:
    """Tell how a segment stands; comes back when figures were held back."""
    entry = world.cache.get(Ref("Segment", key.namespace, key.name))
    if entry is None or entry.deleting:
        return None
    refused, publication = None, None
    if isinstance(entry.resource, Segment):
        refused = refusal(entry.resource, world.cache)
        publication = world.publications.get(engine_of(entry.resource))
    wanted = decide(Observed(entry, refused, publication), world.now())
    if wanted is None:
        return None
    wait = world.figures.hold(entry.uid, entry.status, wanted, _COUNTERS, world.clock())
    if wait is not None:
        return wait
    if await write_status(world, entry, wanted):
        world.figures.wrote(entry.uid, world.clock())
    return None


def decide(observed: Observed, now: datetime) -> Object | None:
    """The whole status, or None when the plan has not looked at this spec yet."""
    entry = observed.entry
    kept = _figures(entry.status)

    def told(outcome: Outcome, fields: dict[str, Any]) -> Object:
        return status(outcome, fields, generation=entry.generation, observed=entry.status, now=now)

    if entry.error is not None:
        return told(invalid(entry.error), kept)
    assert isinstance(entry.resource, Segment)
    assert entry.spec_digest is not None
    if observed.refused is not None:
        return told(observed.refused, {})
    publication = observed.publication
    if publication is None or publication.compiled is None or not publication.looked:
        return None
    compiled = publication.compiled
    name = entry.resource.plan_name
    if compiled.considered.get(("Segment", name)) != entry.spec_digest:
        return None
    in_plan = compiled.contents.segments.get(name)
    problem = problem_outcome(compiled, ("Segment", name), entry.spec_digest, in_plan)
    if problem is not None:
        return told(problem, kept if in_plan is not None else {})
    was_ready = _was_ready(entry)
    if publication.told is None:
        if was_ready:
            return None
        message = "the engine's worker does not answer yet; the Engine's conditions say why"
        return told(Outcome(False, Reason.WAITING_FOR_ENGINE, message, progressing=True), kept)
    key = compiled.contents.segment_keys.get(name)
    computed = next((each for each in publication.told.segments if each.key == key), None)
    if computed is not None and computed.error:
        outcome = Outcome(
            False, Reason.COMPUTE_FAILED, f"computing failed: {computed.error}", progressing=True
        )
        return told(outcome, {**kept, "error": computed.error})
    if computed is not None and computed.digest is not None:
        outcome = Outcome(True, Reason.COMPUTED, "the members were computed for this spec")
        return told(outcome, _computed(computed, entry.spec_digest))
    message = "waiting for the worker to compute the members"
    if was_ready:
        # Something that it refers to has changed; the earlier members go on being used.
        outcome = Outcome(
            True,
            Reason.COMPUTED,
            "the members were computed for this spec",
            progressing=True,
            progress_reason=Reason.COMPUTING,
            progress_message=message,
        )
    else:
        outcome = Outcome(False, Reason.COMPUTING, message, progressing=True)
    return told(outcome, kept)


def _was_ready(entry: Entry) -> bool:
    ready = condition(entry.status, ConditionType.READY)
    return (
        ready is not None
        and ready.get("status") == "True"
        and entry.status.get("specDigest") == entry.spec_digest
    )


def _figures(observed: Object) -> dict[str, Any]:
    return {name: observed[name] for name in _FIGURES if name in observed}


def _computed(computed: ToldSegment, spec_digest: str) -> dict[str, Any]:
    as_of = computed.as_of
    return {
        "size": computed.size,
        "asOf": as_of.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if as_of else None,
        "digest": computed.digest,
        "durationSeconds": computed.duration_seconds,
        "specDigest": spec_digest,
    }
