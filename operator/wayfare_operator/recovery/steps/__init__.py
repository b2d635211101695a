"""Steps that the operator makes itself, by name; all others are Jobs, here or at the other site."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from wayfare_engine.runs import By
from wayfare_operator.recovery.steps import (
    asking,
    cleanup,
    fork,
    precheck,
    route,
    serving,
    start_isolated,
    task,
    verify,
    waking,
)
from wayfare_operator.recovery.steps.contract import Failed, Progress, StepContext

Drive = Callable[[StepContext], Awaitable[Progress]]

STEPS: Mapping[str, Drive] = {
    "Precheck": precheck.drive,
    "Wake": waking.wake,
    "Activate": waking.activate,
    "VerifyServing": serving.drive,
    "Route": route.drive,
    "Fork": fork.drive,
    "StartIsolated": start_isolated.drive,
    "Cleanup": cleanup.drive,
    "Sleep": waking.sleep,
}


async def _not_made(step: StepContext) -> Progress:
    return Failed(f"this version of the operator does not make step {step.step}")


def drive_of(step: str, by: By) -> Drive:
    """What performs a step."""
    if step in STEPS:
        return STEPS[step]
    if by is By.OPERATOR:
        return _not_made
    if by is By.OTHER_SITE:
        return asking.drive
    return verify.drive if step == "Verify" else task.drive
