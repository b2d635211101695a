"""An engine's plan: compile, publish, and see who serves it."""

from __future__ import annotations

import asyncio

import structlog

from wayfare_engine.plan import Plan, PlanFormatError
from wayfare_engine.resources import Reason
from wayfare_operator.control import ControlStatus, PlanRefused, WorkerUnreachable
from wayfare_operator.desired.metadata import COMPONENT_LABEL, SERVE
from wayfare_operator.kube.kinds import CHANNEL, ENDPOINT_SLICE
from wayfare_operator.reconcile.compile import Input, compile_all, contents, gather
from wayfare_operator.reconcile.publication import Publication, serving_pods
from wayfare_operator.reconcile.world import Key, Work, World
from wayfare_operator.recovery.asleep import asleep

NO_PODS_GRACE_SECONDS = 30.0
"""A restart of the last serve pod is not news for every journey; a longer absence is."""

_PATIENCE_SECONDS = 120.0
_SLOW_POLL_SECONDS = 2.0
#: How soon a change of a breaker is told.
_CHANNELS_SECONDS = 3.0
_UNREACHABLE_POLL_SECONDS = 5.0

log = structlog.get_logger(__name__)


async def reconcile_plan(world: World, key: Key) -> float | None:
    """One look at an engine's plan; returns when to look again."""
    namespace, name = key.namespace, key.name
    engine = world.cache.engine(namespace, name)
    if engine is None:
        world.publications.pop((namespace, name), None)
        world.enqueue_dependents(namespace, name)
        return None
    publication = world.publication(namespace, name)
    if asleep(world, namespace, name) is not None:
        # Nobody serves, and nobody is to: what was told of journeys before still stands. The
        # Engine says that it is asleep, so the next look tells it everything again.
        publication.told = None
        if publication.looked:
            publication.seen = "asleep"
        return world.settings.resync
    await _ask(world, publication, namespace, name)
    await _compile(publication, gather(engine, world.cache, publication.told))
    await _publish(world, publication, namespace, name)
    slices = [
        each
        for each in world.cache.children(ENDPOINT_SLICE, namespace, name)
        if (each["metadata"].get("labels") or {}).get(COMPONENT_LABEL) == SERVE
    ]
    publication.pods = serving_pods(slices, publication.told)
    now = world.clock()
    if publication.pods:
        publication.no_pods_since = None
    elif publication.no_pods_since is None:
        publication.no_pods_since = now
    _spread(world, publication, namespace, name, now)
    return _next_look(world, publication, now)


async def _ask(world: World, publication: Publication, namespace: str, name: str) -> None:
    """Hear from the worker; after a start, read the plan that was published before it."""
    try:
        _hear(publication, await world.control.status(namespace, name))
        if not publication.previous_read:
            body = await world.control.plan(namespace, name)
            if body is not None:
                publication.previous = await asyncio.to_thread(Plan.from_bytes, body)
                publication.remember(publication.previous.digest, contents(publication.previous))
            publication.previous_read = True
            # What was compiled without the earlier versions may lack some.
            publication.fingerprint = None
    except PlanFormatError as error:
        # Of a newer version: publishing over it could lose what only that one understands.
        publication.unreadable = str(error)
    except WorkerUnreachable as error:
        publication.told = None
        publication.unreachable = error.detail
        if publication.unreachable_since is None:
            publication.unreachable_since = world.clock()
    else:
        publication.unreadable = None


def _hear(publication: Publication, told: ControlStatus) -> None:
    """Take the worker's word. One without its database keeps what was known of the plan, while
    nobody's acknowledgement counts as fresh."""
    publication.unreachable = None
    publication.unreachable_since = None
    before = publication.told
    if not told.informed and before is not None:
        told = before.model_copy(update={"stores": told.stores, "acknowledgements": ()})
    publication.told = told


async def _compile(publication: Publication, given: Input) -> None:
    if publication.fingerprint == given.fingerprint and publication.compiled is not None:
        return
    compiled = await asyncio.to_thread(compile_all, given, publication.previous)
    publication.compiled = compiled
    publication.fingerprint = given.fingerprint
    publication.remember(compiled.plan.digest, compiled.contents)
    publication.refused = None
    if publication.previous_read:
        publication.previous = compiled.plan
    log.info(
        "compiled",
        engine=given.engine,
        plan=compiled.plan.digest,
        journeys=len(compiled.contents.journeys),
        segments=len(compiled.contents.segments),
        problems=len(compiled.problems) + len(compiled.denied),
    )


async def _publish(world: World, publication: Publication, namespace: str, name: str) -> None:
    """Make the compiled plan the wanted one, once it is known what was wanted before."""
    compiled = publication.compiled
    if (
        compiled is None
        or publication.told is None
        or not publication.told.informed
        or not publication.previous_read
        or publication.published
    ):
        return
    if publication.refused is not None and publication.refused[0] == compiled.plan.digest:
        return
    try:
        body = await asyncio.to_thread(compiled.plan.to_bytes)
        await world.control.publish(namespace, name, compiled.plan.digest, body)
        _hear(publication, await world.control.status(namespace, name))
    except PlanRefused as error:
        publication.refused = (error.digest, error.detail)
    except WorkerUnreachable as error:
        publication.unreachable = error.detail


def _spread(world: World, publication: Publication, namespace: str, name: str, now: float) -> None:
    """Have others look when anything changed that they tell; silence otherwise."""
    told = publication.told
    seen = (
        publication.fingerprint,
        publication.digest,
        publication.published,
        publication.pods,
        publication.unreachable is None,
        publication.refused,
        publication.unreadable,
        publication.no_pods_since is not None
        and now - publication.no_pods_since > NO_PODS_GRACE_SECONDS,
        told and (told.customers, told.segments, sorted(told.stores.items())),
    )
    if seen != publication.seen:
        publication.seen = seen
        world.queue.add(Key(Work.ENGINE, namespace, name))
        world.enqueue_dependents(namespace, name)
    channels = told and told.channels
    if channels != publication.channels_seen:
        # Figures change with every send: they concern the channels alone.
        publication.channels_seen = channels
        for entry in world.cache.referring(CHANNEL, namespace, name):
            world.queue.add(Key.of(entry.ref))


def _next_look(world: World, publication: Publication, now: float) -> float:
    if publication.told is None:
        since = publication.unreachable_since or now
        patient = now - since < _PATIENCE_SECONDS
        return world.settings.poll if patient else _UNREACHABLE_POLL_SECONDS
    if not _pending(publication):
        publication.pending_since = None
        sends = publication.compiled is not None and publication.compiled.contents.channels
        return min(_CHANNELS_SECONDS, world.settings.resync) if sends else world.settings.resync
    if publication.pending_since is None:
        publication.pending_since = now
    patient = now - publication.pending_since < _PATIENCE_SECONDS
    return world.settings.poll if patient else _SLOW_POLL_SECONDS


def _pending(publication: Publication) -> bool:
    """Whether something is on its way that only asking the worker will tell."""
    if not publication.everywhere:
        return True
    compiled, told = publication.compiled, publication.told
    if compiled is None or told is None:
        return True
    computed = {each.key for each in told.segments if each.digest is not None}
    if any(key not in computed for key in compiled.contents.segment_keys.values()):
        return True
    specs = {each.name: each.specs for each in told.channels if each.problem is None}
    if any(specs.get(n) != (d,) for n, d in compiled.contents.channels.items()):
        return True
    # An import may bring the attribute that a rule waits for.
    return any(
        str(problem.reason) == Reason.UNKNOWN_ATTRIBUTE
        for problems in compiled.problems.values()
        for problem in problems
    )
