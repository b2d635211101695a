"""A pod that has done its step waits for the turn of the next one at its site.

Between Quiesce and TransferEpoch nobody sends, and in a failover nobody serves: there a pod that
runs already saves what starting one takes. The attempt in the store, put by whoever drives the run,
is the turn; nothing is done before it is there.
"""

from __future__ import annotations

from collections.abc import Callable

from wayfare_engine.objectstore import ObjectStore, StoreProblem
from wayfare_engine.runs import attempts, read_end
from wayfare_engine.runs.procedures import TURN_SECONDS

_LOOK_SECONDS = 0.1
_LOOKS_FOR_END = 20


def turn_of(
    store: ObjectStore,
    plan: str,
    run: int,
    step: str,
    *,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
    seconds: float = TURN_SECONDS,
) -> bool:
    """Wait until the first attempt of the step is in the store; whether it came.

    False as well when the run has ended or `seconds` are over. A store that is away is waited for.
    """
    until = monotonic() + seconds
    looks = 0
    while monotonic() < until:
        looks += 1
        try:
            if attempts(store, plan, run, step):
                return True
            if looks % _LOOKS_FOR_END == 0 and read_end(store, plan, run) is not None:
                return False
        except StoreProblem:
            pass
        sleep(_LOOK_SECONDS)
    return False
