"""What a plan's look finds out, from the store, the cluster and what is remembered."""

from __future__ import annotations

import asyncio
from datetime import datetime

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.objectstore.problems import ForeignStore, StoreProblem
from wayfare_engine.resources import Engine, Phase, Reason, RecoveryPlan, parse_duration
from wayfare_operator.control import ToldStanding
from wayfare_operator.reconcile.world import World
from wayfare_operator.recovery import drills, windows
from wayfare_operator.recovery.conditions import Heard
from wayfare_operator.recovery.desire import Role, Situation, role_of
from wayfare_operator.recovery.lag import Lag, lag_of
from wayfare_operator.recovery.memory import PlanMemory
from wayfare_operator.recovery.plan_windows import caught_up
from wayfare_operator.recovery.record import Stage, WindowRecord
from wayfare_operator.recovery.store_view import StoreView
from wayfare_operator.recovery.takeover import Estimate, Facts, estimate, lease_wait

_WORKING = frozenset({Stage.WAKE, Stage.CATCH_UP, Stage.VERIFY})


def schedule_problem(plan: RecoveryPlan, now: datetime) -> tuple[str, str] | None:
    """(reason, message) of what cannot work in the plan's times. Pure, and slow: call it seldom."""
    spec = plan.spec
    wait = lease_wait_of(plan)
    objective = seconds(spec.objectives.rto)
    if wait > objective:
        return Reason.OBJECTIVE_TOO_SHORT, (
            f"spec.objectives.rto is {objective:g} s, and the lease's wait alone is {wait:.1f} s "
            f"(ttl {spec.lease.ttl} × (1 + ρ) / (1 - ρ) + handOver {spec.lease.hand_over}, ρ = "
            f"{spec.lease.clock_error_percent:g} %): shorten the lease, or lengthen the objective"
        )
    try:
        windows.validate(spec.standby.windows, spec.blocked_windows, now)
        windows.check_schedule(
            spec.consistency.schedule, "UTC", now, where="spec.consistency.schedule"
        )
        if spec.drill is not None:
            schedule, zone = spec.drill.schedule, spec.drill.time_zone
            windows.check_schedule(schedule, zone, now, where="spec.drill.schedule")
            if drills.next_drill(plan, now) is None and not spec.drill.suspended:
                return Reason.WINDOW_BLOCKED, (
                    f"every drill of spec.drill.schedule {schedule} {zone} within 400 days is in a "
                    "time of spec.blockedWindows: no drill ever starts. Move one of them"
                )
        overlap = windows.first_overlap(spec.standby.windows, spec.blocked_windows, now)
    except windows.ScheduleInvalid as error:
        return Reason.INVALID_SPEC, str(error)
    if overlap is not None and spec.standby.mode == "Cold":
        return Reason.WINDOW_BLOCKED, (
            f"{overlap}: it does not open then. Move one of them, or make one shorter"
        )
    return None


async def read(memory: PlanMemory, store: ObjectStore, clock: float) -> None:
    """Look at the store; what went wrong is `memory.problem`, and the last view stays."""
    try:
        memory.view = await asyncio.to_thread(memory.reader.read, store)
    except SaidToPeople as problem:
        memory.problem = (reason_of(problem), str(problem))
        if memory.problem_since is None:
            memory.problem_since = clock
        return
    memory.problem = memory.problem_since = None
    found = memory.reader.caught_up
    if found is not None:
        memory.standing = caught_up(memory.standing, found)


def reason_of(problem: SaidToPeople) -> Reason:
    """The reason for a problem with the store or what is in it."""
    if isinstance(problem, ForeignStore):
        return Reason.STORE_FOREIGN
    return Reason.STORE_UNREADABLE if isinstance(problem, StoreProblem) else Reason.STORE_DAMAGED


def view_of(memory: PlanMemory) -> StoreView | None:
    """The last look at the store, if it succeeded."""
    return memory.view if memory.problem is None else None


