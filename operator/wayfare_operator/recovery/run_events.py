"""Events of a run: one for each step that began, succeeded or failed. Pure."""

from __future__ import annotations

from wayfare_engine.resources import Reason, StepState
from wayfare_operator.kube.kinds import Object
from wayfare_operator.status import Transition

_REASONS = {
    StepState.RUNNING: Reason.STEP_STARTED,
    StepState.SUCCEEDED: Reason.STEP_SUCCEEDED,
    StepState.FAILED: Reason.STEP_FAILED,
    StepState.WAITING_FOR_APPROVAL: Reason.WAITING_FOR_APPROVAL,
}
_BAD = frozenset({StepState.FAILED, StepState.WAITING_FOR_APPROVAL})


def step_events(observed: Object, written: Object) -> list[Transition]:
    """What changed about the steps between two statuses."""
    before = {
        each["name"]: (each.get("state"), each.get("attempt"))
        for each in observed.get("steps") or ()
    }
    found = []
    for each in written.get("steps") or ():
        state = StepState(each["state"])
        if before.get(each["name"]) == (each["state"], each.get("attempt")):
            continue
        reason = _REASONS.get(state)
        if reason is not None:
            attempt = each.get("attempt") or 1
            said = f"{each['name']}, attempt {attempt}"
            if each.get("message"):
                said += f": {each['message']}"
            found.append(Transition(state in _BAD, reason, said))
    return found
