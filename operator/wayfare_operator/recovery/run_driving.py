"""One look at a run: read it, decide what comes next, do that, and say how it stands.

Every effect is behind an object that says that it comes, and is safe to do again; so this may end
anywhere, and be gone on with by another operator that knows nothing of this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.resources import Approval, Engine, RecoveryPlan, RecoveryRun
from wayfare_engine.runs import (
    ApprovalRecord,
    By,
    Decision,
    Outcome,
    Procedure,
    Run,
    StepResult,
    put_approval,
    put_end,
    put_result,
)
from wayfare_operator.reconcile.world import World
from wayfare_operator.recovery.run_approvals import judge
from wayfare_operator.recovery.run_ending import end_of, with_evidence
from wayfare_operator.recovery.run_machine import (
    Ended,
    Finish,
    Next,
    Part,
    PassOver,
    Perform,
    Wait,
    next_of,
    table_of,
)
from wayfare_operator.recovery.run_view import RunView, confirm, load
from wayfare_operator.recovery.steps import STEPS, drive_of
from wayfare_operator.recovery.steps.contract import (
    Failed,
    Going,
    StepContext,
    Told,
    result_of,
)
from wayfare_operator.recovery.steps.task import begun, end_jobs
from wayfare_operator.recovery.stores import OpenRun, call

_ALL = Part("", 0, By.OPERATOR, 0.0)
"""For what is done for the run and not for one of its steps."""


@dataclass(frozen=True)
class Driven:
    """How a run stands after a look. `again`: whether there is more to do at once."""

    view: RunView
    following: Next
    again: bool


@dataclass(frozen=True)
class Driver:
    """What one look at a run is given. `owner` owns the Jobs."""

    world: World
    store: ObjectStore
    plan: RecoveryPlan
    engine: Engine
    run: Run
    owner: RecoveryRun | RecoveryPlan

    @property
    def table(self) -> Procedure:
        """The run's procedure."""
        return table_of(self.run.kind)

    async def look(self, approvals: Sequence[Approval] = ()) -> Driven:
        """Raises StoreProblem, RecordDamaged, NewerRecord and what Kubernetes answers."""
        known = self.world.recovery.known.setdefault((self.run.plan, self.run.number), {})
        view = await call(load, self.store, self.run, known)
        if await self._obey(view, approvals):
            view = await call(load, self.store, self.run, known)
        following = next_of(view, self.table, self.world.now())
        if isinstance(following, Perform):
            names = [part.step for part in following.parts]
            view = await call(confirm, self.store, view, names, known)
            following = next_of(view, self.table, self.world.now())
        again = await self._act(view, following)
        if again:
            view = await call(load, self.store, self.run, known)
            following = next_of(view, self.table, self.world.now())
        self._told(view, following)
        return Driven(view, following, again)

    async def _obey(self, view: RunView, approvals: Sequence[Approval]) -> bool:
        """Write down the Approvals that count; whether there was a new one."""
        new = False
        for approval in sorted(approvals, key=lambda each: each.metadata.uid):
            judged = judge(approval, view, self.table)
            self.world.recovery.judged[approval.metadata.uid] = judged
            written = any(each.uid == approval.metadata.uid for each in view.approvals)
            if not judged.counted or written:
                continue
            spec = approval.spec
            record = ApprovalRecord(
                run=self.run.number,
                number=1,
                name=approval.metadata.name,
                uid=approval.metadata.uid,
                step=spec.step,
                attempt=spec.attempt,
                decision=Decision(spec.decision),
                approver=spec.approver,
                reason=spec.reason,
                evidence=spec.evidence,
                at=self.world.now(),
            )
            record = await call(put_approval, self.store, self.run.plan, record)
            view = replace(view, approvals=(*view.approvals, record))
            new = True
        return new

    async def _act(self, view: RunView, following: Next) -> bool:
        """Do what comes next; whether something was written that changes what does."""
        if isinstance(following, Wait | Ended):
            return False
        if isinstance(following, PassOver):
            await self._pass_over(view, following)
            return True
        if isinstance(following, Finish):
            now = self.world.now()
            end = end_of(view, self.table, self.plan, following, now)
            end = await call(with_evidence, self.store, view, end)
            await call(put_end, self.store, self.run.plan, end)
            return True
        if view.given_up and not await end_jobs(self._context(view, _ALL)):
            return False
        written = await asyncio.gather(*(self._make(view, part) for part in following.parts))
        return any(written)

    async def _pass_over(self, view: RunView, over: PassOver) -> None:
        """A person looked at what failed and goes on: the step's result says so."""
        failure = view.step(over.step).failure
        approval = view.decided(over.step, over.attempt, Decision.APPROVE)
        assert failure is not None
        assert approval is not None
        result = StepResult(
            run=failure.run,
            step=failure.step,
            attempt=failure.attempt,
            outcome=Outcome.SUCCEEDED,
            began_at=failure.began_at,
            ended_at=self.world.now(),
            summary=f"approved by {approval.approver} ({approval.reason}): {failure.summary}",
            by=self.world.settings.pod_name,
            figures={**failure.figures, "approvedBy": approval.approver},
            checks=failure.checks,
            evidence=failure.evidence,
        )
        await call(put_result, self.store, self.run.plan, result)

    async def _make(self, view: RunView, part: Part) -> bool:
        """Begin or go on with one attempt; whether its result was written, or seen."""
        longest = self.world.settings.recovery_step_seconds
        if longest is not None:
            part = replace(part, timeout=min(part.timeout, longest))
        step = self._context(view, part)
        attempt = view.step(part.step).attempts.get(part.attempt)
        step = await begun(step) if attempt is None else replace(step, began_at=attempt.at)
        progress = await drive_of(part.step, part.by)(step)
        if isinstance(progress, Going):
            late = (self.world.now() - step.began_at).total_seconds() - part.timeout
            if late < 0 or part.step not in STEPS:
                self.world.recovery.messages[self.run.uid, part.step] = progress.message
                return False
            progress = Failed(f"it did not end within {part.timeout:g} s: {progress.message}")
        self.world.recovery.messages.pop((self.run.uid, part.step), None)
        if not isinstance(progress, Told):
            await call(put_result, self.store, self.run.plan, result_of(step, progress))
        return True

    def _context(self, view: RunView, part: Part) -> StepContext:
        results = {name: step.result for name, step in view.steps.items() if step.result}
        return StepContext(
            world=self.world,
            store=self.store,
            plan=self.plan,
            engine=self.engine,
            run=self.run,
            owner=self.owner,
            step=part.step,
            attempt=part.attempt,
            timeout=part.timeout,
            began_at=self.world.now(),
            results=results,
        )

    def _told(self, view: RunView, following: Next) -> None:
        """Note how the run stands, for who asks without reading the store."""
        recovery, run = self.world.recovery, self.run
        if view.end is not None:
            recovery.saw(run.plan, None)
            recovery.known.pop((run.plan, run.number), None)
            return
        step = None
        if isinstance(following, Perform) and following.parts:
            step = following.parts[0].step
        elif isinstance(following, Wait):
            step = following.steps[0]
        recovery.saw(
            run.plan,
            OpenRun(
                number=run.number,
                name=run.name,
                uid=run.uid,
                kind=run.kind,
                target=run.target,
                step=step,
                waiting=isinstance(following, Wait),
            ),
        )
