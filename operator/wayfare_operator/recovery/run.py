"""A RecoveryRun: taken up, driven one look at a time, and told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.resources import (
    Approval,
    Engine,
    Reason,
    RecoveryPlan,
    RecoveryRun,
    RunKind,
    RunState,
    Verdict,
)
from wayfare_engine.runs import (
    LostPart,
    Run,
    RunEnd,
    RunInProgress,
    StepResult,
    Undo,
    put_end,
    read_run,
    take,
)
from wayfare_operator.cache import Entry
from wayfare_operator.kube.kinds import APPROVAL, ENGINE, RECOVERY_PLAN, RECOVERY_RUN, Object, Ref
from wayfare_operator.reconcile.problems import invalid
from wayfare_operator.reconcile.world import Key, Work, World
from wayfare_operator.reconcile.writing import write_status
from wayfare_operator.recovery.run_driving import Driven, Driver
from wayfare_operator.recovery.run_ending import rpo, rto, with_evidence
from wayfare_operator.recovery.run_events import step_events
from wayfare_operator.recovery.run_machine import (
    Wait,
    left_to_undo,
    next_of,
    poll_seconds,
    table_of,
)
from wayfare_operator.recovery.run_status import rejected_status, run_status, waiting_status
from wayfare_operator.recovery.run_view import load
from wayfare_operator.recovery.steps.contract import StepContext
from wayfare_operator.recovery.steps.precheck import stale_after
from wayfare_operator.recovery.stores import call, plan_id
from wayfare_operator.status import condition, status

AUTHOR_ANNOTATION = "wayfare.dev/author"
UNKNOWN_AUTHOR = "unknown"
_AWAY_SECONDS = 2.0
_MISSING_SECONDS = 15.0


@dataclass(frozen=True)
class Place:
    """Where a run happens: its plan, the engine of that, and the engine's store."""

    plan: RecoveryPlan
    engine: Engine
    store: ObjectStore

    def step(
        self,
        world: World,
        run: Run,
        name: str,
        attempt: int,
        *,
        timeout: float,
        began_at: datetime,
        results: Mapping[str, StepResult] | None = None,
    ) -> StepContext:
        """What a step is given that this site makes in a run of the other's."""
        return StepContext(
            world=world,
            store=self.store,
            plan=self.plan,
            engine=self.engine,
            run=run,
            owner=self.plan,
            step=name,
            attempt=attempt,
            timeout=timeout,
            began_at=began_at,
            results=results or {},
        )


async def reconcile_recovery_run(world: World, key: Key) -> float | None:
    """One look at a run. A run that was deleted is ended by who looks after requests."""
    entry = world.cache.get(Ref(RECOVERY_RUN.name, key.namespace, key.name))
    if entry is None or entry.deleting:
        return None
    if not isinstance(entry.resource, RecoveryRun):
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
    if ended(entry.status):
        return None
    place = place_of(world, entry.resource)
    if not isinstance(place, Place):
        reason, message = place
        told = waiting_status(entry, reason, message, world.now())
        await write_status(world, entry, told)
        return _MISSING_SECONDS
    try:
        return await _go_on(world, entry, entry.resource, place)
    except SaidToPeople as problem:
        message = str(problem)
        told = waiting_status(entry, Reason.OBJECT_STORE_UNAVAILABLE, message, world.now())
        await write_status(world, entry, told)
        return _AWAY_SECONDS


def ended(observed: Object) -> bool:
    """Whether nothing more becomes of a run, by its status."""
    state = observed.get("state")
    if state == RunState.FAILED:
        return bool(observed.get("evidence"))
    return state in (RunState.SUCCEEDED, RunState.ABANDONED, RunState.REJECTED)


def place_of(world: World, run: RecoveryRun) -> Place | tuple[Reason, str]:
    """Where the run happens, or what is missing for that."""
    namespace = run.metadata.namespace
    plan = world.cache.recovery_plan(namespace, run.spec.plan_ref.name)
    if plan is None:
        named = f"{RECOVERY_PLAN.name} {run.spec.plan_ref.name}"
        return Reason.PLAN_NOT_FOUND, f"there is no {named} here, or its spec does not work"
    return place_of_plan(world, plan)


def place_of_plan(world: World, plan: RecoveryPlan) -> Place | tuple[Reason, str]:
    """The same for a plan."""
    name = plan.spec.engine_ref.name
    engine = world.cache.engine(plan.metadata.namespace, name)
    if engine is None:
        return Reason.ENGINE_NOT_FOUND, f"there is no {ENGINE.name} {name}, which the plan covers"
    try:
        store = world.recovery.store(engine)
    except SaidToPeople as problem:
        return Reason.OBJECT_STORE_UNAVAILABLE, str(problem)
    if store is None:
        return (
            Reason.OBJECT_STORE_MISSING,
            f"Engine {name} has no stores.objectStore: nothing of it can be taken over",
        )
    return Place(plan, engine, store)


