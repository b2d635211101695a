"""An Approval: whether the run went by it, told on the object itself."""

from __future__ import annotations

from wayfare_engine.resources import Approval, Reason, RecoveryRun
from wayfare_operator.kube.kinds import APPROVAL, RECOVERY_RUN, Ref
from wayfare_operator.reconcile.problems import invalid
from wayfare_operator.reconcile.world import Key, World
from wayfare_operator.reconcile.writing import write_status
from wayfare_operator.recovery.run import ended
from wayfare_operator.recovery.stores import Judged
from wayfare_operator.status import Outcome, status

_AGAIN_SECONDS = 1.0


async def reconcile_approval(world: World, key: Key) -> float | None:
    """Tell what the run made of it; the run itself judges."""
    entry = world.cache.get(Ref(APPROVAL.name, key.namespace, key.name))
    if entry is None or entry.deleting or entry.status.get("conditions"):
        # What was told stands: an Approval is about one attempt, and cannot change.
        return None
    if not isinstance(entry.resource, Approval):
        assert entry.error is not None
        outcome = invalid(entry.error)
    else:
        name = entry.resource.spec.run_ref.name
        ref = Ref(RECOVERY_RUN.name, key.namespace, name)
        run = world.cache.get(ref)
        judged = world.recovery.judged.get(entry.uid)
        if judged is not None:
            outcome = _told(judged)
        elif run is None or not isinstance(run.resource, RecoveryRun):
            outcome = Outcome(
                False, Reason.RUN_NOT_FOUND, f"there is no RecoveryRun {name}", stalled=True
            )
        elif ended(run.status):
            outcome = _told(_after_the_end(entry.ref.name, run.status))
        else:
            world.queue.add(Key.of(ref))
            return _AGAIN_SECONDS
    told = status(outcome, {}, generation=entry.generation, observed=entry.status, now=world.now())
    await write_status(world, entry, told)
    return None


def _after_the_end(name: str, run: dict[str, object]) -> Judged:
    counted = run.get("approvals") or ()
    assert isinstance(counted, list | tuple)
    if any(each["name"] == name for each in counted):
        return Judged(True, "the run went by it")
    return Judged(False, f"the run has ended: {run.get('state')}")


def _told(judged: Judged) -> Outcome:
    if judged.counted:
        message = judged.message or "the run goes by it"
        return Outcome(True, Reason.COUNTED, message)
    return Outcome(False, Reason.NOT_COUNTED, judged.message, stalled=True)
