"""A Channel: accepted and reported; sends come with a later version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from wayfare_engine.resources import Channel, Reason
from wayfare_operator.cache import Cache, Entry, engine_of
from wayfare_operator.grants import not_permitted, permitted
from wayfare_operator.kube.kinds import Object, Ref
from wayfare_operator.reconcile.problems import invalid
from wayfare_operator.reconcile.references import refusal
from wayfare_operator.reconcile.world import Key, World
from wayfare_operator.reconcile.writing import write_status
from wayfare_operator.status import Outcome, status


@dataclass(frozen=True, slots=True)
class Observed:
    """What the decision is made from."""

    entry: Entry
    refused: Outcome | None
    fallback: Outcome | None


async def reconcile_channel(world: World, key: Key) -> float | None:
    """Tell how a channel stands."""
    entry = world.cache.get(Ref("Channel", key.namespace, key.name))
    if entry is None or entry.deleting:
        return None
    refused = fallback = None
    if isinstance(entry.resource, Channel):
        refused = refusal(entry.resource, world.cache)
        fallback = fallback_problem(entry.resource, world.cache)
    await write_status(world, entry, decide(Observed(entry, refused, fallback), world.now()))
    return None


def decide(observed: Observed, now: datetime) -> Object:
    """The whole status."""
    entry = observed.entry
    if entry.error is not None:
        outcome = invalid(entry.error)
    else:
        outcome = observed.refused or observed.fallback or _accepted(entry.resource)
    return status(outcome, {}, generation=entry.generation, observed=entry.status, now=now)


def _accepted(resource: object) -> Outcome:
    assert isinstance(resource, Channel)
    message = "the spec is sound; sends come with a later version"
    return Outcome(True, Reason.ACCEPTED, message)


def fallback_problem(channel: Channel, cache: Cache) -> Outcome | None:
    """What is wrong with where a channel falls back to, followed to its end."""
    way = [channel.plan_name]
    present = channel
    while present.spec.fallback is not None:
        reference = present.spec.fallback
        own = present.metadata.namespace
        namespace = reference.namespace or own
        target = cache.get(Ref("Channel", namespace, reference.name))
        found = target.resource if target is not None and not target.deleting else None
        admitted = isinstance(found, Channel) and permitted(
            found.spec.allowed_namespaces,
            target_namespace=namespace,
            source_namespace=own,
            labels=cache.namespaces,
        )
        if namespace != own and not admitted:
            if present is not channel:
                return None
            message = f"spec.fallback: {not_permitted('Channel', namespace, reference.name)}"
            return Outcome(False, Reason.REF_NOT_PERMITTED, message, stalled=True)
        if not isinstance(found, Channel):
            if present is not channel:
                return None
            message = f"spec.fallback: there is no Channel {reference.name} in {namespace}"
            return Outcome(False, Reason.CHANNEL_MISSING, message, stalled=True)
        if engine_of(found) != engine_of(channel):
            if present is not channel:
                return None
            message = f"spec.fallback: Channel {found.plan_name} belongs to another engine"
            return Outcome(False, Reason.INVALID_SPEC, message, stalled=True)
        if found.plan_name in way:
            way.append(found.plan_name)
            message = f"spec.fallback leads in a circle: {' → '.join(way)}"
            return Outcome(False, Reason.FALLBACK_CYCLE, message, stalled=True)
        way.append(found.plan_name)
        present = found
    return None
