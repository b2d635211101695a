"""A RecoveryPlan at this site: look at the store, wake or sleep, tell how it stands.

Level-based: each look begins with what is, in the cluster, in the store and in the plan's
ConfigMap. While a window or a check is under way it comes every second, else with the idle poll.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import structlog

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.resources import Engine, Phase, Reason, RecoveryPlan
from wayfare_operator.cache import Entry
from wayfare_operator.kube.client import ApiError, ApiUnreachable
from wayfare_operator.kube.events import event
from wayfare_operator.kube.kinds import EVENT, RECOVERY_PLAN, Ref
from wayfare_operator.reconcile.engine import facts_of
from wayfare_operator.reconcile.problems import invalid
from wayfare_operator.reconcile.world import Key, Work, World
from wayfare_operator.reconcile.writing import write_status
from wayfare_operator.recovery import awake as accounting
from wayfare_operator.recovery import (
    drills,
    plan_look,
    sleep,
    window_jobs,
)
from wayfare_operator.recovery.choosing import choose, stands_by
from wayfare_operator.recovery.desire import Desire, Role, Situation, desire
from wayfare_operator.recovery.lag import Lag
from wayfare_operator.recovery.memory import PlanMemory
from wayfare_operator.recovery.plan_saying import say
from wayfare_operator.recovery.plan_status import FIGURES, apart
from wayfare_operator.recovery.plan_told import Look, awake_of, ready_of, tell
from wayfare_operator.recovery.plan_windows import work_on
from wayfare_operator.recovery.procedure import superseded
from wayfare_operator.recovery.scheduled_checks import check_by_schedule
from wayfare_operator.recovery.standing_store import load, save
from wayfare_operator.recovery.store_view import StoreReader
from wayfare_operator.recovery.stores import plan_id
from wayfare_operator.recovery.takeover import Estimate
from wayfare_operator.status import Outcome, Transition, status

log = structlog.get_logger(__name__)

_BUSY_SECONDS = 1.0
_REFUSED_SECONDS = 15.0
_SCHEDULES_EVERY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a plan cannot be followed here at all."""

    reason: Reason
    message: str
    stalled: bool = True


async def reconcile_recovery_plan(world: World, key: Key) -> float | None:
    """One look at a plan; returns when to look again."""
    entry = world.cache.get(Ref("RecoveryPlan", key.namespace, key.name))
    if entry is None or entry.deleting:
        world.plans.pop((key.namespace, key.name), None)
        return None
    if not isinstance(entry.resource, RecoveryPlan):
        assert entry.error is not None
        await _write(world, entry, invalid(entry.error))
        return None
    plan = entry.resource
    engine = world.cache.engine(key.namespace, plan.spec.engine_ref.name)
    found = _store(world, plan, engine)
    if isinstance(found, Refusal) or engine is None:
        assert isinstance(found, Refusal)
        await _write(
            world, entry, Outcome(False, found.reason, found.message, stalled=found.stalled)
        )
        return _REFUSED_SECONDS
    memory = await _memory(world, plan, engine)
    return await _follow(world, entry, plan, engine, found, memory)


def _store(world: World, plan: RecoveryPlan, engine: Engine | None) -> ObjectStore | Refusal:
    spec, site = plan.spec, world.settings.site
    if engine is None:
        said = f"spec.engineRef: there is no Engine {spec.engine_ref.name} in this namespace"
        return Refusal(Reason.ENGINE_NOT_FOUND, said, stalled=False)
    if site not in {each.name for each in spec.sites}:
        names = " and ".join(each.name for each in spec.sites)
        said = f"this operator's site is {site} (WAYFARE_SITE), and spec.sites has {names}"
        return Refusal(Reason.SITE_UNKNOWN, said)
    older = _older(world, plan)
    if older is not None:
        said = f"RecoveryPlan {older} is older and covers Engine {engine.metadata.name} already"
        return Refusal(Reason.ENGINE_TAKEN, said)
    try:
        store = world.recovery.store(engine)
    except SaidToPeople as problem:
        return Refusal(Reason.STORE_UNREADABLE, str(problem))
    if store is None:
        said = f"Engine {engine.metadata.name} has no spec.stores.objectStore"
        return Refusal(Reason.NO_OBJECT_STORE, said)
    return store


def _older(world: World, plan: RecoveryPlan) -> str | None:
    """Another plan of the same engine that was there before; of the same age, by name."""

    def age(each: RecoveryPlan) -> tuple[str, str]:
        return str(each.metadata.creation_timestamp or ""), each.metadata.name

    others = [
        other.resource
        for other in world.cache.entries(RECOVERY_PLAN)
        if isinstance(other.resource, RecoveryPlan)
        and not other.deleting
        and other.ref.namespace == plan.metadata.namespace
        and other.resource.spec.engine_ref.name == plan.spec.engine_ref.name
    ]
    first = min(others, key=age, default=plan)
    return None if first.metadata.uid == plan.metadata.uid else first.metadata.name