def standing_of(world: World, engine: Engine) -> ToldStanding | None:
    """What the engine's worker says of its standing, while it answers."""
    found = world.publications.get((engine.metadata.namespace, engine.metadata.name))
    return found.told.standing if found is not None and found.told is not None else None


def situation(world: World, plan: RecoveryPlan, memory: PlanMemory) -> Situation:
    """What decides whether the site is awake."""
    view, site = view_of(memory), world.settings.site
    run = view.open_run if view is not None else None
    seen = world.recovery.open_run(memory.reader.plan)
    step = seen.step if seen is not None and run is not None and seen.number == run.number else None
    current = memory.standing.current
    return Situation(
        site=site,
        primary=plan.spec.primary.name,
        mode=plan.spec.standby.mode,
        known=view is not None,
        holder=view.authority.site if view is not None else None,
        emergency=view is not None and view.phase is Phase.EMERGENCY,
        window=current is not None and current.stage in _WORKING,
        catching_up=current is not None and current.stage in (Stage.WAKE, Stage.CATCH_UP),
        window_at="" if current is None else _where(current),
        run=run.kind if run is not None else None,
        run_here=run is not None and run.target == site,
        run_step=step,
    )


def _where(window: WindowRecord) -> str:
    if not window.message:
        return window.stage.value
    return f"{window.stage.value}, attempt {window.attempt} after: {window.message}"


def role(it: Situation) -> Role:
    """Acting, Standby or Unknown."""
    return role_of(it.site, it.primary, known=it.known, holder=it.holder)


def acting_site(plan: RecoveryPlan, view: StoreView) -> str:
    """The site that holds the highest epoch; before the first one, the primary."""
    return view.authority.site or plan.spec.primary.name


def find_lag(world: World, plan: RecoveryPlan, engine: Engine, memory: PlanMemory) -> Lag | None:
    """How far this site is behind; None when it acts, or when it is not known."""
    view = view_of(memory)
    if view is None:
        return None
    acting = acting_site(plan, view)
    if acting == world.settings.site:
        return None
    standing = standing_of(world, engine)
    follow = standing.follow if standing is not None else None
    return lag_of(view.beats.get(acting), memory.standing.caught_up, follow, world.now())


def heard_of(memory: PlanMemory, site: str) -> Heard:
    """Since when the site's newest beat and beacon have been the newest."""
    beat, said = memory.reader.beat_watches.get(site), memory.reader.beacon_watches.get(site)
    return Heard(
        site,
        beat.age() if beat is not None and beat.newest is not None else None,
        beat is not None and beat.changed,
        said.age() if said is not None and said.newest is not None else None,
        said is not None and said.changed,
    )


def estimate_of(
    plan: RecoveryPlan, memory: PlanMemory, lag: Lag | None, *, awake: bool
) -> Estimate:
    """How long a takeover here would take now."""
    standing, spec = memory.standing, plan.spec
    followed = standing.caught_up is not None
    return estimate(
        Facts(
            ttl=seconds(spec.lease.ttl),
            clock_error=spec.lease.clock_error_percent / 100,
            hand_over=seconds(spec.lease.hand_over),
            wake=0.0 if awake else max(standing.wakes, default=None),
            restore=0.0 if followed or lag is not None else None,
            lag_rows=None if lag is None else lag.rows,
            rate=standing.rate,
            behind=lag.seconds if lag is not None and lag.follows else None,
            verify=max(standing.verifies, default=None),
            objective=seconds(spec.objectives.rto),
        )
    )


def lease_wait_of(plan: RecoveryPlan) -> float:
    """Seconds that a taker waits by the plan's terms."""
    lease = plan.spec.lease
    return lease_wait(seconds(lease.ttl), lease.clock_error_percent / 100, seconds(lease.hand_over))


def seconds(duration: str) -> float:
    """A duration of the spec."""
    return parse_duration(duration).total_seconds()
