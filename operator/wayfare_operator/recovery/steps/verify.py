"""Verify: Jobs of the plan's own checks, then the data step, which judges all of them together."""

from __future__ import annotations

from wayfare_operator.recovery.steps import custom, task
from wayfare_operator.recovery.steps.contract import Going, Progress, StepContext


async def drive(step: StepContext) -> Progress:
    """The Job of the step is made when those of the checks ended; it is told what they found."""
    begun = await task.find(step, task.task_of(step).name) is not None
    if begun or not custom.of_step(step) or await task.written(step) is not None:
        await custom.remove(step)
        return await task.drive(step)
    looked = await custom.jobs(step)
    if isinstance(looked, Going):
        return looked
    return await task.drive(step, await custom.kept(step, looked))
