"""Cleanup: nothing of a drill stays. Also what an abandoned drill takes back."""

from __future__ import annotations

from wayfare_operator.recovery import drill
from wayfare_operator.recovery.steps.contract import Done, Going, Progress, StepContext
from wayfare_operator.recovery.steps.task import end_jobs

_NAMED = 5


async def drive(step: StepContext) -> Progress:
    """Jobs of the run that still run are ended, and then what the drill made is taken away, until
    the API server knows nothing of it any more."""
    if not await end_jobs(step):
        return Going("pods of the run are still ending")
    left = await drill.remove(step)
    if left:
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        return Going(f"still there: {', '.join(left[:_NAMED])}{more}")
    seconds = round((step.world.now() - step.began_at).total_seconds(), 1)
    return Done("nothing is left of the run", figures={"left": [], "seconds": seconds})
