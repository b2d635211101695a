"""The data steps of a run: each is one task, run by a Job's pod, that can be killed anywhere and
done again by the next attempt.

`attempt` makes one; `STEPS` says which function does the work of which step.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wayfare_engine.errors import USAGE, SaidToPeople

if TYPE_CHECKING:
    from wayfare_engine.recovery.tasks.task import Done, Task

_HERE = "wayfare_engine.recovery.tasks"

#: Step to the function that does it; loaded when it is asked for.
STEPS: dict[str, str] = {
    "CatchUp": f"{_HERE}.catching_up:catch_up",
    "Verify": f"{_HERE}.verifying:verify",
    "Fork": "wayfare_engine.recovery.drill.forking:fork",
    "ReplayDecisions": f"{_HERE}.verifying:verify",
    "Check": f"{_HERE}.verifying:check",
    "TakeEpoch": f"{_HERE}.taking:take_epoch",
    "FenceWait": f"{_HERE}.taking:fence_wait",
    "CatchUpFinal": f"{_HERE}.catching_up:catch_up_final",
    "Quiesce": f"{_HERE}.quieting:quiesce_site",
    "Seal": f"{_HERE}.quieting:seal_site",
    "TransferEpoch": f"{_HERE}.taking:transfer_epoch",
    "RecoverSpooled": f"{_HERE}.standing_down:recover_spooled",
    "Resume": f"{_HERE}.quieting:resume_site",
    "TakeBack": f"{_HERE}.taking_back:take_back",
    "RecoverStranded": f"{_HERE}.stranded:recover_stranded",
    "Reconcile": f"{_HERE}.stranded:reconcile",
    "MergeSpooled": f"{_HERE}.stranded:reconcile",
    "Measure": f"{_HERE}.measuring:measure",
}


@dataclass(eq=False)
class NoSuchStep(SaidToPeople):
    """No task is called so."""

    exit_code = USAGE

    step: str

    def __str__(self) -> str:
        return f"no data step is called {self.step!r}; there are {', '.join(STEPS)}"


def load(step: str) -> Callable[[Task], Done]:
    """The function that does a step. Raises NoSuchStep."""
    place = STEPS.get(step)
    if place is None:
        raise NoSuchStep(step)
    module, _, name = place.partition(":")
    found: Callable[[Task], Done] = getattr(importlib.import_module(module), name)
    return found
