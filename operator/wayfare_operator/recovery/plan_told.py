"""A plan's look put into its status: one outcome, its conditions and its fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wayfare_engine.resources import Engine, Reason, RecoveryPlan
from wayfare_engine.resources.recovery_words import RunKind
from wayfare_operator.cache import Entry
from wayfare_operator.kube.kinds import CHANNEL, Object
from wayfare_operator.reconcile.world import World
from wayfare_operator.recovery import conditions, consistency, drills, windows
from wayfare_operator.recovery.awake import summed
from wayfare_operator.recovery.choosing import longest
from wayfare_operator.recovery.conditions import BEACON_STALE_SECONDS
from wayfare_operator.recovery.desire import Role
from wayfare_operator.recovery.lag import Lag, at_risk
from wayfare_operator.recovery.memory import PlanMemory
from wayfare_operator.recovery.plan_look import (
    acting_site,
    heard_of,
    lease_wait_of,
    seconds,
    view_of,
)
from wayfare_operator.recovery.plan_status import (
    awake_status,
    drift_status,
    lag_status,
    proven_status,
    run_status,
    site_status,
    takeover_status,
)
from wayfare_operator.recovery.takeover import Estimate
from wayfare_operator.recovery.workloads import fought_over
from wayfare_operator.status import Extra, Outcome, condition, status, timestamp


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found; figures that are None are unknown."""

    role: Role
    lag: Lag | None
    estimate: Estimate
    ready: Extra | None
    """ReadyToTakeOver, as this site says it of itself; None where it acts."""
    awake: Object | None


def site_state(role: Role, memory: PlanMemory) -> str:
    """This site's state in one word."""
    if role == "Acting":
        return "Acting"
    up = any(each.up for each in memory.states)
    if not up:
        return "Asleep"
    if memory.desire is not None and memory.desire.awake and memory.waiting_for:
        return "Waking"
    return "Standby"


def awake_of(world: World, plan: RecoveryPlan, memory: PlanMemory, role: Role) -> Object | None:
    """`status.awake`: what this site records, where its plan is Cold and it stands by, or acts in
    an emergency."""
    if plan.spec.standby.mode != "Cold" or (role == "Acting" and not memory.standing.awake):
        return None
    always = sum(each.always for each in memory.states if each.present)
    found = summed(
        memory.standing.awake, world.now(), since=memory.standing.since, always=always or None
    )
    return awake_status(found, memory.states, plan.spec.standby.prices)


def ready_of(
    plan: RecoveryPlan, memory: PlanMemory, role: Role, lag: Lag | None, sum_: Estimate
) -> Extra | None:
    """Whether this site could take over; None where it acts."""
    view = view_of(memory)
    if role == "Acting":
        return None
    if view is None:
        return Extra(
            "ReadyToTakeOver",
            "Unknown",
            Reason.STORE_UNREADABLE,
            "the object store does not answer: while it does not, nobody can take over",
        )
    beat = view.beats.get(acting_site(plan, view))
    return conditions.ready_to_take_over(
        sum_,
        seconds(plan.spec.objectives.rto),
        caught_up=memory.standing.caught_up is not None or lag is not None,
        at_risk=at_risk(beat),
        rpo=seconds(plan.spec.objectives.rpo),
        drift=None if memory.drift is None else bool(memory.drift),
    )


def tell(
    world: World, entry: Entry, plan: RecoveryPlan, engine: Engine, memory: PlanMemory, look: Look
) -> Object:
    """The whole status."""
    now, view, here = world.now(), view_of(memory), world.settings.site
    other = plan.spec.other(here).name
    fresh = (memory.reader.beacon_age(other) or 0.0) < BEACON_STALE_SECONDS
    theirs = memory.view.beacons.get(other) if memory.view is not None else None
    mine = memory.beacon[1] if memory.beacon is not None else None
    sites = {
        other: site_status(other, theirs, fresh=fresh and view is not None),
        here: {**site_status(here, mine, fresh=True), "state": site_state(look.role, memory)},
    }
    acting = look.role == "Acting"
    told: Any = theirs.figures if theirs is not None and fresh and view is not None else {}
    seen = world.recovery.open_run(memory.reader.plan)
    readable = not _unreadable(memory)
    fields: dict[str, Any] = {
        "phase": str(view.phase) if view is not None else entry.status.get("phase"),
        "actingSite": (view.authority.site if view is not None else entry.status.get("actingSite")),
        "epoch": memory.reader.epoch or None,
        "lag": told.get("lag") if acting else lag_status(look.lag),
        "sites": [sites[each.name] for each in plan.spec.sites],
        "takeover": _takeover_told(told, now) if acting else takeover_status(look.estimate, now),
        "lastProven": proven_status(memory.reader.proven) or entry.status.get("lastProven"),
        "awake": look.awake or (told.get("awake") if acting else None),
        "consistency": consistency.status_of(
            memory.standing.consistency, now, _stale(plan, memory, look.role)
        )
        if readable
        else None,
        "drift": drift_status(memory.drift),
        "run": run_status(
            view.open_run if view is not None else None, seen.step if seen is not None else None
        ),
        "nextWindow": _next_window(plan, look.role, now) if readable else None,
        "nextDrill": _moment(drills.next_drill(plan, now)) if readable else None,
    }
    extra = _extra(world, plan, engine, memory, look, told, other, fresh)
    outcome = _outcome(memory, look, extra, cold=plan.spec.standby.mode == "Cold")
    return status(outcome, fields, generation=entry.generation, observed=entry.status, now=now)


