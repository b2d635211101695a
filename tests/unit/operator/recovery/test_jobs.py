"""The Job of a data step, as golden YAML, and what is read from a Job and its pods.

After a wanted change: `UPDATE_GOLDEN=1 pytest tests/unit/operator/recovery/test_jobs.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.operator.test_desired import FACTS, SPECS, engine
from wayfare_engine.resources import RecoveryPlan, RecoveryRun, RunKind, parse
from wayfare_engine.runs.procedures import TURN_SECONDS, By, procedure
from wayfare_operator.kube.kinds import Object
from wayfare_operator.recovery.jobs import JobState, Task, seen, task_job

GOLDEN = Path(__file__).parents[1] / "golden" / "recovery-job.yaml"
TASK = Task("take-over", 7, RunKind.FAILOVER, "CatchUpFinal", 2, 1800)


def resource(kind: str, name: str, spec: dict[str, Any]) -> Any:
    """A parsed object in the engine's namespace."""
    metadata = {"name": name, "namespace": "bank", "uid": f"u-{name}"}
    obj = {"apiVersion": "wayfare.dev/v1alpha1", "kind": kind, "metadata": metadata}
    return parse({**obj, "spec": spec})


def plan() -> RecoveryPlan:
    """Of two sites."""
    spec = {
        "engineRef": {"name": "retail"},
        "sites": [{"name": "east"}, {"name": "west"}],
        "objectives": {"rto": "15m", "rpo": "1m"},
        "checks": {"gates": ["ChainUnbroken"]},
    }
    made = resource("RecoveryPlan", "dr", spec)
    assert isinstance(made, RecoveryPlan)
    return made


def run() -> RecoveryRun:
    """A failover."""
    spec = {"planRef": {"name": "dr"}, "kind": "Failover", "reason": "east burns"}
    made = resource("RecoveryRun", "take-over", spec)
    assert isinstance(made, RecoveryRun)
    return made


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def test_the_job_of_a_step_is_as_reviewed() -> None:
    text = yaml.dump(task_job(TASK, plan(), engine(SPECS["external"]), FACTS, run()), Dumper=_Plain)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_at_the_other_site_the_plan_owns_the_job() -> None:
    made = task_job(TASK, plan(), engine(SPECS["external"]), FACTS, plan())
    assert made["metadata"]["ownerReferences"][0]["kind"] == "RecoveryPlan"
    assert made["metadata"]["labels"]["wayfare.dev/recovery-plan"] == "dr"
    assert "wayfare.dev/recovery-run" not in made["metadata"]["labels"]


def test_tasks_run_where_the_engines_workers_may() -> None:
    overlay = {
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "containers": [{"name": "worker", "env": [{"name": "TZ", "value": "UTC"}]}],
    }
    spec = {**SPECS["external"], "worker": {"podOverlay": overlay}}
    pod = task_job(TASK, plan(), engine(spec), FACTS, run())["spec"]["template"]["spec"]
    assert pod["tolerations"] == overlay["tolerations"]
    assert [each["name"] for each in pod["containers"]] == ["task"]


def test_names_fit_whatever_the_step() -> None:
    task = Task("a" * 30, 7, RunKind.SWITCHOVER, "MergeSpooled", 1000, 1)
    assert len(task.name) <= 63
    assert task.name.endswith("-merge-spooled-1000")


@pytest.mark.parametrize("kind", RunKind)
def test_a_pod_goes_on_only_with_a_later_step_of_its_own_site(kind: RunKind) -> None:
    table = procedure(kind)
    names = [step.name for step in table.steps]
    went_on = [step for step in table.steps if step.continues is not None]
    assert bool(went_on) is (kind is not RunKind.DRILL)
    for step in went_on:
        assert step.continues is not None
        before = table.step(step.continues)
        assert before.by is step.by is not By.OPERATOR
        assert names.index(before.name) < names.index(step.name)
        assert step in table.going_on(before.name)
    assert len({step.continues for step in went_on}) == len(went_on), "one pod, one next step"


def test_a_pod_that_goes_on_may_take_as_long_as_all_its_steps_and_their_turns() -> None:
    task = Task("a", 7, RunKind.SWITCHOVER, "Verify", 1, 60, (("CatchUpFinal", 20), ("Other", 3)))
    spec = task_job(task, plan(), engine(SPECS["external"]), FACTS, run())["spec"]
    [container] = spec["template"]["spec"]["containers"]
    assert container["command"][-4:] == ["--then", "CatchUpFinal", "--then", "Other"]
    assert spec["activeDeadlineSeconds"] == 60 + 20 + 3 + 2 * TURN_SECONDS


def job(*conditions: str) -> Object:
    """A Job with these conditions."""
    made = [
        {"type": each, "status": "True", "reason": "BackoffLimitExceeded"} for each in conditions
    ]
    return {"status": {"conditions": made}}


def pod(**status: Any) -> Object:
    """A pod with this status."""
    return {"metadata": {"name": "p-1"}, "status": status}


EVICTED = pod(phase="Failed", reason="Evicted", message="the node was low on memory")
PREEMPTED = pod(
    phase="Running",
    conditions=[{"type": "DisruptionTarget", "status": "True", "message": "preempting"}],
)
ENDED = pod(
    phase="Failed",
    containerStatuses=[
        {"state": {"terminated": {"exitCode": 1, "message": "…\nwayfare: the chain is damaged"}}}
    ],
)
STUCK = pod(
    phase="Pending",
    containerStatuses=[
        {
            "name": "task",
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
        }
    ],
)


@pytest.mark.parametrize(
    ("conditions", "pods", "state", "said"),
    [
        ((), [], JobState.RUNNING, ""),
        (("Complete",), [], JobState.COMPLETE, ""),
        (("Failed",), [], JobState.FAILED, "BackoffLimitExceeded"),
        (("Failed",), [ENDED], JobState.FAILED, "the chain is damaged"),
        (("Failed",), [EVICTED], JobState.FAILED, "evicted: the node was low on memory"),
        ((), [EVICTED], JobState.FAILED, "evicted"),
        ((), [PREEMPTED], JobState.FAILED, "taken away: preempting"),
        ((), [STUCK], JobState.RUNNING, "ImagePullBackOff"),
    ],
)
def test_what_a_job_and_its_pods_say(
    conditions: tuple[str, ...], pods: list[Object], state: JobState, said: str
) -> None:
    found = seen(job(*conditions), pods)
    assert found.state is state
    assert said in found.message
