"""Wake, Sleep and Activate: the site's pods, as the run needs them."""

from __future__ import annotations

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.resources import ConditionType
from wayfare_engine.runs import Skip, authority
from wayfare_operator.kube.kinds import ENGINE, Ref
from wayfare_operator.recovery.sleep import put_to_sleep
from wayfare_operator.recovery.sleep import wake as wake_site
from wayfare_operator.recovery.steps.contract import (
    Done,
    Failed,
    Going,
    Progress,
    StepContext,
    skip,
)
from wayfare_operator.recovery.stores import call
from wayfare_operator.status import condition

AT_ONCE_SECONDS = 5.0

_before_wake = crash_point("operator.wake.before", "nothing yet: workloads are scaled up next")
_after_wake = crash_point("operator.wake.scaled", "workloads are scaled up, maybe not all")
_before_sleep = crash_point("operator.sleep.before", "nothing yet: workloads are scaled down next")
_after_sleep = crash_point("operator.sleep.scaled", "workloads are scaled down, maybe not all")


async def wake(step: StepContext) -> Progress:
    """Wake. `figures.wasAwake` keeps whether the site was: then it does not sleep afterwards."""
    _before_wake()
    found = await wake_site(step.world, step.plan, step.engine)
    _after_wake()
    if not found.ready:
        step.world.recovery.woken.add(step.run.uid)
        return Going(found.message)
    if _at_once(step):
        return skip(Skip.AWAKE)
    return Done(found.message, figures={**found.figures, "seconds": _seconds(step)})


def _at_once(step: StepContext) -> bool:
    """Whether everything was up when we looked for the first time in this attempt. No site that
    slept has its pods ready so soon."""
    return step.run.uid not in step.world.recovery.woken and _seconds(step) < AT_ONCE_SECONDS


def _seconds(step: StepContext) -> float:
    return round((step.world.now() - step.began_at).total_seconds(), 1)


async def sleep(step: StepContext) -> Progress:
    """Sleep, unless the site was awake before the run, acts, or stays up anyhow."""
    woke = step.results.get("Wake")
    if woke is not None and woke.figures.get("skipped"):
        return skip(Skip.STAYS_AWAKE)
    return await stand_by(step)


async def stand_by(step: StepContext) -> Progress:
    """Sleep, unless the site acts, or stays up anyhow."""
    held = await call(authority.read, step.store, step.run.plan)
    acts = held.site == step.site
    if acts or step.plan.spec.standby.mode == "Warm":
        return skip(Skip.STAYS_AWAKE)
    _before_sleep()
    found = await put_to_sleep(step.world, step.plan, step.engine)
    _after_sleep()
    return Done(found.message) if found.asleep else Going(found.message)


async def activate(step: StepContext) -> Progress:
    """The site holds the epoch and its wait is over: everything is up, and serves the plan.

    The engine's own processes follow the epoch that their database holds.
    """
    held = await call(authority.read, step.store, step.run.plan)
    if held.site != step.site:
        whose = f"site {held.site} holds epoch {held.epoch}" if held.site else "nobody does"
        return Failed(f"this site does not hold the right to act: {whose}")
    if held.state != "Acting":
        return Going(f"the wait after taking epoch {held.epoch} is not over")
    _before_wake()
    found = await wake_site(step.world, step.plan, step.engine)
    _after_wake()
    if not found.ready:
        return Going(found.message)
    metadata = step.engine.metadata
    entry = step.world.cache.get(Ref(ENGINE.name, metadata.namespace, metadata.name))
    ready = condition(entry.status, ConditionType.READY) if entry is not None else None
    if ready is None or ready.get("status") != "True":
        said = ready.get("message") if ready is not None else "its status is not known"
        return Going(f"the engine is not ready: {said}")
    return Done(
        f"the engine is up and holds epoch {held.epoch}",
        figures={**found.figures, "epoch": held.epoch, "seconds": _seconds(step)},
    )
