"""What a step that the operator makes is given, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.resources import Engine, RecoveryPlan, RecoveryRun, RunKind
from wayfare_engine.runs.records import CheckResult, Outcome, Run, StepResult
from wayfare_operator.recovery.run_view import barred

if TYPE_CHECKING:
    from wayfare_operator.reconcile.world import World


@dataclass(frozen=True)
class StepContext:
    """One attempt of one step. `owner` owns what is made for it: the RecoveryRun at the site that
    drives the run, the RecoveryPlan at the other. `results`: what became of the steps before."""

    world: World
    store: ObjectStore
    plan: RecoveryPlan
    engine: Engine
    run: Run
    owner: RecoveryRun | RecoveryPlan
    step: str
    attempt: int
    timeout: float
    began_at: datetime
    results: Mapping[str, StepResult] = field(default_factory=dict)

    @property
    def kind(self) -> RunKind:
        """The run's kind."""
        return self.run.kind

    @property
    def site(self) -> str:
        """This site."""
        return self.world.settings.site

    @property
    def other(self) -> str:
        """The other site."""
        return self.plan.spec.other(self.site).name

    def gates(self, name: str, *, default: bool = True) -> bool:
        """Whether a check of this name bars the way."""
        declared = self.plan.spec.checks.gates
        return default if declared is None else name in declared


@dataclass(frozen=True)
class Going:
    """Not there yet: ask again."""

    message: str


@dataclass(frozen=True)
class Done:
    """It has succeeded, unless one of `checks` is a gate that did not pass."""

    summary: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    checks: tuple[CheckResult, ...] = ()
    evidence: str | None = None


@dataclass(frozen=True)
class Failed:
    """It has failed. `written`: the failure is in the store already."""

    summary: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    checks: tuple[CheckResult, ...] = ()
    evidence: str | None = None


@dataclass(frozen=True)
class Told:
    """The result, or the failure, is in the store: somebody else wrote it."""

    result: StepResult


Progress = Going | Done | Failed | Told


def result_of(step: StepContext, progress: Done | Failed) -> StepResult:
    """What the operator itself says of an attempt. A gate that does not pass is a failure of the
    attempt: a step has one result for ever, and a Retry has to be able to look again."""
    result = StepResult(
        run=step.run.number,
        step=step.step,
        attempt=step.attempt,
        outcome=Outcome.SUCCEEDED,
        began_at=step.began_at,
        ended_at=step.world.now(),
        summary=progress.summary,
        by=step.world.settings.pod_name,
        figures=dict(progress.figures),
        checks=progress.checks,
        evidence=progress.evidence,
    )
    if isinstance(progress, Failed) or barred(result):
        return msgspec.structs.replace(result, outcome=Outcome.FAILED)
    return result


def skip(why: str) -> Done:
    """There was nothing to do."""
    return Done(why, figures={"skipped": True})
