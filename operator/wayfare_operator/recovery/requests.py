"""What a plan's open run asks of this site, when another site drives it; and runs without owner.

The store is asked every half second while a run is open, else every few seconds. What is asked is
obeyed only under a signature that holds for this run, this place and this request.
"""

from __future__ import annotations

import structlog

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.resources import RecoveryPlan
from wayfare_engine.runs import (
    ApprovalRecord,
    Asked,
    Decision,
    Keys,
    Outcome,
    Run,
    Undo,
    answer,
    open_run,
    put_approval,
    requests,
)
from wayfare_operator.kube.client import ApiError
from wayfare_operator.kube.kinds import RECOVERY_RUN, Ref
from wayfare_operator.reconcile.world import Key, Work, World
from wayfare_operator.recovery.run import Place, approvals_named, place_of_plan
from wayfare_operator.recovery.run_driving import Driver
from wayfare_operator.recovery.run_machine import STANDBY, next_of, poll_seconds, table_of
from wayfare_operator.recovery.run_view import RunView, load
from wayfare_operator.recovery.steps import route, task, waking
from wayfare_operator.recovery.steps.contract import (
    Done,
    Failed,
    Going,
    Progress,
    StepContext,
    Told,
)
from wayfare_operator.recovery.stores import OpenRun, call
from wayfare_operator.recovery.taking_back import take_back

log = structlog.get_logger(__name__)

TASKS = frozenset({"Quiesce", "Seal", "Reconcile", "RecoverSpooled", "Resume"})
"""What another site may have this one do as a Job. Nothing else is obeyed."""

_DEFAULT_TIMEOUT = 900.0
_LONGEST_TIMEOUT = 6 * 3600.0


async def reconcile_requests(world: World, key: Key) -> float | None:
    """One look at the plan's open run, if there is one."""
    plan = world.cache.recovery_plan(key.namespace, key.name)
    if plan is None:
        return None
    idle = world.settings.recovery_idle_poll_seconds
    place = place_of_plan(world, plan)
    if not isinstance(place, Place):
        return idle
    plan_name = f"{place.engine.metadata.namespace}.{place.engine.metadata.name}"
    try:
        seen = world.recovery.newest.get(plan_name, 0)
        run = await call(open_run, place.store, plan_name, seen=seen)
        if run is None:
            _changed(world, plan, plan_name, None)
            world.recovery.forget(plan_name)
            return idle
        world.recovery.newest[plan_name] = run.number
        if run.target == world.settings.site:
            return await _own(world, place, run)
        return await _serve(world, place, run)
    except SaidToPeople as problem:
        if world.recovery.problems.get(plan_name) != str(problem):
            log.warning("requests could not be looked at", plan=plan_name, problem=str(problem))
        world.recovery.problems[plan_name] = str(problem)
        world.recovery.forget_moves(plan_name)
        return idle


def _changed(world: World, plan: RecoveryPlan, name: str, run: OpenRun | None) -> None:
    """Note the open run, and have the plan tell it when it is another or further."""
    if world.recovery.open_run(name) != run:
        world.recovery.saw(name, run)
        metadata = plan.metadata
        world.queue.add(Key(Work.RECOVERY_PLAN, metadata.namespace, metadata.name))


async def _serve(world: World, place: Place, run: Run) -> float:
    """The run is driven elsewhere: do what is asked here, and mirror where it is."""
    known = world.recovery.known.setdefault((run.plan, run.number), {})
    view = await call(load, place.store, run, known)
    following = next_of(view, table_of(run.kind), world.now())
    parts = getattr(following, "parts", ()) or ()
    waiting = getattr(following, "steps", ()) or ()
    mirrored = OpenRun(
        number=run.number,
        name=run.name,
        uid=run.uid,
        kind=run.kind,
        target=run.target,
        step=parts[0].step if parts else waiting[0] if waiting else None,
        waiting=bool(waiting),
    )
    _changed(world, place.plan, run.plan, mirrored)
    keys = world.recovery.keys
    if await take_back(world, place, run, view):
        return world.settings.recovery_poll_seconds
    if keys is not None:
        for asked in await call(requests, place.store, keys, run):
            if asked.answer is None and asked.request.to_site == world.settings.site:
                await _do(world, place, run, view, asked, keys)
    return poll_seconds(world.settings.recovery_poll_seconds, mirrored.step)


