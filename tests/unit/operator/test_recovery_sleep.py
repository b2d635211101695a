"""When a site is awake and why, what of it sleeps, and what that counts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.unit.operator.recovery_objects import channel_of, engine_of, plan_of
from wayfare_engine.resources import RunKind
from wayfare_operator.recovery.desire import Situation, desire
from wayfare_operator.recovery.site_facts import capacity, needs
from wayfare_operator.recovery.workloads import (
    AWAKE_REPLICAS,
    State,
    Tier,
    Workload,
    all_asleep,
    all_ready,
    state_of,
    to_sleep,
    to_wake,
    workloads_of,
)


def situation(**more: Any) -> Situation:
    """West stands by, cold, and east acts."""
    fields: dict[str, Any] = {
        "site": "west",
        "primary": "east",
        "mode": "Cold",
        "known": True,
        "holder": "east",
        "emergency": False,
        "window": False,
    }
    return Situation(**{**fields, **more})


@pytest.mark.parametrize(
    ("more", "awake", "cause"),
    [
        ({}, False, None),
        ({"window": True}, True, "window"),
        ({"mode": "Warm"}, True, None),
        ({"holder": "west"}, True, None),
        ({"holder": "west", "emergency": True}, True, "emergency"),
        ({"holder": None}, False, None),
        ({"holder": None, "site": "east"}, True, None),
        # Unknown is never a reason to wake, and never one to sleep.
        ({"known": False, "holder": None}, None, None),
        ({"known": False, "holder": None, "window": True}, None, None),
        ({"known": False, "holder": None, "mode": "Warm"}, None, None),
        # Nothing falls asleep under a run, wherever it is.
        ({"run": RunKind.DRILL, "run_here": True, "run_step": None}, None, "drill"),
        ({"run": RunKind.DRILL, "run_here": True, "run_step": "Precheck"}, None, "drill"),
        ({"run": RunKind.DRILL, "run_here": True, "run_step": "Fork"}, True, "drill"),
        ({"run": RunKind.DRILL, "run_here": True, "run_step": "Sleep"}, None, "drill"),
        ({"run": RunKind.FAILOVER, "run_here": True, "run_step": "TakeEpoch"}, True, "emergency"),
        ({"run": RunKind.FAILBACK, "run_here": False, "run_step": "Seal"}, None, "emergency"),
        ({"run": RunKind.DRILL, "run_here": False}, False, None),
    ],
)
def test_a_site_is_awake_for_a_reason(
    more: dict[str, Any], awake: bool | None, cause: str | None
) -> None:
    wanted = desire(situation(**more))
    assert (wanted.awake, wanted.cause) == (awake, cause)
    assert wanted.why


def test_a_window_that_does_not_get_on_says_why() -> None:
    told = "CatchUp, attempt 3 after: the object store is away"
    assert told in desire(situation(window=True, window_at=told)).why


def workload(name: str, tier: Tier = Tier.ENGINE) -> Workload:
    """A Deployment, or a StatefulSet that holds data."""
    kind = "StatefulSet" if tier is Tier.STORE else "Deployment"
    return Workload(tier, kind, "bank", name)


def state(name: str, tier: Tier = Tier.ENGINE, **more: Any) -> State:
    """One that is up and ready."""
    fields: dict[str, Any] = {"present": True, "wanted": 2, "ready": True, "up": 2, "always": 2}
    return State(workload(name, tier), **{**fields, **more})


def test_stores_wake_first_and_sleep_last() -> None:
    down: dict[str, Any] = {"wanted": 0, "ready": False, "up": 0, "remembered": 3}
    both = [state("db", Tier.STORE, **down), state("serve", **down)]
    assert [(str(c.state.workload), c.replicas) for c in to_wake(both)] == [("StatefulSet db", 3)]
    both = [state("db", Tier.STORE), state("serve", **down)]
    assert [str(c.state.workload) for c in to_wake(both)] == ["Deployment serve"]
    assert not all_ready(both)
    assert to_wake(both, only_stores=True) == ()
    up = [state("db", Tier.STORE), state("serve")]
    assert [str(c.state.workload) for c in to_sleep(up)] == ["Deployment serve"]
    leaving = [state("db", Tier.STORE), state("serve", wanted=0, up=1, ready=False)]
    assert to_sleep(leaving) == ()
    gone = [state("db", Tier.STORE), state("serve", wanted=0, up=0, ready=False)]
    assert [str(c.state.workload) for c in to_sleep(gone)] == ["StatefulSet db"]
    assert not all_asleep(gone)


def test_pods_are_counted_from_the_order_to_be_until_they_are_gone() -> None:
    deployment: dict[str, Any] = {
        "metadata": {
            "uid": "u",
            "generation": 3,
            "annotations": {AWAKE_REPLICAS: "4"},
        },
        "spec": {"replicas": 0},
        "status": {"replicas": 2, "readyReplicas": 2, "observedGeneration": 3},
    }
    found = state_of(workload("serve"), deployment)
    assert (found.awake, found.up, found.remembered, found.always) == (False, 2, 4, 4)
    deployment["spec"]["replicas"] = 5
    found = state_of(workload("serve"), deployment)
    assert (found.up, found.ready) == (5, False)
    deployment["status"].update(readyReplicas=5, observedGeneration=2)
    assert not state_of(workload("serve"), deployment).ready
    assert not state_of(workload("serve"), None).present


def test_everything_that_sleeps_is_named_with_its_tier() -> None:
    plan, engine, channel = (
        plan_of(standby={"workloads": [{"kind": "Cluster", "name": "pg"}]}),
        engine_of(),
        channel_of("http"),
    )
    found = [(each.tier.name, str(each)) for each in workloads_of(plan, engine, [channel])]
    assert found == [
        ("STORE", "Cluster pg"),
        ("STORE", "StatefulSet bank-postgresql"),
        ("STORE", "StatefulSet bank-valkey"),
        ("ENGINE", "Deployment bank-serve"),
        ("ENGINE", "Deployment bank-worker"),
        ("ENGINE", "Deployment sms-channel"),
    ]


def test_capacity_is_what_ready_nodes_have_within_the_quota() -> None:
    def node(cpu: str, ready: str = "True", **spec: Any) -> dict[str, Any]:
        allocatable = {"cpu": cpu, "memory": "8Gi", "pods": "110"}
        conditions_ = [{"type": "Ready", "status": ready}]
        return {"spec": spec, "status": {"allocatable": allocatable, "conditions": conditions_}}

    nodes = [node("3500m"), node("4"), node("16", "False"), node("16", unschedulable=True)]
    found = capacity(nodes, [])
    assert (found.cpu, found.memory, found.pods) == ("7500m", "16384Mi", 220)
    quota = {"spec": {"hard": {"requests.cpu": "6", "pods": "50"}}}
    found = capacity(nodes, [quota])
    assert (found.cpu, found.memory, found.pods) == ("6", "16384Mi", 50)
    found = capacity(None, [])
    assert (found.cpu, found.memory, found.pods) == (None, None, None)
    asked = needs([state("serve", cpu=Decimal("0.25"), memory=Decimal(2**29))])
    assert asked == {"cpu": "500m", "memory": "1024Mi", "pods": 2}
