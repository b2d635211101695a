"""When a journey is published, and when it no longer is."""

from __future__ import annotations

import pytest

from wayfare_operator.control import Acknowledgement, ControlStatus
from wayfare_operator.kube.kinds import Object
from wayfare_operator.reconcile.publication import (
    Contents,
    Publication,
    ServingPod,
    serving_pods,
)


def endpoints(*pods: tuple[str, bool | None]) -> Object:
    """An EndpointSlice of pods and whether each is ready."""
    return {
        "endpoints": [
            {"conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "name": uid, "uid": uid}}
            for uid, ready in pods
        ]
    }


def told(**ages: float) -> ControlStatus:
    """Acknowledgements of plan `p`, by pod and age."""
    return ControlStatus(
        acknowledgements=tuple(
            Acknowledgement(pod_uid=uid, plan="p", age_seconds=age) for uid, age in ages.items()
        )
    )


def test_only_ready_endpoints_count() -> None:
    found = serving_pods([endpoints(("a", True), ("b", False), ("c", None))], None)
    assert [pod.uid for pod in found] == ["a", "c"]


def test_the_same_pod_in_two_slices_is_one_pod() -> None:
    assert len(serving_pods([endpoints(("a", True)), endpoints(("a", True))], None)) == 1


@pytest.mark.parametrize(("age", "plan"), [(14.9, "p"), (15.0, None), (3600.0, None)])
def test_an_old_acknowledgement_says_nothing(age: float, plan: str | None) -> None:
    [pod] = serving_pods([endpoints(("a", True))], told(a=age))
    assert pod.plan == plan


def publication(*plans: str | None) -> Publication:
    """A publication whose pods serve these plans; plan `new` holds version 2, `old` version 1."""
    made = Publication()
    made.remember("old", Contents({"ns/j": "1"}, {}, {}))
    made.remember("new", Contents({"ns/j": "2"}, {}, {}))
    made.pods = tuple(ServingPod(str(i), str(i), plan) for i, plan in enumerate(plans))
    return made


@pytest.mark.parametrize(
    ("plans", "serves", "contradicts"),
    [
        (("new", "new"), True, False),
        (("new", "old"), False, True),
        (("new", None), False, False),
        (("new", "never-heard-of"), False, False),
        ((), False, False),
    ],
)
def test_a_version_is_served_when_every_pod_says_so(
    plans: tuple[str | None, ...], serves: bool, contradicts: bool
) -> None:
    found = publication(*plans)
    assert found.serves("ns/j", "2") is serves
    assert found.contradicts("ns/j", "2") is contradicts


def test_memory_of_plans_is_bounded() -> None:
    made = Publication()
    for number in range(100):
        made.remember(str(number), Contents({}, {}, {}))
    assert len(made.plans) == 8
    assert "99" in made.plans