async def _do(
    world: World, place: Place, run: Run, view: RunView, asked: Asked, keys: Keys
) -> None:
    """Go on with one request, and answer it when it is done."""
    request = asked.request
    step = place.step(
        world,
        run,
        request.what,
        request.attempt,
        timeout=_timeout(request.arguments.get("timeout")),
        began_at=request.at,
        results={name: each.result for name, each in view.steps.items() if each.result},
    )
    if view.given_up and request.what != Undo.RESUME:
        ended = await task.end_jobs(step)
        why = "this site took its epoch back" if view.taken_back else "the run was abandoned"
        progress: Progress = Failed(why) if ended else Going("ending")
    elif view.step(request.step).attempt > request.attempt:
        progress = Failed("a later attempt of the step began")
    else:
        progress = await _perform(step)
    if isinstance(progress, Going):
        world.recovery.messages[run.uid, request.what] = progress.message
        return
    outcome, message, figures = Outcome.SUCCEEDED, "", {}
    if isinstance(progress, Told):
        outcome, message = progress.result.outcome, progress.result.summary
        figures = dict(progress.result.figures)
    else:
        outcome = Outcome.SUCCEEDED if isinstance(progress, Done) else Outcome.FAILED
        message, figures = progress.summary, dict(progress.figures)
    await call(
        answer,
        place.store,
        keys,
        run,
        request,
        outcome=outcome,
        message=message,
        figures=figures,
        at=world.now(),
        by=world.settings.pod_name,
    )


def _timeout(asked: object) -> float:
    if isinstance(asked, bool) or not isinstance(asked, int | float):
        return _DEFAULT_TIMEOUT
    return min(max(float(asked), 1.0), _LONGEST_TIMEOUT)


async def _perform(step: StepContext) -> Progress:
    if step.step == STANDBY:
        led = await route.lead_away(step)
        if led is not None:
            return Failed(led)
        return await waking.stand_by(step)
    if step.step not in TASKS:
        return Failed(
            f"site {step.site} does not know what {step.step} is: is it an older version?"
        )
    # The other site's clock began it; how long it may take is counted on ours.
    return await task.drive(await task.begun(step))


async def _own(world: World, place: Place, run: Run) -> float:
    """A run that this site drives. Its RecoveryRun sees to it; when that is gone, we do."""
    idle = world.settings.recovery_idle_poll_seconds
    if await _has_owner(world, place, run):
        return idle
    driver = Driver(world, place.store, place.plan, place.engine, run, place.plan)
    known = world.recovery.known.setdefault((run.plan, run.number), {})
    view = await call(load, place.store, run, known)
    if not view.given_up and driver.table.may_abandon(view.begun):
        record = ApprovalRecord(
            run=run.number,
            number=1,
            name=run.name,
            uid=run.uid,
            step=_last_begun(view, driver),
            attempt=1,
            decision=Decision.ABANDON,
            approver="wayfare-operator",
            reason="the RecoveryRun was deleted",
            at=world.now(),
        )
        await call(put_approval, place.store, run.plan, record)
    # After its point of no return it goes on without its RecoveryRun: stopping there would leave
    # nobody serving. Approvals that name it still count.
    driven = await driver.look(approvals_named(world, place.plan.metadata.namespace, run.name))
    return 0.0 if driven.again else world.settings.recovery_poll_seconds


def _last_begun(view: RunView, driver: Driver) -> str:
    """The step that the run had come to."""
    begun = [step.name for step in driver.table.steps if step.name in view.begun]
    return str(begun[-1] if begun else driver.table.steps[0].name)


async def _has_owner(world: World, place: Place, run: Run) -> bool:
    """Whether the RecoveryRun of this record is there; asked of the server before it counts as
    gone, for the cache may lag behind what was just made."""
    namespace = place.plan.metadata.namespace
    entry = world.cache.get(Ref(RECOVERY_RUN.name, namespace, run.name))
    if entry is not None and entry.uid == run.uid:
        return not entry.deleting
    try:
        found = await world.kube.get(RECOVERY_RUN, namespace, run.name)
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    metadata = found["metadata"]
    return metadata["uid"] == run.uid and metadata.get("deletionTimestamp") is None
