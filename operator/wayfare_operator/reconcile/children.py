"""Children applied: what is missing or differs is put right, what is not wanted goes."""

from __future__ import annotations

from dataclasses import dataclass

from wayfare_engine.resources import Channel, Engine, Reason, RecoveryPlan, RecoveryRun
from wayfare_operator.cache import applied_digest
from wayfare_operator.desired import Facts, channel_children, children
from wayfare_operator.desired.metadata import REPLICAS_ANNOTATION, SERVE, WORKER, owner
from wayfare_operator.desired.serve import initial_replicas
from wayfare_operator.desired.stores import stores_secret
from wayfare_operator.kube.client import ApiError
from wayfare_operator.kube.compare import holds
from wayfare_operator.kube.kinds import (
    BY_NAME,
    CHILDREN,
    DEPLOYMENT,
    SECRET,
    STATEFUL_SET,
    Object,
    Ref,
    ref_of,
)
from wayfare_operator.reconcile.world import World
from wayfare_operator.recovery.workloads import AWAKE_REPLICAS

_REFUSED = frozenset({400, 403, 422})


@dataclass(frozen=True, slots=True)
class Refused:
    """An object that could not be made."""

    reason: Reason
    message: str


def in_order(observed: Object, wanted: Object, accepted: str | None) -> bool:
    """Whether a child is as it was applied.

    `accepted` is the digest of an application after which the API server gave back something that
    did not quite hold what was asked (it rewrote a value); applying again would change nothing.
    """
    digest = applied_digest(wanted)
    if applied_digest(observed) != digest:
        return False
    if accepted is not None and accepted == digest:
        return True
    body = {key: value for key, value in wanted.items() if key != "metadata"}
    if not holds(observed, body):
        return False
    mine, theirs = wanted["metadata"], observed["metadata"]
    owners = {each.get("uid") for each in theirs.get("ownerReferences") or ()}
    return (
        holds(theirs.get("labels"), mine["labels"])
        and holds(theirs.get("annotations"), mine["annotations"])
        and all(each["uid"] in owners for each in mine.get("ownerReferences", ()))
    )


async def apply_children(
    world: World, engine: Engine, facts: Facts, *, asleep: bool = False
) -> Refused | None:
    """Make the cluster hold what the engine should consist of; the first refusal, if any.

    `asleep`: what is new begins with no replicas, and with those it will have written on it.
    """
    await _make_secret(world, engine)
    wanted = children(engine, facts)
    refused: Refused | None = None
    for obj in wanted:
        refused = await apply_one(world, engine, obj) or refused
    for component, replicas in (
        (SERVE, initial_replicas(engine)),
        (WORKER, engine.spec.worker.replicas),
    ):
        await _scale(world, engine, component, replicas, asleep=asleep)
    await prune(world, engine, {_ref(obj) for obj in wanted})
    return refused


async def apply_channel_children(
    world: World, channel: Channel, engine: Engine, facts: Facts
) -> Refused | None:
    """Make the cluster hold what the channel should consist of; the first refusal, if any."""
    wanted = channel_children(channel, engine, facts)
    refused: Refused | None = None
    for obj in wanted:
        refused = await apply_one(world, channel, obj) or refused
    await prune(world, channel, {_ref(obj) for obj in wanted})
    return refused


async def apply_one(
    world: World, resource: Engine | Channel | RecoveryPlan | RecoveryRun, obj: Object
) -> Refused | None:
    """Put one child of a resource right."""
    kind = BY_NAME[obj["kind"]]
    ref = _ref(obj)
    observed = world.cache.child(ref)
    if observed is not None and in_order(observed, obj, world.accepted.get(ref)):
        return None
    if observed is None and (conflict := await _conflict(world, resource, ref)) is not None:
        return conflict
    if observed is not None and observed["metadata"].get("deletionTimestamp") is not None:
        # It must be gone before it can be made again; the watch tells when.
        return None
    try:
        applied = await world.kube.apply(kind, obj, force=True)
    except ApiError as error:
        if error.status in _REFUSED:
            return Refused(Reason.APPLY_FAILED, f"{ref}: {error.message}")
        raise
    world.cache.put_child(kind, applied)
    world.accepted.pop(ref, None)
    present = world.cache.child(ref)
    digest = applied_digest(obj)
    if present is not None and digest is not None and not in_order(present, obj, None):
        world.accepted[ref] = digest
    return None


