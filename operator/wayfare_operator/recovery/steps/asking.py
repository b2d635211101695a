"""A step of the other site: it is asked, and answers when its own part is done."""

from __future__ import annotations

from datetime import timedelta

from wayfare_engine.runs import Answer, Outcome, asking
from wayfare_operator.recovery.steps.contract import (
    Done,
    Failed,
    Going,
    Progress,
    StepContext,
    Told,
)
from wayfare_operator.recovery.steps.task import written
from wayfare_operator.recovery.stores import call

NO_KEY = (
    "WAYFARE_RECOVERY_KEY is not set at this site's operator, so nothing can be asked of site {}: "
    "put the same key into recovery.objectStore.secretName at both sites"
)

TASKS = {"StandDown": "RecoverSpooled"}
"""What a step asks for that is not called as the step: the site answers no more, and what it
answered since its chain was sealed goes into the store."""


async def drive(step: StepContext) -> Progress:
    """Ask the other site for this step, and wait for its answer."""
    told = await written(step)
    if told is not None:
        return Told(told)
    answered = await ask(step, TASKS.get(step.step, step.step))
    if not isinstance(answered, Answer):
        return answered
    told = await written(step)
    if told is not None:
        return Told(told)
    if answered.outcome is Outcome.SUCCEEDED:
        return Done(answered.message, figures=answered.figures)
    return Failed(f"site {step.other}: {answered.message}", figures=answered.figures)


async def ask(step: StepContext, what: str, **arguments: object) -> Answer | Going | Failed:
    """The other site's answer to one request; Going while there is none."""
    keys = step.world.recovery.keys
    if keys is None:
        return Failed(NO_KEY.format(step.other))
    request = await call(
        asking.ask,
        step.store,
        keys,
        step.run,
        to_site=step.other,
        step=step.step,
        attempt=step.attempt,
        what=what,
        arguments={**arguments, "timeout": step.timeout},
        at=step.world.now(),
    )
    answer = await call(asking.read_answer, step.store, keys, step.run, request)
    if answer is not None:
        return answer
    if step.world.now() - step.began_at >= timedelta(seconds=step.timeout):
        return Failed(
            f"site {step.other} did not answer within {step.timeout:g} s: does its operator run, "
            "and does it reach the object store?"
        )
    return Going(f"waiting for site {step.other}")
