"""Everything that the store holds of one run, read into one frozen picture.

What is read is written once and never changed, so an object that was read is not read again. A
listing finds what is new; what a decision rests on is read by itself too, for a listing may lag.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.resources import Verdict
from wayfare_engine.runs import lock, steps
from wayfare_engine.runs.procedures import Undo
from wayfare_engine.runs.records import (
    ApprovalRecord,
    Attempt,
    CheckResult,
    Decision,
    Run,
    RunEnd,
    StepResult,
)


@dataclass(frozen=True)
class StepView:
    """One step: its attempts by number, what became of those that failed, and its result."""

    name: str
    attempts: Mapping[int, Attempt] = field(default_factory=dict)
    failures: Mapping[int, StepResult] = field(default_factory=dict)
    result: StepResult | None = None

    @property
    def attempt(self) -> int:
        """The newest attempt; 0 before the first."""
        return max(self.attempts, default=0)

    @property
    def failure(self) -> StepResult | None:
        """What became of the newest attempt, when it failed and nothing else succeeded."""
        return None if self.result is not None else self.failures.get(self.attempt)

    @property
    def told(self) -> StepResult | None:
        """The result, or the newest attempt's failure."""
        return self.result or self.failure


@dataclass(frozen=True)
class RunView:
    """A run as the store has it."""

    run: Run
    steps: Mapping[str, StepView] = field(default_factory=dict)
    approvals: tuple[ApprovalRecord, ...] = ()
    end: RunEnd | None = None

    def step(self, name: str) -> StepView:
        """A step, perhaps one of which nothing happened yet."""
        return self.steps.get(name) or StepView(name)

    @property
    def begun(self) -> frozenset[str]:
        """Steps of which an attempt began."""
        return frozenset(name for name, step in self.steps.items() if step.attempts)

    @property
    def abandoned(self) -> ApprovalRecord | None:
        """The decision to abandon the run."""
        return next((each for each in self.approvals if each.decision is Decision.ABANDON), None)

    @property
    def taken_back(self) -> bool:
        """Whether the old site of a planned move took its epoch back: the target was gone."""
        return self.step(Undo.TAKE_BACK).result is not None

    @property
    def given_up(self) -> bool:
        """Whether the run does nothing more but take back what it did."""
        return self.abandoned is not None or self.taken_back

    def decided(self, step: str, attempt: int, decision: Decision) -> ApprovalRecord | None:
        """A decision of that kind about that attempt."""
        for each in self.approvals:
            if (each.step, each.attempt, each.decision) == (step, attempt, decision):
                return each
        return None


def barred(told: StepResult) -> tuple[CheckResult, ...]:
    """Gates that did not pass. What is not known has not."""
    return tuple(each for each in told.checks if each.gate and each.verdict is not Verdict.PASSED)


Known = MutableMapping[str, Any]
"""Records that were read, by path."""


def load(store: ObjectStore, run: Run, known: Known) -> RunView:
    """Read what is new of a run. Blocks; raises StoreProblem, RecordDamaged, NewerRecord."""
    prefix = paths.run(run.plan, run.number)
    names = [each.path.removeprefix(prefix) for each in store.list(prefix)]
    view = RunView(run)
    found: dict[str, StepView] = {}
    for name in names:
        parts = name.split("/")
        if len(parts) == 4 and parts[1] == "attempts" and parts[3] in ("begun", "failure"):
            step = found.setdefault(parts[0], StepView(parts[0]))
            found[parts[0]] = _with_attempt(store, run, step, int(parts[2]), parts[3], known)
        elif len(parts) == 2 and parts[1] == "result":
            step = found.setdefault(parts[0], StepView(parts[0]))
            found[parts[0]] = replace(step, result=_result(store, run, parts[0], known))
    approvals: tuple[ApprovalRecord, ...] = ()
    if any(name.startswith("approvals/") for name in names):
        approvals = steps.approvals(store, run.plan, run.number)
    end = lock.read_end(store, run.plan, run.number)
    return replace(view, steps=found, approvals=approvals, end=end)


def confirm(store: ObjectStore, view: RunView, names: Iterable[str], known: Known) -> RunView:
    """The same with what these steps have become by now, each read by itself."""
    found = dict(view.steps)
    for name in names:
        step = view.step(name)
        if step.result is None:
            step = replace(step, result=_result(store, view.run, name, known))
        attempt = step.attempt
        if step.result is None and attempt and attempt not in step.failures:
            step = _with_attempt(store, view.run, step, attempt, "failure", known)
        found[name] = step
    return replace(view, steps=found)


def _result(store: ObjectStore, run: Run, step: str, known: Known) -> StepResult | None:
    path = paths.step_result(run.plan, run.number, step)
    if path not in known:
        result = steps.read_result(store, run.plan, run.number, step)
        if result is None:
            return None
        known[path] = result
    found: StepResult = known[path]
    return found


def _with_attempt(
    store: ObjectStore, run: Run, step: StepView, attempt: int, what: str, known: Known
) -> StepView:
    if what == "failure":
        path = paths.step_failure(run.plan, run.number, step.name, attempt)
        if path not in known:
            failed = steps.read_failure(store, run.plan, run.number, step.name, attempt)
            if failed is None:
                return step
            known[path] = failed
        return replace(step, failures={**step.failures, attempt: known[path]})
    path = paths.step_attempt(run.plan, run.number, step.name, attempt)
    if path not in known:
        for each in steps.attempts(store, run.plan, run.number, step.name):
            known[paths.step_attempt(run.plan, run.number, step.name, each.attempt)] = each
    if path not in known:
        return step
    return replace(step, attempts={**step.attempts, attempt: known[path]})
