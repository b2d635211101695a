"""The four procedures as tables: their steps in order, and what the driver of a run knows of each.

A step is performed by the operator of the run's target, by a Job there, or by the other site, which
is asked by a signed request and answers when its own part (a Job of its own, mostly) is done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from wayfare_engine.resources import RunKind
from wayfare_engine.resources.phases import NO_RETURN


class StepName(StrEnum):
    """Every step that a procedure can have."""

    PRECHECK = "Precheck"
    WAKE = "Wake"
    CATCH_UP = "CatchUp"
    FORK = "Fork"
    START_ISOLATED = "StartIsolated"
    REPLAY_DECISIONS = "ReplayDecisions"
    VERIFY = "Verify"
    MEASURE = "Measure"
    CLEANUP = "Cleanup"
    SLEEP = "Sleep"
    QUIESCE = "Quiesce"
    SEAL = "Seal"
    CATCH_UP_FINAL = "CatchUpFinal"
    TRANSFER_EPOCH = "TransferEpoch"
    TAKE_EPOCH = "TakeEpoch"
    FENCE_WAIT = "FenceWait"
    ACTIVATE = "Activate"
    VERIFY_SERVING = "VerifyServing"
    ROUTE = "Route"
    STAND_DOWN = "StandDown"
    RECOVER_STRANDED = "RecoverStranded"
    RECONCILE = "Reconcile"


class By(StrEnum):
    """Who performs a step."""

    OPERATOR = "Operator"
    JOB = "Job"
    OTHER_SITE = "OtherSite"


class Skip(StrEnum):
    """Why a step has nothing to do."""

    AWAKE = "the site is awake already"
    STAYS_AWAKE = "the site stays awake: its standby is Warm, a window is open, or it acts"
    NO_TRAFFIC = "the plan moves no traffic (traffic.type is None)"


class Undo(StrEnum):
    """What takes the effect of a step back when the run is abandoned before its point of no
    return. TakeBack is not asked for: the old site makes it when the target is gone."""

    SLEEP = "Sleep"
    RESUME = "Resume"
    CLEANUP = "Cleanup"
    TAKE_BACK = "TakeBack"


@dataclass(frozen=True)
class Step:
    """One step of a procedure.

    `timeout`: seconds that an attempt may take. `gates`: whether checks of it can bar the way, and
    an Approval can go past them. `no_return`: the run cannot be abandoned any more once an attempt
    of it began. `beside`: the step with which it runs at the same time; both have to succeed
    before the next begins. `rto`: the clock of the recovery time stops at its end. `continues`: the
    Job of that step, if it still waits at the site, goes on with this one: no pod has to start.
    """

    name: StepName
    by: By
    timeout: float
    gates: bool = False
    no_return: bool = False
    beside: StepName | None = None
    skip: Skip | None = None
    undo: Undo | None = None
    rto: bool = False
    continues: StepName | None = None


@dataclass(frozen=True)
class Procedure:
    """The steps of one kind of run."""

    kind: RunKind
    steps: tuple[Step, ...]

    def step(self, name: str) -> Step:
        """The step of this name. Raises KeyError."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)

    @property
    def point_of_no_return(self) -> StepName | None:
        """The first step that cannot be taken back once an attempt of it began; None: there is
        none, the run can be abandoned at any time."""
        return next((step.name for step in self.steps if step.no_return), None)

    def may_abandon(self, begun: Collection[str]) -> bool:
        """Whether a run of which attempts of these steps began can still be abandoned."""
        return not any(step.no_return and step.name in begun for step in self.steps)

    def before(self, name: str) -> StepName | None:
        """The step whose Job may go on with this one."""
        return next((step.continues for step in self.steps if step.name == name), None)

    def going_on(self, name: str) -> tuple[Step, ...]:
        """The steps that a step's Job may go on with, in order."""
        found: list[Step] = []
        while following := next((s for s in self.steps if s.continues == name), None):
            found.append(following)
            name = following.name
        return tuple(found)

    def to_undo(self, begun: Collection[str]) -> tuple[Undo, ...]:
        """What an abandoned run has to take back, the last effect first; each once."""
        found = [s.undo for s in self.steps if s.undo is not None and s.name in begun]
        return tuple(dict.fromkeys(reversed(found)))

    def ready(self, done: Collection[str], skipped: Collection[str] = ()) -> tuple[Step, ...]:
        """The steps that can be worked on now: the first that is neither done nor skipped, and
        those that run beside it. Empty when all are."""
        over = {*done, *skipped}
        left = [step for step in self.steps if step.name not in over]
        return tuple(step for step in left if step is left[0] or step.beside == left[0].name)


MINUTE = 60.0
HOUR = 60 * MINUTE
TURN_SECONDS = 3 * MINUTE
"""How long a pod waits for the turn of the step that it goes on with. Longer than Quiesce and Seal
of the other site should take; after that the step gets a Job of its own."""


