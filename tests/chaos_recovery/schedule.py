"""A schedule of recovery runs and of what goes wrong in them, drawn from a seed and nothing else.

A fault waits for a step of its run to begin, and then for some seconds more: so it comes at the
same place on a slow machine and on a fast one.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, Literal

from wayfare_engine.resources import RunKind
from wayfare_engine.runs import By, procedure

Loss = Literal["", "lost", "cut"]

#: What is asked of a plan whose first acting site is east: (kind, target).
STORIES: tuple[tuple[tuple[str, str], ...], ...] = (
    (("Switchover", "west"),),
    (("Switchover", "west"), ("Switchover", "east")),
    (("Failover", "west"), ("Failback", "east")),
    (("Failover", "west"), ("Failback", "east")),
    (("Drill", "west"),),
    (("Drill", "west"), ("Switchover", "west")),
)
#: Where an operator that drives a run dies, whatever the kind of run.
ANY_RUN = (
    "runs.take.before_put",
    "runs.take.put",
    "runs.attempt.before_put",
    "runs.attempt.put",
    "runs.result.before_put",
    "runs.result.put",
    "operator.job.before_create",
    "operator.job.created",
    "runs.evidence.before_put",
    "runs.evidence.put",
    "runs.end.before_put",
    "runs.end.put",
)
DRILLING = (
    "operator.drill.before_make",
    "operator.drill.made",
    "operator.drill.before_delete",
    "operator.drill.deleted",
)
ASKING = ("runs.request.before_put", "runs.request.put")
#: Where the operator that is asked dies.
ANSWERING = ("runs.answer.before_put", "runs.answer.put")
#: Points that a run passes several times for certain: an operator dies at the first to third.
OFTEN = ("runs.attempt.", "runs.result.", "operator.job.", "runs.request.", "runs.answer.")
#: Where the process of a Job dies.
IN_JOB = (
    "recovery.task.looked",
    "recovery.task.begun",
    "recovery.task.claimed",
    "recovery.task.worked",
    "recovery.task.told",
)
#: The Job by which the other site does a step, where that is not called as the step.
JOB_OF = {"StandDown": "RecoverSpooled"}
#: The processes that a site runs while it acts.
PODS = ("writer", "sealer", "sender-1")


@dataclass(frozen=True)
class Fault:
    """`delay` seconds after `step` of the run began, do `do` (a method of `play.Player`). Without
    a step it is made ready before the run: what comes first in a run can be met as well."""

    step: str
    delay: float
    do: str
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        said = " ".join(str(each) for each in (self.do, *self.arguments))
        return f"{self.step} +{self.delay:.1f} s: {said}" if self.step else said


@dataclass(frozen=True)
class Act:
    """One run. `loss`: how the acting site goes before it; `abandon`: the step in which it is given
    up first, to be made again."""

    kind: RunKind
    target: str
    loss: Loss = ""
    abandon: str = ""
    faults: tuple[Fault, ...] = ()

    @property
    def other(self) -> str:
        """The site that is not the target."""
        return "east" if self.target == "west" else "west"

    @property
    def asks(self) -> bool:
        """Whether the other site has a part in it."""
        return any(step.by is By.OTHER_SITE for step in procedure(self.kind).steps)

    def __str__(self) -> str:
        told = [f"{self.kind} to {self.target}"]
        told += [f"{self.other} is {self.loss}"] if self.loss else []
        told += [f"given up in {self.abandon} first"] if self.abandon else []
        return "\n    ".join([", ".join(told), *map(str, self.faults)])


def schedule(seed: int) -> tuple[Act, ...]:
    """What happens under a seed."""
    dice = random.Random(f"wayfare recovery {seed}")
    return tuple(_act(dice, RunKind(kind), target) for kind, target in dice.choice(STORIES))


def _act(dice: random.Random, kind: RunKind, target: str) -> Act:
    loss: Loss = ""
    if kind is RunKind.FAILOVER:
        loss = dice.choice(("lost", "lost", "cut"))
    abandon = ""
    if dice.random() < 0.15:
        steps = procedure(kind).steps
        abandon = dice.choice([s.name.value for s in steps if s.by is By.JOB and not s.no_return])
    made = Act(kind, target, loss, abandon)
    count = dice.choice((0, 1, 1, 2, 2, 3))
    return replace(made, faults=tuple(_fault(dice, made) for _ in range(count)))


def _fault(dice: random.Random, act: Act) -> Fault:
    steps = procedure(act.kind).steps
    step, delay = dice.choice(steps).name.value, dice.choice((0.0, 0.3, 1.0))
    jobs = [s.name.value for s in steps if s.by is not By.OPERATOR or s.name == "Fork"]
    # Nothing more happens to a site that is gone.
    site = act.target if act.loss else dice.choice((act.target, act.other))
    match dice.choice(
        ("crash", "crash", "crash", "operator", "job", "job", "hang", "store", "postgresql", "pod")
    ):
        case "crash":
            return _crash(dice, act)
        case "operator":
            return Fault(step, delay, "kill_operator", (site, dice.choice((0.0, 1.0, 4.0))))
        case "job":
            return Fault("", 0.0, "crash_job", (dice.choice(jobs), dice.choice(IN_JOB)))
        case "hang":
            return Fault("", 0.0, "hang_job", (dice.choice(jobs),))
        case "store":
            where = site if act.loss or dice.random() < 0.6 else "*"
            how = dice.choice(("silent", "refused"))
            return Fault(step, delay, "cut", (where, how, dice.choice((0.5, 2.0, 5.0))))
        case "postgresql":
            return Fault(step, delay, "crash_postgresql", (site, dice.choice((0.2, 2.0))))
        case _:
            acts = act.target if act.loss else act.other
            return Fault(step, delay, "kill_pod", (acts, dice.choice(PODS)))


def _crash(dice: random.Random, act: Act) -> Fault:
    points = list(ANY_RUN)
    points += DRILLING * 3 if act.kind is RunKind.DRILL else ()
    points += ASKING * 3 if act.asks else ()
    site, point = act.target, dice.choice(points)
    if act.asks and dice.random() < 0.3:
        site, point = act.other, dice.choice(ANSWERING)
    times = dice.randrange(1, 4) if point.startswith(OFTEN) else 1
    return Fault("", 0.0, "crash_operator", (site, f"{point}:{times}"))
