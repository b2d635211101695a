"""The phase that a plan was in before a run began: it decides which kinds of run may begin."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.resources import Phase, RunState
from wayfare_engine.resources.phases import End, RunTrace, phase_of
from wayfare_engine.runs import Run, read_end, read_run
from wayfare_engine.runs.steps import past_return

_ENDS = {
    RunState.SUCCEEDED: End.SUCCEEDED,
    RunState.FAILED: End.FAILED,
    RunState.ABANDONED: End.ABANDONED,
}


def phase_before(store: ObjectStore, run: Run, ended: MutableMapping[int, RunTrace]) -> Phase:
    """From the records of the runs before it. `ended` remembers them by number: they cannot
    change. Blocks; raises StoreProblem, RecordDamaged, NewerRecord."""
    return phase_of(_before(store, run, ended))


def _before(
    store: ObjectStore, run: Run, ended: MutableMapping[int, RunTrace]
) -> Iterator[RunTrace]:
    for number in range(1, run.number):
        if number not in ended:
            trace = _trace(store, run.plan, number)
            if trace is None:
                continue
            ended[number] = trace
        yield ended[number]


def _trace(store: ObjectStore, plan: str, number: int) -> RunTrace | None:
    found, end = read_run(store, plan, number), read_end(store, plan, number)
    if found is None or end is None:
        return None
    return RunTrace(found.kind, past_return(store, found), _ENDS[end.state])
