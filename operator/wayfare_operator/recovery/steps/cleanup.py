"""Cleanup: nothing of a drill stays. Also what an abandoned drill takes back."""

from __future__ import annotations

from wayfare_operator.recovery.steps.contract import Done, Going, Progress, StepContext
from wayfare_operator.recovery.steps.task import end_jobs


async def drive(step: StepContext) -> Progress:
    """Jobs of the run that still run are ended, and then what the drill made is taken away."""
    if not await end_jobs(step):
        return Going("pods of the run are still ending")
    return Done("nothing is left of the run", figures={"left": []})