def _unreadable(memory: PlanMemory) -> bool:
    """Whether a schedule of the plan cannot be read."""
    problem = memory.schedule_problem
    return problem is not None and problem[0] == Reason.INVALID_SPEC


def _takeover_told(told: Any, now: Any) -> Object | None:
    takeover = told.get("takeover")
    if not isinstance(takeover, dict):
        return None
    return {**takeover, "asOf": timestamp(now.replace(second=0, microsecond=0))}


def _moment(at: Any) -> str | None:
    return None if at is None else timestamp(at)


def _next_window(plan: RecoveryPlan, role: Role, now: Any) -> str | None:
    if plan.spec.standby.mode != "Cold" or role == "Acting":
        return None
    following = windows.next_window(plan.spec.standby.windows, plan.spec.blocked_windows, now)
    return None if following is None else timestamp(following.begins)


def _stale(plan: RecoveryPlan, memory: PlanMemory, role: Role) -> dict[str, Any]:
    spec = plan.spec
    by_windows = role == "Standby" and spec.standby.mode == "Cold"
    return {
        name: consistency.stale_after_windows(
            level.as_of, spec.standby.windows, spec.blocked_windows
        )
        if by_windows
        else consistency.stale_after_schedule(level.as_of, spec.consistency.schedule)
        for name, level in memory.standing.consistency.items()
    }


def _extra(
    world: World,
    plan: RecoveryPlan,
    engine: Engine,
    memory: PlanMemory,
    look: Look,
    told: Any,
    other: str,
    fresh: bool,
) -> tuple[Extra, ...]:
    view, here = view_of(memory), world.settings.site
    acting = other if look.role == "Standby" else here
    run = view.open_run if view is not None else None
    drill = run if run is not None and run.kind is RunKind.DRILL and run.target == here else None
    taken = view is not None and view.authority.state == "NotTaken"
    found = [
        look.ready or conditions.standby_told(told, site=other, fresh=fresh and view is not None),
        conditions.lease_lapsed(
            "Acting" if taken and look.role == "Acting" else look.role,
            heard_of(memory, acting),
            epoch=memory.reader.epoch,
            wait=lease_wait_of(plan),
            takeover=plan.spec.takeover,
            here=here,
        ),
        conditions.witness(plan),
        conditions.configuration_drift(memory.drift, memory.drift_unknown),
        conditions.sends_held(
            look.role,
            waiting=view is not None
            and view.authority.state == "Waiting"
            and view.authority.site == here,
            store_problem=memory.problem[1] if memory.problem is not None else None,
            channels=held_channels(world, engine),
        ),
    ]
    limit, now = longest(plan.spec.standby.windows), world.now()
    cold = plan.spec.standby.mode == "Cold" and look.role != "Acting"
    # A site that stays awake has no windows, and can have a drill that does not end.
    if cold or conditions.overran(drill, limit, now):
        last = memory.standing.last if cold else None
        found.append(conditions.window_missed(last, drill, limit, now))
    return tuple(found)


def held_channels(world: World, engine: Engine) -> list[str]:
    """What the conditions of the engine's Channels say of held sends."""
    found = []
    for entry in world.cache.referring(CHANNEL, engine.metadata.namespace, engine.metadata.name):
        ready = condition(entry.status, "Ready")
        if ready is not None and ready.get("reason") == Reason.SENDS_HELD:
            found.append(f"channel {entry.ref.name}: {ready.get('message', '')}")
    return sorted(found)


def _outcome(memory: PlanMemory, look: Look, extra: tuple[Extra, ...], *, cold: bool) -> Outcome:
    if memory.schedule_problem is not None:
        reason, message = memory.schedule_problem
        return Outcome(False, reason, message, stalled=True, extra=extra)
    if memory.problem is not None:
        reason, message = memory.problem
        stalled = reason != Reason.STORE_UNREADABLE
        return Outcome(
            False, reason, message, progressing=not stalled, stalled=stalled, extra=extra
        )
    if memory.conflict is not None:
        return Outcome(False, Reason.CONFIG_CONFLICT, memory.conflict, stalled=True, extra=extra)
    fought = fought_over(memory.states) if cold else None
    if fought is not None:
        return Outcome(False, Reason.CONFIG_CONFLICT, fought, stalled=True, extra=extra)
    why = memory.desire.why if memory.desire is not None else ""
    message = f"this site: {why}"
    waking = memory.desire is not None and memory.desire.awake and memory.waiting_for
    if waking:
        return Outcome(
            True,
            Reason.PLAN_IN_FORCE,
            message,
            progressing=True,
            progress_message=memory.waiting_for,
            extra=extra,
        )
    return Outcome(True, Reason.PLAN_IN_FORCE, message, extra=extra)
