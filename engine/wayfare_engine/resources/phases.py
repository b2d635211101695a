"""The phases of a RecoveryPlan, and which runs lead from one to the next. Pure.

A plan's phase is never stored as a fact of its own: it follows from the runs that there were, in
the order of their numbers, as the object store has them. So it is the same at both sites, after
any restart, and on the figure in docs/, which is drawn from here.

What a run leads to when it ends depends on one thing besides its kind: whether the step was begun
from which there is no way back, for whether such a step took effect cannot be known before its
result is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from .recovery_words import Phase, RunKind

NO_RETURN: dict[RunKind, str | None] = {
    RunKind.DRILL: None,
    RunKind.SWITCHOVER: "TransferEpoch",
    RunKind.FAILOVER: "TakeEpoch",
    RunKind.FAILBACK: "TransferEpoch",
}
"""The step of each kind of run from whose beginning on it cannot be abandoned."""

BEGINS_IN: dict[RunKind, frozenset[Phase]] = {
    RunKind.DRILL: frozenset({Phase.PRODUCTION}),
    RunKind.SWITCHOVER: frozenset({Phase.PRODUCTION}),
    RunKind.FAILOVER: frozenset({Phase.PRODUCTION, Phase.EMERGENCY}),
    RunKind.FAILBACK: frozenset({Phase.EMERGENCY}),
}
"""In which phases a run of each kind may begin."""

WHILE_OPEN: dict[RunKind, Phase] = {
    RunKind.DRILL: Phase.DRILL,
    RunKind.SWITCHOVER: Phase.SWITCHING,
    RunKind.FAILOVER: Phase.EMERGENCY,
    RunKind.FAILBACK: Phase.FAILBACK,
}
"""The phase while a run of each kind is open: from its record on until its end, however often a
step fails meanwhile."""

WHEN_SUCCEEDED: dict[RunKind, Phase] = {
    RunKind.DRILL: Phase.PRODUCTION,
    RunKind.SWITCHOVER: Phase.PRODUCTION,
    RunKind.FAILOVER: Phase.EMERGENCY,
    RunKind.FAILBACK: Phase.PRODUCTION,
}
"""The phase after a run of each kind that succeeded. A failover that did leaves the sites with
records of their own, which is an emergency until a failback has brought them together."""


class End(StrEnum):
    """How a run ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    ABANDONED = "Abandoned"


@dataclass(frozen=True)
class RunTrace:
    """What the phase needs to know of a run: whether the step NO_RETURN was begun, and its end."""

    kind: RunKind
    no_return: bool = False
    end: End | None = None


@dataclass(frozen=True)
class Transition:
    """One way from a phase to the next, by a run that begins or by one that ends.

    `said` is what a person reads.
    """

    before: Phase
    after: Phase
    kind: RunKind
    said: str
    begins: bool = False


def may_begin(phase: Phase, kind: RunKind) -> bool:
    """Whether a run of the kind may begin in the phase, no other run being open."""
    return phase in BEGINS_IN[kind]


def why_not(phase: Phase, kind: RunKind) -> str:
    """What to tell somebody who asked for a run that may not begin in the phase."""
    phases = " or ".join(each for each in Phase if each in BEGINS_IN[kind])
    return f"a {kind} begins in phase {phases}, and the plan is in {phase}: {_INSTEAD[phase]}"


_INSTEAD: dict[Phase, str] = {
    Phase.PRODUCTION: "both sites' records are one, so there is nothing to bring together",
    Phase.EMERGENCY: "bring the sites together with a Failback first, or move on with a Failover",
    Phase.SWITCHING: "a Switchover is open; let it end, try its step again, or abandon it",
    Phase.DRILL: "a Drill is open; let it end, or abandon it",
    Phase.FAILBACK: "a Failback is open; let it end, try its step again, or abandon it",
}


def may_abandon(run: RunTrace) -> bool:
    """Whether an open run can still be abandoned."""
    return run.end is None and not run.no_return


def after(phase: Phase, run: RunTrace) -> Phase:
    """The phase with the run, `phase` being the one before it began.

    A run that ended before its step of no return has changed nothing. One that failed after it
    may have moved the right to act without anybody serving: an emergency.
    """
    if run.end is None:
        return WHILE_OPEN[run.kind]
    if run.end is End.SUCCEEDED:
        return WHEN_SUCCEEDED[run.kind]
    return Phase.EMERGENCY if run.no_return else phase


def phase_of(runs: Iterable[RunTrace]) -> Phase:
    """The phase after these runs of a plan, oldest first."""
    phase = Phase.PRODUCTION
    for run in runs:
        phase = after(phase, run)
    return phase


def transitions() -> Iterator[Transition]:
    """Every way from a phase to the next, or back to the same, in the order of the kinds."""
    for kind in RunKind:
        step = NO_RETURN[kind]
        during = WHILE_OPEN[kind]
        for phase in (each for each in Phase if each in BEGINS_IN[kind]):
            # Which phase it came from matters only where it may come from several.
            called = f"{kind} from {phase}" if len(BEGINS_IN[kind]) > 1 else str(kind)
            done = after(phase, RunTrace(kind, end=End.SUCCEEDED))
            undone = after(phase, RunTrace(kind, end=End.ABANDONED))
            yield Transition(phase, during, kind, f"{kind} begins", begins=True)
            if step is None:
                yield Transition(during, undone, kind, f"{kind} ends, in any way")
                continue
            yield Transition(during, done, kind, f"{kind} succeeds")
            yield Transition(during, undone, kind, f"{called} ends before {step}")
            failed = after(phase, RunTrace(kind, no_return=True, end=End.FAILED))
            yield Transition(during, failed, kind, f"{kind} fails after {step} began")
