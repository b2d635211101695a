"""The cheap checks by schedule, at a site that is up: one Job a time, none on top of another."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.resources import Engine, RecoveryPlan
from wayfare_engine.runs.windows import CHECK, number
from wayfare_operator.desired import Facts
from wayfare_operator.reconcile.world import World
from wayfare_operator.recovery import window_jobs
from wayfare_operator.recovery.consistency import levels, nobody_knows
from wayfare_operator.recovery.memory import PlanMemory
from wayfare_operator.recovery.procedure import JobState
from wayfare_operator.recovery.record import Check, Standing
from wayfare_operator.recovery.secret_digests import make_key
from wayfare_operator.recovery.windows import times

_TIMEOUT = timedelta(minutes=10)
_FIRST_AFTER = timedelta(minutes=5)
_WHERE = "spec.consistency.schedule"


async def check_by_schedule(
    world: World,
    plan: RecoveryPlan,
    engine: Engine,
    facts: Facts,
    memory: PlanMemory,
    store: ObjectStore,
    *,
    measures: bool,
) -> bool:
    """Start a check that is due, or see what became of the one under way; whether one is.

    `measures`: this site stands by and has no window that would tell how long checks take, so the
    first one is made after five minutes, and each is measured. The first one is made as early where
    the plan names Secrets, of which nobody tells but a check.
    """
    now, standing = world.now(), memory.standing
    check = standing.checking
    if check is None:
        since = standing.checked_until or standing.since
        due = next(times(plan.spec.consistency.schedule, "UTC", since, where=_WHERE), None)
        first = (measures and not standing.verifies) or _secrets_untold(plan, standing)
        if (due is None or due > now) and not (first and _may_try(standing, now)):
            return False
        # The first at once; of several that passed, one.
        check = Check(began=now.replace(microsecond=0))
        memory.standing = msgspec.structs.replace(standing, checking=check, checked_until=now)
    of = number(check.began)
    state, result, why = await window_jobs.look(
        world,
        store,
        plan,
        memory.reader.plan,
        number=of,
        step=CHECK,
        attempt=check.attempt,
    )
    if state is JobState.ABSENT and now - check.began < _TIMEOUT:
        await window_jobs.start(
            world,
            window_jobs.window_job(
                plan,
                engine,
                facts,
                number=of,
                step=CHECK,
                attempt=check.attempt,
                timeout=_TIMEOUT.total_seconds(),
                digest_key=await make_key(world, plan, memory.reader.plan),
            ),
        )
        return True
    if state is JobState.RUNNING and now - check.began < 2 * _TIMEOUT:
        return True
    # Done, failed or hanging.
    if result is None:
        memory.standing = msgspec.structs.replace(
            memory.standing, consistency=nobody_knows(check.began, why or "it did not end in time")
        )
    else:
        memory.standing = msgspec.structs.replace(
            memory.standing, consistency={**memory.standing.consistency, **levels(result)}
        )
        if measures:
            took = (result.ended_at - result.began_at).total_seconds()
            memory.standing = memory.standing.measured(verify=took)
    memory.standing = msgspec.structs.replace(memory.standing, checking=None)
    await window_jobs.sweep(world, plan, ())
    return False


def _secrets_untold(plan: RecoveryPlan, standing: Standing) -> bool:
    return bool(plan.spec.secrets) and standing.checked_until is None


def _may_try(standing: Standing, now: datetime) -> bool:
    """Whether the first check may be tried (again) without waiting for its schedule."""
    return now - (standing.checked_until or standing.since) >= _FIRST_AFTER