def _precheck() -> Step:
    return Step(StepName.PRECHECK, By.OPERATOR, 2 * MINUTE, gates=True)


def _wake() -> Step:
    return Step(StepName.WAKE, By.OPERATOR, 15 * MINUTE, skip=Skip.AWAKE, undo=Undo.SLEEP)


def _catch_up() -> Step:
    return Step(StepName.CATCH_UP, By.JOB, 4 * HOUR)


def _verify() -> Step:
    return Step(StepName.VERIFY, By.JOB, HOUR, gates=True, continues=StepName.CATCH_UP)


def _serving() -> tuple[Step, ...]:
    return (
        Step(StepName.ACTIVATE, By.OPERATOR, 10 * MINUTE),
        Step(StepName.VERIFY_SERVING, By.OPERATOR, 5 * MINUTE, gates=True, rto=True),
        Step(StepName.ROUTE, By.OPERATOR, 10 * MINUTE, skip=Skip.NO_TRAFFIC),
    )


def _handing_over() -> tuple[Step, ...]:
    """From Quiesce on: of a Switchover and of a Failback."""
    return (
        Step(StepName.QUIESCE, By.OTHER_SITE, MINUTE, undo=Undo.RESUME),
        Step(
            StepName.SEAL,
            By.OTHER_SITE,
            2 * MINUTE,
            undo=Undo.RESUME,
            continues=StepName.QUIESCE,
        ),
        Step(
            StepName.CATCH_UP_FINAL,
            By.JOB,
            10 * MINUTE,
            gates=True,
            continues=StepName.VERIFY,
        ),
        Step(
            StepName.TRANSFER_EPOCH,
            By.JOB,
            2 * MINUTE,
            continues=StepName.CATCH_UP_FINAL,
        ),
        *_serving(),
        Step(StepName.STAND_DOWN, By.OTHER_SITE, 15 * MINUTE),
    )


_DRILL = (
    _precheck(),
    _wake(),
    _catch_up(),
    Step(StepName.FORK, By.JOB, HOUR, undo=Undo.CLEANUP),
    Step(StepName.START_ISOLATED, By.OPERATOR, 15 * MINUTE, undo=Undo.CLEANUP, rto=True),
    Step(StepName.REPLAY_DECISIONS, By.JOB, HOUR, gates=True),
    Step(StepName.VERIFY, By.JOB, HOUR, gates=True),
    Step(StepName.MEASURE, By.JOB, 15 * MINUTE, gates=True),
    Step(StepName.CLEANUP, By.OPERATOR, 15 * MINUTE),
    Step(StepName.SLEEP, By.OPERATOR, 10 * MINUTE, skip=Skip.STAYS_AWAKE),
)

_SWITCHOVER = (_precheck(), _wake(), _catch_up(), _verify(), *_handing_over())

_FAILOVER = (
    _precheck(),
    _wake(),
    _catch_up(),
    _verify(),
    Step(StepName.TAKE_EPOCH, By.JOB, 5 * MINUTE, continues=StepName.VERIFY),
    Step(StepName.FENCE_WAIT, By.JOB, 10 * MINUTE),
    Step(
        StepName.CATCH_UP_FINAL,
        By.JOB,
        30 * MINUTE,
        gates=True,
        beside=StepName.FENCE_WAIT,
        continues=StepName.TAKE_EPOCH,
    ),
    *_serving(),
)

_FAILBACK = (
    _precheck(),
    _wake(),
    Step(StepName.RECOVER_STRANDED, By.JOB, 4 * HOUR),
    Step(StepName.RECONCILE, By.OTHER_SITE, 4 * HOUR, gates=True),
    _catch_up(),
    _verify(),
    *_handing_over(),
)


def _procedure(kind: RunKind, steps: tuple[Step, ...]) -> Procedure:
    """With every step from the point of no return on marked."""
    names: list[str] = [step.name for step in steps]
    point = NO_RETURN[kind]
    first = len(steps) if point is None else names.index(point)
    marked = tuple(replace(step, no_return=at >= first) for at, step in enumerate(steps))
    return Procedure(kind, marked)


PROCEDURES: Mapping[RunKind, Procedure] = {
    kind: _procedure(kind, steps)
    for kind, steps in (
        (RunKind.DRILL, _DRILL),
        (RunKind.SWITCHOVER, _SWITCHOVER),
        (RunKind.FAILOVER, _FAILOVER),
        (RunKind.FAILBACK, _FAILBACK),
    )
}
"""Each kind of run and its procedure."""


def procedure(kind: RunKind | str) -> Procedure:
    """The procedure of a kind. Raises ValueError for an unknown one."""
    return PROCEDURES[RunKind(kind)]
