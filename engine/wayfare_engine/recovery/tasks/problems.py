"""Why a step of a run does not succeed, in words that say what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from wayfare_engine.errors import MISSING, USAGE, SaidToPeople
from wayfare_engine.runs import CheckResult

#: Exit code of a task whose attempt is over: it wrote nothing.
SUPERSEDED = 4


@dataclass(eq=False)
class StepFailed(SaidToPeople):
    """A step that came to its end and did not succeed. `figures`, `checks` and `evidence` go into
    the failure."""

    summary: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    checks: tuple[CheckResult, ...] = ()
    evidence: str | None = None

    def __str__(self) -> str:
        return self.summary


@dataclass(eq=False)
class NoSuchRun(SaidToPeople):
    """The store has no such run."""

    exit_code: ClassVar[int] = USAGE

    plan: str
    number: int
    url: str

    def __str__(self) -> str:
        return (
            f"plan {self.plan} has no run {self.number} in {self.url}; `wayfare recovery list` "
            "shows those that there are"
        )


@dataclass(eq=False)
class RunOver(SaidToPeople):
    """The run has ended: no step of it is taken any more."""

    exit_code: ClassVar[int] = SUPERSEDED

    number: int
    state: str

    def __str__(self) -> str:
        return f"run {self.number} has ended ({self.state}); nothing is done here"


@dataclass(eq=False)
class AttemptFailed(SaidToPeople):
    """This attempt failed before: it takes another one."""

    attempt: int
    summary: str

    def __str__(self) -> str:
        return f"attempt {self.attempt} failed already ({self.summary}); a new attempt is needed"


@dataclass(eq=False)
class StepBefore(SaidToPeople):
    """A step whose result is needed has none."""

    step: str
    needs: str

    def __str__(self) -> str:
        return f"{self.step} goes on from the result of {self.needs}, and there is none"


@dataclass(eq=False)
class OtherSchema(SaidToPeople):
    """The database's schema is not the one that this code is written for."""

    exit_code: ClassVar[int] = MISSING

    found: str
    known: str

    def __str__(self) -> str:
        if self.found > self.known:
            return (
                f"this site's database has schema {self.found}, and this version knows up to "
                f"{self.known}: nothing was done. Bring this site's engine to the version that "
                "made it, then try again"
            )
        return (
            f"this site's database has schema {self.found}, and this version needs {self.known}: "
            "nothing was done. The engine's worker brings it up when it starts (`wayfare migrate` "
            "does it by hand); then try again"
        )


@dataclass(eq=False)
class AwayTooLong(SaidToPeople):
    """The object store or PostgreSQL did not answer for as long as the step waits."""

    exit_code: ClassVar[int] = MISSING

    what: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.what}; it was tried again for {self.seconds:.0f} s"


@dataclass(eq=False)
class Unexpected(SaidToPeople):
    """An error that nobody foresaw; the log has where it came from."""

    kind: str
    where: str

    def __str__(self) -> str:
        return (
            f"an error that this version does not know ({self.kind} at {self.where}): this is a "
            "defect of Wayfare; the task's log has more"
        )
