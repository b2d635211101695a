"""Drills by schedule, and how many ended runs are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from wayfare_engine.resources import Phase, Reason, RecoveryPlan, RecoveryRun, RunState
from wayfare_operator.cache import Entry
from wayfare_operator.desired.metadata import PLAN_LABEL
from wayfare_operator.kube.client import ApiError
from wayfare_operator.kube.kinds import GROUP, RECOVERY_RUN, VERSION, Object
from wayfare_operator.reconcile.world import World
from wayfare_operator.recovery.memory import PlanMemory
from wayfare_operator.recovery.record import Standing
from wayfare_operator.recovery.windows import blocked_at, next_time, times

#: A drill that could not start for so long after its time does not start any more.
LATE = timedelta(minutes=10)
SCHEDULED_AT = "wayfare.dev/scheduled-at"
AUTHOR = "wayfare.dev/author"
_WHERE = "spec.drill.schedule"
_MOST_PLAN = 16


@dataclass(frozen=True, slots=True)
class Due:
    """A drill's time has come. `skip`: why it does not start; None: it does."""

    at: datetime
    skip: str | None


def due(
    plan: RecoveryPlan, standing: Standing, now: datetime, *, phase: Phase, busy: str | None
) -> Due | None:
    """The newest time that has come and was not dealt with. Pure.

    `busy`: what is in the way, such as an open run.
    """
    drill = plan.spec.drill
    if drill is None:
        return None
    since = max(standing.drills_until or standing.since, now - timedelta(days=8))
    came = None
    for moment in times(drill.schedule, drill.time_zone, since, where=_WHERE):
        if moment > now:
            break
        came = moment
    if came is None:
        return None
    barred = blocked_at(plan.spec.blocked_windows, came)
    skip: str | None
    if drill.suspended:
        skip = "spec.drill.suspended is true"
    elif barred is not None:
        skip = f"blocked window {barred.name} is open until {barred.ends:%Y-%m-%d %H:%M} UTC"
    elif now - came > LATE:
        skip = f"it was due at {came:%H:%M} UTC and could not start within 10 minutes of that"
    elif phase is not Phase.PRODUCTION:
        skip = f"the plan is in phase {phase}, and drills begin in Production"
    else:
        skip = busy
    return Due(came, skip)


def name_of(plan: str, at: datetime) -> str:
    """The run's name: the same whoever makes it, so that it is made once, and that of no other
    plan. At most 30 characters."""
    short = plan
    if len(plan) > _MOST_PLAN:
        which = hashlib.sha256(plan.encode()).hexdigest()[:6]
        short = f"{plan[: _MOST_PLAN - 7].rstrip('-.')}-{which}"
    return f"{short}-{at:%Y%m%d%H%M}"


def run_of(plan: RecoveryPlan, at: datetime, *, author: str) -> Object:
    """The RecoveryRun of a scheduled drill."""
    drill = plan.spec.drill
    assert drill is not None
    scenario = drill.scenario.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "RecoveryRun",
        "metadata": {
            "name": name_of(plan.metadata.name, at),
            "namespace": plan.metadata.namespace,
            "labels": {PLAN_LABEL: plan.metadata.name},
            "annotations": {SCHEDULED_AT: f"{at:%Y-%m-%dT%H:%M:%SZ}", AUTHOR: author},
        },
        "spec": {
            "planRef": {"name": plan.metadata.name},
            "kind": "Drill",
            "reason": f"by schedule {drill.schedule} {drill.time_zone}",
            "scenario": scenario,
        },
    }


async def start_due(
    world: World, plan: RecoveryPlan, memory: PlanMemory, *, phase: Phase, busy: str | None
) -> None:
    """Start a drill that is due, or say why not; once for each time."""
    found = due(plan, memory.standing, world.now(), phase=phase, busy=busy)
    if found is None:
        return
    if found.skip is None:
        settings = world.settings
        author = (
            f"system:serviceaccount:{settings.operator_namespace}:"
            f"{settings.operator_service_account}"
        )
        run = run_of(plan, found.at, author=author)
        try:
            await world.kube.create(RECOVERY_RUN, run)
        except ApiError as error:
            if error.status in (403, 422):
                memory.notes.append((Reason.DRILL_SKIPPED, f"not let in: {error.message}"))
            elif error.status != 409:  # 409: made before
                raise
        else:
            said = f"{run['metadata']['name']}, due at {found.at:%Y-%m-%d %H:%M} UTC"
            memory.notes.append((Reason.DRILL_STARTED, said))
    elif found.skip:
        said = f"the drill of {found.at:%Y-%m-%d %H:%M} UTC does not start: {found.skip}"
        memory.notes.append((Reason.DRILL_SKIPPED, said))
    memory.standing = msgspec.structs.replace(memory.standing, drills_until=found.at)


def next_drill(plan: RecoveryPlan, now: datetime) -> datetime | None:
    """When the next one starts; None when none does."""
    drill = plan.spec.drill
    if drill is None or drill.suspended:
        return None
    return next_time(drill.schedule, drill.time_zone, plan.spec.blocked_windows, now, where=_WHERE)


def surplus(entries: Iterable[Entry], plan: RecoveryPlan) -> list[Entry]:
    """The runs of the plan that are over and beyond what is kept, the oldest first. Pure."""
    good: list[Entry] = []
    bad: list[Entry] = []
    for entry in entries:
        run = entry.resource
        if not isinstance(run, RecoveryRun) or entry.deleting:
            continue
        if run.spec.plan_ref.name != plan.metadata.name:
            continue
        if entry.ref.namespace != plan.metadata.namespace or not _over(entry.status):
            continue
        succeeded = entry.status.get("state") == RunState.SUCCEEDED
        (good if succeeded else bad).append(entry)
    history = plan.spec.history
    return [*_beyond(good, history.succeeded), *_beyond(bad, history.failed)]


def _over(status: Object) -> bool:
    state = status.get("state")
    return bool(status.get("evidence")) or state == RunState.REJECTED


def _beyond(entries: list[Entry], kept: int) -> list[Entry]:
    newest = sorted(entries, key=_age, reverse=True)
    return sorted(newest[kept:], key=_age)


def _age(entry: Entry) -> tuple[str, int, str]:
    assert entry.resource is not None
    created = entry.resource.metadata.creation_timestamp
    return str(created or ""), int(entry.status.get("number") or 0), entry.ref.name


async def forget_surplus(world: World, plan: RecoveryPlan) -> None:
    """Delete what is beyond the limits; its evidence stays in the store."""
    for entry in surplus(world.cache.entries(RECOVERY_RUN), plan):
        try:
            await world.kube.delete(
                RECOVERY_RUN, entry.ref.namespace, entry.ref.name, uid=entry.uid
            )
        except ApiError as error:
            if error.status not in (404, 409):
                raise
