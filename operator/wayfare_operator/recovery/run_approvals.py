"""Whether an Approval counts: it is about where the run stands, and is within what may be decided.

Pure. What counts is written into the store before it is obeyed, and counts for ever.
"""

from __future__ import annotations

from wayfare_engine.resources import Approval
from wayfare_engine.runs.procedures import Procedure
from wayfare_engine.runs.records import Decision
from wayfare_operator.recovery.run_machine import Standing, standing
from wayfare_operator.recovery.run_view import RunView
from wayfare_operator.recovery.stores import Judged


def judge(approval: Approval, view: RunView, procedure: Procedure) -> Judged:
    """Whether it is to be obeyed, and why not."""
    spec = approval.spec
    if any(each.uid == approval.metadata.uid for each in view.approvals):
        return Judged(True, f"run {view.run.name} went by it")
    if view.end is not None:
        return Judged(False, f"run {view.run.name} has ended: {view.end.state}")
    if view.abandoned is not None:
        return Judged(False, f"run {view.run.name} was abandoned already")
    if view.taken_back:
        return Judged(False, f"run {view.run.name} ends: the other site took its epoch back")
    step = next((each for each in procedure.steps if each.name == spec.step), None)
    if step is None:
        known = ", ".join(procedure_step.name for procedure_step in procedure.steps)
        return Judged(False, f"a {procedure.kind} has no step {spec.step}; it has {known}")
    seen, stands = view.step(step.name), standing(view, step.name)
    if spec.attempt != max(seen.attempt, 1):
        return Judged(
            False,
            f"{spec.step} is at attempt {seen.attempt or 'none'}, and not at {spec.attempt}",
        )
    told = seen.told
    if spec.evidence is not None and (told is None or told.evidence != spec.evidence):
        return Judged(False, f"the evidence of {spec.step} is another one: look at it again")
    decision = Decision(spec.decision)
    if decision is Decision.ABANDON:
        return _may_abandon(view, procedure)
    if stands not in (Standing.BARRED, Standing.FAILED):
        return Judged(False, f"{spec.step} waits for nobody")
    if decision is Decision.RETRY:
        if seen.result is not None:
            return Judged(False, f"{spec.step} has its result already: Approve it, or Abandon")
        return Judged(True, "")
    if stands is not Standing.BARRED or not step.gates:
        return Judged(
            False,
            f"{spec.step} failed, and that is not something to approve: what failed are not its "
            "checks. Retry, or Abandon",
        )
    if spec.approver == view.run.requested_by:
        return Judged(False, f"{spec.approver} asked for the run; somebody else has to approve it")
    return Judged(True, "")


def _may_abandon(view: RunView, procedure: Procedure) -> Judged:
    if procedure.may_abandon(view.begun):
        return Judged(True, "")
    return Judged(False, no_way_back(view, procedure))


def no_way_back(view: RunView, procedure: Procedure) -> str:
    """Why the run cannot be abandoned any more."""
    step = procedure.point_of_no_return
    return (
        f"{step} has begun, and from then on no other site may act under the old epoch: there is "
        f"no way back. Retry what failed, approve past a gate, or take the work elsewhere by "
        f"another run; run {view.run.name} ends then"
    )
