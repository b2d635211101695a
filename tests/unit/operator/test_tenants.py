"""What a group of namespaces may use of a shared engine."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from wayfare_engine.plan import Plan, Schema
from wayfare_engine.resources import Journey, Reason, Segment, Tenant, parse, spec_digest
from wayfare_operator.reconcile.compile import Input, compile_all
from wayfare_operator.reconcile.problems import compile_errors, problem_outcome
from wayfare_operator.reconcile.publication import Compiled

BRANCH = Tenant.model_validate(
    {
        "name": "branches",
        "namespaces": ["lisbon", "porto"],
        "minPriority": 10,
        "maxPriority": 50,
        "slots": ["counter-screen"],
        "maxJourneys": 2,
        "maxSegments": 1,
    }
)


def journey(
    name: str,
    namespace: str = "lisbon",
    *,
    day: int = 1,
    priority: int = 20,
    slot: str = "counter-screen",
) -> Journey:
    node = {"name": slot, "content": {"title": name}}
    made = parse(
        {
            "apiVersion": "wayfare.dev/v1alpha1",
            "kind": "Journey",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "creationTimestamp": f"2026-03-{day:02}T00:00:00Z",
            },
            "spec": {
                "engineRef": {"name": "retail", "namespace": "bank"},
                "audience": "true",
                "priority": priority,
                "nodes": [{"name": "offer", "type": "slot", "slot": node}],
            },
        }
    )
    assert isinstance(made, Journey)
    return made


def segment(name: str, day: int) -> Segment:
    made = parse(
        {
            "apiVersion": "wayfare.dev/v1alpha1",
            "kind": "Segment",
            "metadata": {
                "name": name,
                "namespace": "porto",
                "creationTimestamp": f"2026-03-{day:02}T00:00:00Z",
            },
            "spec": {"engineRef": {"name": "retail", "namespace": "bank"}, "rule": "true"},
        }
    )
    assert isinstance(made, Segment)
    return made


def compiled(
    journeys: Sequence[Journey],
    segments: Sequence[Segment] = (),
    *,
    tenants: tuple[Tenant, ...] = (BRANCH,),
    previous: Plan | None = None,
) -> Compiled:
    given = Input(
        engine="bank/retail",
        schema=Schema(()),
        segments=tuple((each, spec_digest(each.spec)) for each in segments),
        journeys=tuple((each, spec_digest(each.spec)) for each in journeys),
        labels={},
        tenants=tenants,
        channels={},
        kept_channels=frozenset(),
        grants={},
        wrong_channels={},
        governance={},
        fingerprint="",
    )
    return compile_all(given, previous)


def served(found: Compiled) -> set[str]:
    return set(found.contents.journeys)


@pytest.mark.parametrize(("priority", "fits"), [(9, False), (10, True), (50, True), (51, False)])
def test_a_priority_outside_of_the_range_is_refused(priority: int, fits: bool) -> None:
    found = compiled([journey("offer", priority=priority)])
    assert (served(found) == {"lisbon/offer"}) is fits
    assert (found.denied == {}) is fits


def test_a_slot_of_somebody_else_is_refused_with_its_place() -> None:
    found = compiled([journey("offer", slot="home-banner")])
    denied = found.denied["Journey", "lisbon/offer"]
    assert denied.path == "spec.nodes[0].slot.name"
    assert "home-banner" in denied.message
    assert "counter-screen" in denied.message


def test_beyond_the_number_the_eldest_of_all_its_namespaces_stay() -> None:
    found = compiled(
        [journey("a", "lisbon", day=3), journey("b", "porto", day=1), journey("c", day=2)]
    )
    assert served(found) == {"porto/b", "lisbon/c"}
    assert "may have 2 journeys and has 3" in found.denied["Journey", "lisbon/a"].message


def test_beyond_the_number_no_earlier_version_stays() -> None:
    before = compiled([journey("a", day=3), journey("b", day=1), journey("c", day=2)], tenants=())
    assert len(served(before)) == 3
    after = compiled(
        [journey("a", day=3), journey("b", day=1), journey("c", day=2)], previous=before.plan
    )
    assert served(after) == {"lisbon/b", "lisbon/c"}


def test_segments_are_counted_by_themselves() -> None:
    found = compiled([journey("a")], [segment("one", 1), segment("two", 2)])
    assert set(found.contents.segments) == {"porto/one"}
    assert served(found) == {"lisbon/a"}


def test_a_namespace_of_no_tenant_is_not_bounded() -> None:
    free = [journey(str(n), "bank", priority=900, slot="home-banner") for n in range(4)]
    assert len(served(compiled(free))) == 4


def test_an_edit_beyond_the_bounds_keeps_the_version_within() -> None:
    good = journey("offer")
    before = compiled([good])
    after = compiled([journey("offer", priority=900)], previous=before.plan)
    assert after.contents.journeys["lisbon/offer"] == spec_digest(good.spec)


def test_the_condition_and_the_engine_say_the_reason() -> None:
    wrong = journey("offer", priority=900)
    found = compiled([wrong])
    outcome = problem_outcome(found, ("Journey", "lisbon/offer"), spec_digest(wrong.spec), None)
    assert outcome is not None
    assert outcome.reason == Reason.TENANT_LIMIT_EXCEEDED
    assert outcome.message.startswith("spec.priority: 900 is outside")
    [error] = compile_errors(found, 5)
    assert error["reason"] == "TenantLimitExceeded"
