"""Whether the engine that an object refers to is there and admits it."""

from __future__ import annotations

from wayfare_engine.resources import Channel, Engine, Journey, Reason, Segment
from wayfare_operator.cache import Cache, engine_of
from wayfare_operator.grants import not_permitted, permitted
from wayfare_operator.status import Outcome


def refusal(resource: Segment | Journey | Channel, cache: Cache) -> Outcome | None:
    """Why the object cannot use its engine; None when it can."""
    namespace, name = engine_of(resource)
    engine = cache.engine(namespace, name)
    if namespace != resource.metadata.namespace:
        if engine is None or not admits(engine, resource, cache):
            return Outcome(
                ready=False,
                stalled=True,
                reason=Reason.REF_NOT_PERMITTED,
                message=f"spec.engineRef: {not_permitted('Engine', namespace, name)}",
            )
        return None
    if engine is None:
        return Outcome(
            ready=False,
            stalled=True,
            reason=Reason.ENGINE_NOT_FOUND,
            message=f"spec.engineRef: there is no Engine {name} in namespace {namespace}",
        )
    return None


def admits(engine: Engine, resource: Segment | Journey | Channel, cache: Cache) -> bool:
    """Whether an engine's grant covers the object's namespace."""
    return permitted(
        engine.spec.allowed_namespaces,
        target_namespace=engine.metadata.namespace,
        source_namespace=resource.metadata.namespace,
        labels=cache.namespaces,
    )