async def _conflict(
    world: World, resource: Engine | Channel | RecoveryPlan | RecoveryRun, ref: Ref
) -> Refused | None:
    """An object of that name that is somebody else's is left alone."""
    try:
        present = await world.kube.get(BY_NAME[ref.kind], ref.namespace, ref.name)
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    owners = present["metadata"].get("ownerReferences") or ()
    mine = owner(resource)["uid"]
    ours = any(each.get("uid") == mine for each in owners)
    if ours:
        return None
    others = next((each for each in owners if each.get("controller")), None)
    whose = f"{others['kind']} {others['name']}" if others is not None else "nobody we know"
    return Refused(
        Reason.CONFLICT,
        f"{ref} exists already and belongs to {whose}: delete it, or name the {resource.kind_name} "
        "differently",
    )


async def _scale(
    world: World, engine: Engine, component: str, replicas: int, *, asleep: bool
) -> None:
    """Give a new Deployment its first replicas. Whoever set them later keeps them."""
    name = f"{engine.metadata.name}-{component}"
    ref = Ref(DEPLOYMENT.name, engine.metadata.namespace, name)
    observed = world.cache.child(ref)
    if observed is None:
        return
    metadata = observed["metadata"]
    if REPLICAS_ANNOTATION in (metadata.get("annotations") or {}):
        return
    try:
        written = await world.kube.set_initial_replicas(
            DEPLOYMENT,
            ref.namespace,
            name,
            uid=metadata["uid"],
            replicas=0 if asleep else replicas,
            marks={
                REPLICAS_ANNOTATION: str(replicas),
                **({AWAKE_REPLICAS: str(replicas)} if asleep else {}),
            },
        )
    except ApiError as error:
        # Deleted, or deleted and made again: the watch tells.
        if error.status not in (404, 409):
            raise
        return
    world.cache.put_child(DEPLOYMENT, written)


async def _make_secret(world: World, engine: Engine) -> None:
    """Passwords of managed stores: made by POST, so that they are made once and never read."""
    if engine.spec.stores.managed is None or engine.metadata.uid in world.secrets_made:
        return
    name = f"{engine.metadata.name}-postgresql"
    store = Ref(STATEFUL_SET.name, engine.metadata.namespace, name)
    if world.cache.child(store) is None:
        secret = stores_secret(engine, postgresql=world.token(), valkey=world.token())
        try:
            await world.kube.create(SECRET, secret)
        except ApiError as error:
            if error.status != 409:
                raise
    world.secrets_made.add(engine.metadata.uid)


async def prune(world: World, resource: Engine | Channel, wanted: set[Ref]) -> None:
    """Delete what an earlier spec had and this one has not."""
    of = Ref(resource.kind_name, resource.metadata.namespace, resource.metadata.name)
    for kind in CHILDREN:
        for obj in world.cache.owned(kind, of):
            ref = ref_of(kind, obj)
            metadata = obj["metadata"]
            owners = {each.get("uid") for each in metadata.get("ownerReferences") or ()}
            if (
                ref in wanted
                or resource.metadata.uid not in owners
                or metadata.get("deletionTimestamp") is not None
            ):
                continue
            try:
                await world.kube.delete(kind, ref.namespace, ref.name, uid=metadata["uid"])
            except ApiError as error:
                if error.status not in (404, 409):
                    raise


def _ref(obj: Object) -> Ref:
    return Ref(obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"])
