"""Fork: the drill's own stores behind their wall, and then the Job that fills the copy."""

from __future__ import annotations

from wayfare_operator.desired import drill as desired
from wayfare_operator.desired.drill_parts import stores_name
from wayfare_operator.desired.metadata import DRILL_STORES
from wayfare_operator.reconcile.engine import facts_of
from wayfare_operator.recovery import drill
from wayfare_operator.recovery.steps import task
from wayfare_operator.recovery.steps.contract import Failed, Going, Progress, StepContext, Told


async def drive(step: StepContext) -> Progress:
    """Make what is missing; when the stores are ready, the step is its Job."""
    told = await task.written(step)
    if told is not None:
        return Told(told)
    run = drill.run_of(step)
    facts = await facts_of(step.world)
    refused = await drill.make_wall(step) or await drill.make_secret(step)
    if refused is None:
        refused = await drill.make(step, desired.stores(run, step.engine, facts))
    if refused is not None:
        return Failed(f"a part of the drill was refused: {refused.message}")
    waits = drill.waits_for(step, stores_name(run.metadata.name), DRILL_STORES)
    if waits is not None:
        return Going(f"the drill's stores start: {waits}")
    return await task.drive(step)
