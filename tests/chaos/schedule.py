"""A schedule of faults, drawn from a seed and from nothing else: the same seed, the same schedule.

A run has a first site that acts, mostly a move to the other, sometimes a third epoch on a new disk;
before and after each move there are faults. Times are seconds from the beginning.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

#: Where a sender, a sealer and a taker can be made to die; each at its first to fourth pass.
CRASHES = {
    "sender": (
        "outbox.dispatch.writing",
        "outbox.dispatch.written",
        "outbox.hand_over.before",
        "outbox.hand_over.after",
        "outbox.outcome.writing",
        "outbox.outcome.written",
        "outbox.in_doubt.asking",
        "outbox.in_doubt.asked",
    ),
    "sealer": (
        "journal.seal.intending",
        "journal.seal.intended",
        "journal.seal.marked",
    ),
    "writer": ("outbox.plan.writing", "outbox.plan.written"),
    "taker": (
        "lease.take.remembered",
        "lease.take.put",
        "lease.take.closed_one",
        "lease.take.raised",
        "lease.take.waiting",
        "lease.take.acting",
        "journal.close.put",
        "journal.catch_up.applied",
        "journal.catch_up.committed",
    ),
}
#: Longer than TTL + H of the harness: who is stopped for so long wakes up without rights.
LONG = 1.3
KINDS = ("Key", "Query", "None")
NAMES = ("writer", "sealer", "sender-1", "sender-2")


@dataclass(frozen=True)
class Step:
    """At `at`, do `do` (a method of `play.Player`) with these arguments."""

    at: float
    do: str
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.at:6.2f} s  {self.do} {' '.join(str(a) for a in self.arguments)}"


def schedule(seed: int) -> list[Step]:
    """The steps, in the order of their times."""
    dice = random.Random(f"wayfare chaos {seed}")
    steps = [Step(0.0, "first", ("east",))]
    end = 0.2
    steps += _faults(dice, "east", end, 1.3, dice.randrange(1, 4))
    end += 1.3
    if dice.random() < 0.85:
        end, moved = _move(dice, end, "east", "west")
        steps += moved
        steps += _faults(dice, "west", end, 1.2, dice.randrange(0, 4))
        end += 1.2
        if dice.random() < 0.25:
            steps.append(Step(end, "lose", ("west",)))
            steps.append(Step(end, "new_disk", ("east",)))
            steps.append(Step(end + 0.1, "take", ("east", None)))
            end += 0.5
    return sorted(steps, key=lambda step: step.at)


def _move(dice: random.Random, at: float, old: str, new: str) -> tuple[float, list[Step]]:
    """The old site is lost in one way or another (or not at all), and the new one takes over."""
    crash = None
    if dice.random() < 0.4:
        crash = f"{dice.choice(CRASHES['taker'])}:{dice.randrange(1, 3)}"
    take = Step(at + 0.05, "take", (new, crash))
    match dice.choice(("lost", "cut", "stopped", "lingers", "postgresql")):
        case "lost":
            return at + 0.3, [Step(at, "lose", (old,)), take]
        case "cut":
            how = dice.choice(("silent", "refused"))
            back = at + dice.choice((0.6, 1.6))
            return at + 0.3, [Step(at, "cut", (old, how)), take, Step(back, "heal", (old,))]
        case "stopped":
            names = dice.sample(NAMES, dice.randrange(1, 5))
            stopped = [Step(at, "suspend", (old, name)) for name in names]
            resumed = [Step(at + LONG + dice.random(), "resume", (old, name)) for name in names]
            return at + 0.3, [*stopped, take, *resumed]
        case "postgresql":
            back = at + dice.choice((0.3, 1.5))
            return at + 0.3, [Step(at, "crash_postgresql", (old, back - at)), take]
        case _:
            return at + 0.3, [take]


def _faults(dice: random.Random, site: str, at: float, span: float, count: int) -> list[Step]:
    steps: list[Step] = []
    for _ in range(count):
        steps += _fault(dice, site, at + dice.random() * span * 0.7)
    return steps


def _fault(dice: random.Random, site: str, at: float) -> list[Step]:
    name = dice.choice(NAMES)
    match dice.choice(
        (
            "kill",
            "suspend",
            "crash",
            "crash",
            "cut",
            "postgresql",
            "store",
            "store",
            "receiver",
            "receiver",
            "host",
        )
    ):
        case "kill":
            return [Step(at, "kill", (site, name, dice.choice((0.05, 0.4))))]
        case "suspend":
            seconds = dice.choice((0.15, 0.5, LONG))
            return [Step(at, "suspend", (site, name)), Step(at + seconds, "resume", (site, name))]
        case "crash":
            role = name.partition("-")[0]
            point = f"{dice.choice(CRASHES[role])}:{dice.randrange(1, 5)}"
            return [Step(at, "crash", (site, name, point))]
        case "cut":
            how = dice.choice(("silent", "refused"))
            seconds = dice.choice((0.2, 0.9))
            return [Step(at, "cut", (site, how)), Step(at + seconds, "heal", (site,))]
        case "postgresql":
            return [Step(at, "crash_postgresql", (site, dice.choice((0.1, 0.5))))]
        case "store":
            kind = dice.choice(("delay", "refuse", "drop", "cut", "hold"))
            where = dice.choice(("/journal/", "/journal/", "/lease/", ""))
            times, seconds = dice.randrange(1, 4), dice.choice((0.1, 0.4, 1.0))
            return [Step(at, "store_fault", (site, kind, where, times, seconds))]
        case "receiver":
            kind = dice.choice(("slow", "lost", "error", "not_accepted", "rejected", "hang"))
            seconds = dice.choice((0.1, 0.25, 0.5))
            return [
                Step(
                    at, "receiver_fault", (dice.choice(KINDS), kind, dice.randrange(1, 6), seconds)
                )
            ]
        case _:
            if dice.random() < 0.5:
                return [Step(at, "restart_host", (dice.choice(KINDS),))]
            kind = dice.choice(KINDS)
            return [
                Step(at, "refuse", (kind,)),
                Step(at + dice.choice((0.1, 0.6)), "listen", (kind,)),
            ]