async def _go_on(world: World, entry: Entry, resource: RecoveryRun, place: Place) -> float | None:
    number = int(entry.status.get("number") or 0)
    try:
        run = await _taken(world, resource, place, number)
    except RunInProgress as other:
        told = rejected_status(entry, str(other), author(resource), world.now())
        await write_status(world, entry, told)
        return None
    driver = Driver(world, place.store, place.plan, place.engine, run, resource)
    driven = await driver.look(approvals_of(world, resource))
    for approval in world.cache.entries(APPROVAL):
        if _names(approval, resource.metadata.namespace, resource.metadata.name):
            world.queue.add(Key.of(approval.ref))
    await _tell(world, entry, place, driven)
    if driven.view.end is not None:
        metadata = place.plan.metadata
        world.queue.add(Key(Work.RECOVERY_PLAN, metadata.namespace, metadata.name))
        return None
    if driven.again:
        return 0.0
    if isinstance(driven.following, Wait):
        return world.settings.recovery_idle_poll_seconds
    seen = world.recovery.open_run(driven.view.run.plan)
    step = seen.step if seen is not None else None
    return poll_seconds(world.settings.recovery_poll_seconds, step)


def author(resource: RecoveryRun) -> str:
    """Who made the run: admission binds the annotation to the requesting user."""
    return resource.metadata.annotations.get(AUTHOR_ANNOTATION) or UNKNOWN_AUTHOR


async def _taken(world: World, resource: RecoveryRun, place: Place, number: int) -> Run:
    """The run's record, with its number; raises RunInProgress."""
    known = world.recovery.taken.get(resource.metadata.uid)
    if known is not None:
        return known
    try:
        run = await _take(world, resource, place, number)
    except RunInProgress as other:
        if not await _supersede(world, resource, place, other):
            raise
        run = await _take(world, resource, place, number)
    world.recovery.taken[resource.metadata.uid] = run
    return run


async def _take(world: World, resource: RecoveryRun, place: Place, number: int) -> Run:
    spec, metadata = resource.spec, resource.metadata
    lost = spec.scenario
    return await call(
        take,
        place.store,
        plan=plan_id(place.engine),
        kind=RunKind(spec.kind),
        target=world.settings.site,
        name=metadata.name,
        uid=metadata.uid,
        requested_by=author(resource),
        reason=spec.reason,
        at=metadata.creation_timestamp or world.now(),
        fault_at=spec.fault_at,
        statement=None if spec.statement is None else spec.statement.text,
        scenario=None
        if lost is None
        else LostPart(lost=lost.lost, channel=lost.channel, at_position=lost.at_position),
        seen=number,
    )


async def _supersede(
    world: World, resource: RecoveryRun, place: Place, other: RunInProgress
) -> bool:
    """End an open run that nobody can finish, for a Failover with a statement, which is the way on
    then. Whether it was ended.

    At the other site that is one that failed after its point of no return, or whose operator says
    nothing any more; at this one, a planned move that was abandoned when the other site was lost
    and can no longer be told to go on.
    """
    if RunKind(resource.spec.kind) is not RunKind.FAILOVER or resource.spec.statement is None:
        return False
    open_run = await call(read_run, place.store, other.plan, other.number)
    assert open_run is not None
    view = await call(load, place.store, open_run, {})
    table = table_of(open_run.kind)
    if open_run.target == world.settings.site:
        # Here its step can be tried again, which another run could not go on from.
        if view.abandoned is None or left_to_undo(view, table) is not Undo.RESUME:
            return False
        state, at = RunState.ABANDONED, f"{Undo.RESUME} at the other site"
    else:
        following = next_of(view, table, world.now())
        stuck = isinstance(following, Wait) or _silent(world, place, open_run.target)
        if view.given_up or table.may_abandon(view.begun) or not stuck:
            return False
        state = RunState.FAILED
        at = next((step.name for step in reversed(table.steps) if step.name in view.begun), "?")
    end = RunEnd(
        run=open_run.number,
        state=state,
        verdict=Verdict.FAILED,
        at=world.now(),
        summary=f"given up at {at}: run {resource.metadata.name} goes on instead",
        rto=rto(view, table, place.plan),
        rpo=rpo(view, place.plan),
    )
    end = await call(with_evidence, place.store, view, end)
    await call(put_end, place.store, open_run.plan, end)
    return True


def _silent(world: World, place: Place, site: str) -> bool:
    """Whether the site's operator has said nothing new for as long as Precheck waits for it."""
    memory = world.plan_memory(place.plan)
    age = memory.reader.beacon_age(site) if memory is not None else None
    return age is not None and age >= stale_after(place.plan)


def approvals_of(world: World, run: RecoveryRun) -> list[Approval]:
    """The Approvals about this run."""
    return approvals_named(world, run.metadata.namespace, run.metadata.name)


def approvals_named(world: World, namespace: str, run: str) -> list[Approval]:
    """The Approvals about the run of this name that were not judged before. One that did not
    count does not count later either: it was about what its author saw."""
    found = []
    for entry in world.cache.entries(APPROVAL):
        stalled = condition(entry.status, "Stalled")
        if _names(entry, namespace, run) and (stalled is None or stalled.get("status") != "True"):
            assert isinstance(entry.resource, Approval)
            found.append(entry.resource)
    return found


def _names(entry: Entry, namespace: str, run: str) -> bool:
    return (
        isinstance(entry.resource, Approval)
        and not entry.deleting
        and entry.ref.namespace == namespace
        and entry.resource.spec.run_ref.name == run
    )


async def _tell(world: World, entry: Entry, place: Place, driven: Driven) -> None:
    view, now = driven.view, world.now()
    table = table_of(view.run.kind)
    messages = {
        step: said for (uid, step), said in world.recovery.messages.items() if uid == view.run.uid
    }
    told = run_status(
        entry,
        view,
        table,
        driven.following,
        messages,
        rto=rto(view, table, place.plan),
        rpo=rpo(view, place.plan),
        now=now,
    )
    await write_status(world, entry, told, also=step_events(entry.status, told))