async def _memory(world: World, plan: RecoveryPlan, engine: Engine) -> PlanMemory:
    key = (plan.metadata.namespace, plan.metadata.name)
    known = world.plans.get(key)
    if known is not None and known.uid == plan.metadata.uid:
        return known
    standing = await load(world, plan, world.now())
    sites = tuple(each.name for each in plan.spec.sites)
    reader = StoreReader(plan_id(engine), world.settings.site, sites)
    memory = PlanMemory(plan.metadata.uid, reader, standing, standing)
    world.plans[key] = memory
    return memory


async def _follow(
    world: World,
    entry: Entry,
    plan: RecoveryPlan,
    engine: Engine,
    store: ObjectStore,
    memory: PlanMemory,
) -> float:
    """What a sound plan's look consists of, in order."""
    await _check_schedules(world, plan, memory)
    await plan_look.read(memory, store, world.clock())
    memory.states = await sleep.states(world, plan, engine)
    lag = plan_look.find_lag(world, plan, engine, memory)
    sum_ = _estimate(plan, memory, lag)
    it = plan_look.situation(world, plan, memory)
    busy = await _windows(world, plan, engine, memory, store, it, lag, sum_)
    it = plan_look.situation(world, plan, memory)
    role = plan_look.role(it)
    busy = await _obey(world, plan, engine, memory, desire(it)) or busy
    _account(world, memory)
    busy = await _scheduled(world, plan, engine, memory, store, it, role) or busy
    ready = ready_of(plan, memory, role, lag, sum_)
    look = Look(role, lag, sum_, ready, awake_of(world, plan, memory, role))
    await say(world, plan, engine, memory, store, look)
    await _keep(world, plan, memory)
    await _tell(world, entry, plan, engine, memory, look)
    return _BUSY_SECONDS if busy else world.settings.recovery_idle_poll_seconds


async def _check_schedules(world: World, plan: RecoveryPlan, memory: PlanMemory) -> None:
    """Once for each spec, and once a day: overlaps come with the calendar."""
    now, generation = world.now(), plan.metadata.generation
    looked = memory.looked_at_schedules
    if looked is not None and looked[0] == generation and now - looked[1] < _SCHEDULES_EVERY:
        return
    memory.schedule_problem = await asyncio.to_thread(plan_look.schedule_problem, plan, now)
    memory.looked_at_schedules = (generation, now)


def _estimate(plan: RecoveryPlan, memory: PlanMemory, lag: Lag | None) -> Estimate:
    present = [each for each in memory.states if each.present]
    awake = bool(present) and all(each.ready for each in present)
    return plan_look.estimate_of(plan, memory, lag, awake=awake)


async def _windows(
    world: World,
    plan: RecoveryPlan,
    engine: Engine,
    memory: PlanMemory,
    store: ObjectStore,
    it: Situation,
    lag: Lag | None,
    sum_: Estimate,
) -> bool:
    """Choose and work on a window, where the site stands by and sleeps; whether one is open."""
    now, role = world.now(), plan_look.role(it)
    sleeping = None if role == "Unknown" else role == "Standby" and it.mode == "Cold"
    if sleeping and it.run_here:
        sleeping = False
    memory.standing = stands_by(memory.standing, now, sleeping=sleeping)
    current = memory.standing.current
    if sleeping is not True:
        if current is not None and sleeping is False:
            by = f"a {it.run} began" if it.run_here else "this site acts, or stays awake"
            memory.standing = memory.standing.with_window(superseded(current, now, by))
            await window_jobs.sweep(world, plan, ())
        return False
    if memory.schedule_problem is not None and memory.schedule_problem[0] == Reason.INVALID_SPEC:
        return False
    spec, view = plan.spec, plan_look.view_of(memory)
    chained = view is not None and view.authority.state != "NotTaken"
    never = chained and memory.standing.caught_up is None
    extra = never or sum_.over_budget(None if lag is None else lag.rows)
    memory.standing = choose(
        memory.standing, spec.standby.windows, spec.blocked_windows, now, extra=extra
    )
    current = memory.standing.current
    if current is None:
        return False
    try:
        await work_on(world, plan, engine, await facts_of(world, engine), memory, store, current)
    except SaidToPeople as problem:
        memory.problem = (plan_look.reason_of(problem), str(problem))
    return True


