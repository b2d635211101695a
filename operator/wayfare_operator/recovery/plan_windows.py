"""A look at a standby's window: its Jobs, what they found, what comes next."""

from __future__ import annotations

import msgspec

from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.resources import Engine, RecoveryPlan
from wayfare_engine.runs import StepResult
from wayfare_engine.runs.windows import CATCH_UP, CHECK, number
from wayfare_operator.desired import Facts
from wayfare_operator.reconcile.world import World
from wayfare_operator.recovery import window_jobs
from wayfare_operator.recovery.consistency import levels
from wayfare_operator.recovery.memory import PlanMemory
from wayfare_operator.recovery.procedure import Do, JobState, Next, Seen, advance
from wayfare_operator.recovery.record import CaughtUp, Stage, Standing, WindowRecord
from wayfare_operator.recovery.secret_digests import make_key
from wayfare_operator.recovery.takeover import LEAST_MEASURED_ROWS
from wayfare_operator.recovery.workloads import Tier, all_asleep, all_ready, waiting

STEP_OF = {Stage.CATCH_UP: CATCH_UP, Stage.VERIFY: CHECK}


async def work_on(
    world: World,
    plan: RecoveryPlan,
    engine: Engine,
    facts: Facts,
    memory: PlanMemory,
    store: ObjectStore,
    record: WindowRecord,
) -> Next:
    """One step of a window that has not ended; `memory.standing` has what became of it."""
    job, result, failure = await _job(world, plan, memory, store, record)
    now = world.now()
    seen = Seen(
        now=now,
        stored=all_ready([each for each in memory.states if each.workload.tier is Tier.STORE]),
        ready=bool(memory.states) and all_ready(memory.states),
        asleep=all_asleep(memory.states),
        waiting_for=waiting(memory.states, waking=True),
        job=job,
        failure=failure,
    )
    after = advance(record, seen)
    if result is not None and after.record.stage is not record.stage:
        memory.standing = learned(memory.standing, record.stage, result)
    if record.serving is None and after.record.serving is not None and seen.ready:
        memory.standing = memory.standing.measured(wake=woke_in(after.record))
    memory.standing = memory.standing.with_window(after.record)
    if after.do is Do.START:
        step = STEP_OF[after.record.stage]
        await window_jobs.start(
            world,
            window_jobs.window_job(
                plan,
                engine,
                facts,
                number=number(record.begins),
                step=step,
                attempt=after.record.attempt,
                timeout=max(1.0, (record.ends - now).total_seconds()),
                digest_key=await make_key(world, plan, memory.reader.plan)
                if step == CHECK
                else None,
            ),
        )
    if after.stop_job or after.record.stage.ended:
        await window_jobs.sweep(world, plan, _kept(memory.standing))
    return after


async def _job(
    world: World,
    plan: RecoveryPlan,
    memory: PlanMemory,
    store: ObjectStore,
    record: WindowRecord,
) -> tuple[JobState, StepResult | None, str]:
    step = STEP_OF.get(record.stage)
    if step is None:
        return JobState.ABSENT, None, ""
    return await window_jobs.look(
        world,
        store,
        plan,
        memory.reader.plan,
        number=number(record.begins),
        step=step,
        attempt=record.attempt,
    )


def woke_in(record: WindowRecord) -> float:
    """Seconds that waking took: of the stores, and later of the rest."""
    began, awake = record.began, record.awake
    caught_up, serving = record.caught_up, record.serving
    assert began is not None
    assert awake is not None
    assert caught_up is not None
    assert serving is not None
    return (awake - began + (serving - caught_up)).total_seconds()


def learned(standing: Standing, stage: Stage, result: StepResult) -> Standing:
    """What a Job's result teaches: how far this site is, and how long things take."""
    if stage is Stage.CATCH_UP:
        return caught_up(standing, result)
    took = max(0.0, (result.ended_at - result.began_at).total_seconds())
    consistency = {**standing.consistency, **levels(result)}
    return msgspec.structs.replace(standing.measured(verify=took), consistency=consistency)


def caught_up(standing: Standing, result: StepResult) -> Standing:
    """With where a catch-up came to, and its rate when it had enough rows to tell."""
    figures = result.figures
    watermark = figures.get("watermark")
    if not isinstance(watermark, dict):
        return standing
    before = standing.caught_up
    if before is not None and before.at >= result.ended_at:
        return standing
    rows, seconds = figures.get("rows"), figures.get("seconds")
    rate = standing.rate
    if (
        isinstance(rows, int)
        and isinstance(seconds, int | float)
        and seconds > 0
        and (rows >= LEAST_MEASURED_ROWS or (rate is None and rows > 0))
    ):
        rate = rows / seconds
    came = CaughtUp(watermark={str(k): int(v) for k, v in watermark.items()}, at=result.ended_at)
    return msgspec.structs.replace(standing, caught_up=came, rate=rate)


def _kept(standing: Standing) -> list[int]:
    """Numbers whose Jobs are not to go: of the window and the check that are under way."""
    current = standing.current
    found = [] if current is None else [number(current.begins)]
    return found + ([] if standing.checking is None else [number(standing.checking.began)])


def kept_records(standing: Standing) -> list[int]:
    """Numbers whose records in the store are kept: those that are remembered. The digests in
    status lead to the evidence, which is never removed."""
    found = {number(each.begins) for each in standing.windows}
    return sorted(found | set(_kept(standing)))
