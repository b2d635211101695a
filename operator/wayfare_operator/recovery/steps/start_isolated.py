"""StartIsolated: an engine on the copy that reaches nobody, proved by a canary in its own pod.

A canary that gets out fails the step, whatever the plan's gates are: nothing of the engine has
started then, and nothing of it will.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wayfare_engine.resources import CheckLevel, Verdict
from wayfare_engine.runs import CheckResult
from wayfare_operator.desired.drill_engine import isolated_engine, plan_id
from wayfare_operator.desired.drill_parts import anchor_name, engine_name, stores_name
from wayfare_operator.desired.metadata import DRILL_ENGINE
from wayfare_operator.reconcile.engine import facts_of
from wayfare_operator.recovery import canary, drill
from wayfare_operator.recovery.steps.contract import Done, Failed, Going, Progress, StepContext

CHECK = "Isolation"
OPEN = (
    "the drill is not isolated, and its engine was not started: {} could be reached from its pod. "
    "Does the cluster enforce network policies, and does another policy let these pods out?"
)
DEAF = (
    "the canary did not reach {} either, so that it did not get out proves nothing: do the "
    "cluster's names and policies work between the drill's own pods?"
)


async def drive(step: StepContext) -> Progress:
    """Make the pod, hear the canary, wait for the engine."""
    forked = step.results["Fork"].figures if "Fork" in step.results else {}
    told: Mapping[str, Any] = forked.get("canary") or {}
    if not told:
        return Failed("step Fork did not say what the canary is to try")
    run = drill.run_of(step)
    name, namespace = run.metadata.name, run.metadata.namespace
    wanted = isolated_engine(
        run,
        step.engine,
        await facts_of(step.world),
        number=step.run.number,
        attempt=step.attempt,
        canary=canary.task_of(told, name, namespace),
    )
    refused = await drill.make(step, wanted)
    if refused is not None:
        return Failed(f"a part of the drill was refused: {refused.message}")
    ended = canary.ended(drill.pods(step, DRILL_ENGINE, attempt=step.attempt))
    if ended is None:
        waits = drill.waits_for(step, engine_name(name), DRILL_ENGINE)
        return Going(f"the canary has not ended: {waits or 'its pod is not seen yet'}")
    bad = _why_not(ended)
    if bad is not None:
        # Its container would be started again and again, for nobody.
        await drill.take_down(step, engine_name(name))
        return Failed(bad, figures={"canary": ended.text}, checks=(_check(step, bad, False),))
    waits = drill.waits_for(step, engine_name(name), DRILL_ENGINE)
    if waits is not None:
        return Going(f"the canary did not get out; {waits}")
    assert ended.word is not None
    said = f"an engine serves from the copy; {ended.word.tried} ways out were tried, all were shut"
    return Done(
        said,
        figures={
            "isolated": [*_parts(step, forked), *canary.isolated(ended.word, told)],
            "seconds": round((step.world.now() - step.began_at).total_seconds(), 1),
        },
        checks=(_check(step, said, True),),
    )


def _why_not(ended: canary.Ended) -> str | None:
    word = ended.word
    if word is None:
        return f"the canary did not say what it found: {ended.text[:200] or 'nothing'}"
    if word.open:
        return OPEN.format(", ".join(each.what for each in word.open))
    if word.deaf:
        return DEAF.format(", ".join(each.what for each in word.deaf))
    return None if word.shut else "the canary had nothing to try"


def _check(step: StepContext, message: str, passed: bool) -> CheckResult:
    """No gate when it failed: nobody approves that away."""
    return CheckResult(
        name=CHECK,
        level=CheckLevel.SYSTEM,
        verdict=Verdict.PASSED if passed else Verdict.FAILED,
        gate=passed,
        message=message,
        as_of=step.world.now(),
    )


def _parts(step: StepContext, forked: Mapping[str, Any]) -> list[dict[str, str]]:
    """What the drill has of its own, in words for who reads the report."""
    run = step.run.name
    channels: Mapping[str, str] = forked.get("channels") or {}
    sunk = sum(each == "sink" for each in channels.values())
    inside = len(channels) - sunk
    where = f"{forked.get('chain')} position {forked.get('position')}"
    waits = f"; {inside} wait inside, where nobody can fetch" if inside else ""
    return [
        {"what": "database", "how": f"a copy of {where}, in the instance {stores_name(run)}"},
        {"what": "Valkey", "how": f"its own, in {stores_name(run)}"},
        {
            "what": "object store",
            "how": f"a folder of its own pod, under plan {plan_id(step.engine, step.run.number)}; "
            "no credential of production's is in the pod",
        },
        {"what": "channels", "how": f"{sunk} of {len(channels)} lead into a sink{waits}"},
        {
            "what": "network",
            "how": f"NetworkPolicy {anchor_name(run)}: out go names and the drill's own pods alone",
        },
    ]