async def _obey(
    world: World, plan: RecoveryPlan, engine: Engine, memory: PlanMemory, wish: Desire
) -> bool:
    """Wake what is to be awake, put to sleep what is not; whether that is under way."""
    before = memory.desire
    memory.desire = wish
    if before is None or (before.awake, before.only_stores) != (wish.awake, wish.only_stores):
        # The engine tells that it is asleep, and its Channels that they are.
        world.queue.add(Key(Work.ENGINE, engine.metadata.namespace, engine.metadata.name))
        world.enqueue_plan(engine.metadata.namespace, engine.metadata.name)
    memory.waiting_for = ""
    if wish.awake is None:
        return False
    if wish.awake:
        waking = await sleep.wake(
            world,
            plan,
            engine,
            only_sleeping=not wish.all_of_it,
            only_stores=wish.only_stores,
        )
        memory.waiting_for = "" if waking.ready else waking.message
        under_way = wish.cause is not None and not waking.ready
    else:
        sleeping = await sleep.put_to_sleep(world, plan, engine)
        memory.waiting_for = "" if sleeping.asleep else sleeping.message
        under_way = not sleeping.asleep
    memory.states = await sleep.states(world, plan, engine)
    return under_way


def _account(world: World, memory: PlanMemory) -> None:
    """Record what is up, and what for. Where nothing is counted, nothing is up."""
    wish, recorded = memory.desire, memory.standing.awake
    assert wish is not None
    counted = wish.cause is not None or wish.awake is not True
    cause = wish.cause
    if cause is None:
        # Falling asleep, or nobody can tell: it goes on for what it was for.
        open_ = recorded[-1] if recorded and recorded[-1].ended is None else None
        cause = open_.cause if open_ is not None else "window"
        if wish.awake is None and open_ is None:
            counted = False
    kept = accounting.observe(
        recorded,
        world.now(),
        pods=sum(each.up for each in memory.states) if counted else 0,
        volumes=sum(each.volumes for each in memory.states),
        cause=cause,
    )
    if kept != recorded:
        memory.standing = memory.standing.replaced(awake=kept)


async def _scheduled(
    world: World,
    plan: RecoveryPlan,
    engine: Engine,
    memory: PlanMemory,
    store: ObjectStore,
    it: Situation,
    role: Role,
) -> bool:
    """Drills and checks by schedule, and what is kept of both; whether a check is under way."""
    view = plan_look.view_of(memory)
    if view is None or (
        memory.schedule_problem is not None and memory.schedule_problem[0] == Reason.INVALID_SPEC
    ):
        return False
    busy = False
    checks_itself = role == "Acting" or it.mode == "Warm"
    if (
        checks_itself
        and view.open_run is None
        and view.phase in (Phase.PRODUCTION, Phase.EMERGENCY)
    ):
        try:
            facts = await facts_of(world, engine)
            busy = await check_by_schedule(
                world, plan, engine, facts, memory, store, measures=role == "Standby"
            )
        except SaidToPeople as problem:
            memory.problem = (plan_look.reason_of(problem), str(problem))
    if role == "Standby":
        run = view.open_run
        said = None if run is None else f"run {run.name} of {run.target} is open"
        await drills.start_due(world, plan, memory, phase=view.phase, busy=said)
    await drills.forget_surplus(world, plan)
    return busy


async def _keep(world: World, plan: RecoveryPlan, memory: PlanMemory) -> None:
    if memory.standing != memory.saved:
        await save(world, plan, memory.standing)
        memory.saved = memory.standing


async def _tell(
    world: World,
    entry: Entry,
    plan: RecoveryPlan,
    engine: Engine,
    memory: PlanMemory,
    look: Look,
) -> None:
    wanted = tell(world, entry, plan, engine, memory, look)
    held = world.figures.hold(entry.uid, apart(entry.status), apart(wanted), FIGURES, world.clock())
    if held is None and await write_status(world, entry, wanted):
        world.figures.wrote(entry.uid, world.clock())
    notes, memory.notes = memory.notes, []
    for reason, message in notes:
        warning = reason != Reason.DRILL_STARTED
        said = event(
            entry,
            Transition(warning, reason, message),
            now=world.now(),
            reporter=world.settings.pod_name,
        )
        try:
            await world.kube.create(EVENT, said)
        except (ApiError, ApiUnreachable) as error:
            log.warning("an Event was not posted", object=str(entry.ref), error=str(error))


async def _write(world: World, entry: Entry, outcome: Outcome) -> None:
    told = status(outcome, {}, generation=entry.generation, observed=entry.status, now=world.now())
    await write_status(world, entry, told)
