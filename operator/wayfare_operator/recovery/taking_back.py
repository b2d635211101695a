"""The old site of a planned move takes its epoch back when the move's target is gone.

From Quiesce on nobody sends until the target has taken the epoch. A target that is lost in between
would leave it so. Whether it is lost is not certain here, and need not be: the task takes the next
epoch by the same object as the target would, so that only one of the two can have it.
"""

from __future__ import annotations

import structlog

from wayfare_engine.resources import Reason
from wayfare_engine.runs import Run, StepName, Undo, authority, put_result
from wayfare_engine.runs.authority import Watch
from wayfare_operator.reconcile.world import World
from wayfare_operator.recovery.run import Place
from wayfare_operator.recovery.run_machine import UNDO_AGAIN, UNDO_TIMEOUT
from wayfare_operator.recovery.run_view import RunView
from wayfare_operator.recovery.steps import task
from wayfare_operator.recovery.steps.contract import Failed, result_of
from wayfare_operator.recovery.stores import call

log = structlog.get_logger(__name__)


async def take_back(world: World, place: Place, run: Run, view: RunView) -> bool:
    """Whether this site is taking its epoch back: then it does nothing else for the run."""
    took = view.step(Undo.TAKE_BACK).result
    if took is not None and world.recovery.moves.pop((run.plan, run.number), None) is not None:
        _say(world, place, Reason.TOOK_BACK, f"run {run.name}: {took.summary}")
    if not _let_go(view):
        return False
    seen = view.step(Undo.TAKE_BACK)
    under_way = bool(seen.attempt) and seen.failure is None
    if not under_way and not await _alone(world, place, run, view):
        return False
    await _drive(world, place, run, view)
    return True


def _let_go(view: RunView) -> bool:
    """Whether this site was asked to stop, and neither goes on nor was told to since."""
    return (
        view.end is None
        and StepName.QUIESCE in view.begun
        and view.step(Undo.RESUME).result is None
        and not view.taken_back
    )


async def _alone(world: World, place: Place, run: Run, view: RunView) -> bool:
    """Whether the target has said nothing for long, neither of itself nor in the run, and this
    site holds the newest epoch, as far as the store says."""
    watch = world.recovery.moves.setdefault((run.plan, run.number), Watch())
    watch.saw(view)
    memory = world.plan_memory(place.plan)
    silent = memory.reader.beacon_age(run.target) if memory is not None else None
    if min(silent or 0.0, watch.age() or 0.0) < world.settings.recovery_take_back_seconds:
        return False
    failed = view.step(Undo.TAKE_BACK).failure
    if failed is not None and world.now() - failed.ended_at < UNDO_AGAIN:
        return False
    held = await call(authority.read, place.store, run.plan)
    return held.site == world.settings.site


async def _drive(world: World, place: Place, run: Run, view: RunView) -> None:
    seen = view.step(Undo.TAKE_BACK)
    attempt = seen.attempt + (seen.attempt == 0 or seen.failure is not None)
    now = world.now()
    step = place.step(world, run, Undo.TAKE_BACK, attempt, timeout=UNDO_TIMEOUT, began_at=now)
    # A pod that is still to stop this site must not do so after it goes on.
    if not await task.end_jobs(step):
        return
    step = await task.begun(step)
    if not seen.attempt:
        _say(world, place, Reason.TAKING_BACK, f"run {run.name}: site {run.target} is silent")
    progress = await task.drive(step)
    if isinstance(progress, Failed):
        await call(put_result, place.store, run.plan, result_of(step, progress))


def _say(world: World, place: Place, reason: Reason, message: str) -> None:
    """An event of the plan, and a line."""
    log.warning("a planned move is taken back", reason=reason, message=message)
    memory = world.plan_memory(place.plan)
    if memory is not None:
        memory.notes.append((reason, message))
