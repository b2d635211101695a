"""Where a channel's fallback leads. Pure."""

from __future__ import annotations

from wayfare_engine.resources import Channel, Reason
from wayfare_operator.cache import Cache, engine_of
from wayfare_operator.grants import not_permitted, permitted
from wayfare_operator.kube.kinds import Ref
from wayfare_operator.status import Outcome


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
