"""From plain objects to models, and what is said when that cannot be."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wayfare_engine.resources import (
    API_VERSION,
    AllowedNamespaces,
    Engine,
    Journey,
    ResourceError,
    Segment,
    canonical,
    parse,
    parse_duration,
    spec_digest,
)

NODE: dict[str, Any] = {"name": "offer", "type": "slot", "slot": {"name": "home-banner"}}


def journey(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "Journey",
        "metadata": {"name": "deposit", "namespace": "bank"},
        "spec": {"engineRef": {"name": "retail"}, "audience": "true", "nodes": [NODE], **spec},
    }


def segment(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "Segment",
        "metadata": {"name": "mature"},
        "spec": {"engineRef": {"name": "retail"}, **spec},
    }


def refusal(obj: dict[str, Any]) -> ResourceError:
    with pytest.raises(ResourceError) as refused:
        parse(obj)
    return refused.value


def test_an_object_becomes_its_model() -> None:
    parsed = parse(journey(priority=80))
    assert isinstance(parsed, Journey)
    assert parsed.plan_name == "bank/deposit"
    assert parsed.spec.priority == 80
    assert parsed.spec.nodes is not None
    assert parsed.spec.nodes[0].slot is not None
    assert parsed.spec.nodes[0].slot.name == "home-banner"


def test_an_object_without_a_namespace_is_in_default() -> None:
    assert parse(segment(rule="true")).plan_name == "default/mature"


def test_a_model_cannot_be_changed() -> None:
    parsed = parse(segment(rule="true"))
    with pytest.raises(ValidationError):
        parsed.spec = None  # type: ignore[assignment, misc]


@pytest.mark.parametrize(
    ("obj", "path", "message"),
    [
        ({}, "apiVersion", "must be wayfare.dev/v1alpha1"),
        (
            {"apiVersion": API_VERSION, "kind": "Pod"},
            "kind",
            "must be one of Engine, Segment, Journey, Channel",
        ),
        ({"apiVersion": API_VERSION, "kind": "Segment"}, "spec", "is required"),
        (segment(rule="true", engineRef={}), "spec.engineRef.name", "is required"),
        (segment(rule="x" * 4097), "spec.rule", "may have at most 4096 characters"),
        (
            segment(),
            "spec",
            "a segment has exactly one of rule, sql, list and lookalike",
        ),
        (journey(priority="high"), "spec.priority", "Input should be a valid integer"),
        (
            journey(schedule={"timeZone": "Europe/Atlantis"}),
            "spec.schedule.timeZone",
            "'Europe/Atlantis' is no time zone of the IANA database",
        ),
        (
            journey(nodes=[NODE | {"type": "banner"}]),
            "spec.nodes[0].type",
            "must be one of 'slot', 'send'",
        ),
        (
            journey(nodes=[NODE, NODE]),
            "spec",
            "nodes has two entries of the name offer",
        ),
        (
            journey(nodes=[NODE, NODE | {"name": "second", "next": "third"}]),
            "spec",
            "next must be the name of a node of this journey: second leads to third",
        ),
    ],
)
def test_a_refusal_says_where_and_why(obj: dict[str, Any], path: str, message: str) -> None:
    refused = refusal(obj)
    assert refused.path == path
    assert refused.message.startswith(message)


def test_a_misspelt_field_is_named_before_the_one_it_leaves_missing() -> None:
    refused = refusal(journey(nodes=[{"name": "a", "type": "slot", "slot": {"nam": "x"}}]))
    assert (refused.path, refused.message) == ("spec.nodes[0].slot.nam", "is not a field here")
    assert ("spec.nodes[0].slot.name", "is required") in refused.problems


def test_names_inside_python_are_no_names_in_yaml() -> None:
    assert refusal(segment(rule="true", engine_ref={"name": "x"})).path == "spec.engine_ref"


def test_content_of_more_than_16_kib_is_refused() -> None:
    big = NODE | {"slot": {"name": "home-banner", "content": {"text": "é" * 8192}}}
    refused = refusal(journey(nodes=[big]))
    assert refused.path == "spec.nodes[0].slot.content"
    assert refused.message == "is 16395 bytes as JSON, and may have at most 16384"


def test_a_clock_time_that_yaml_took_for_a_number_is_understood() -> None:
    windows = [{"from": 21 * 60, "to": "08:00"}]
    parsed = parse(journey(schedule={"windows": windows}))
    assert isinstance(parsed, Journey)
    assert parsed.spec.schedule is not None
    assert parsed.spec.schedule.windows[0].from_ == "21:00"


def test_status_from_a_newer_version_is_read() -> None:
    obj = segment(rule="true") | {"status": {"size": 3, "shape": "round"}}
    parsed = parse(obj)
    assert isinstance(parsed, Segment)
    assert parsed.status.size == 3


def test_status_is_written_without_what_is_not_known() -> None:
    parsed = parse(segment(rule="true") | {"status": {"size": 3}})
    assert parsed.status.to_object() == {"size": 3, "conditions": []}


def test_a_digest_does_not_depend_on_defaults_being_written() -> None:
    assert spec_digest(parse(journey()).spec) == spec_digest(
        parse(journey(priority=100, paused=False, goals=[])).spec
    )


def test_a_digest_changes_with_the_spec() -> None:
    assert spec_digest(parse(journey()).spec) != spec_digest(parse(journey(priority=5)).spec)


def test_a_spec_parses_again_from_its_canonical_form() -> None:
    parsed = parse(journey(priority=7, schedule={"startAt": "2026-01-01T00:00:00+02:00"}))
    again = parse(journey() | {"spec": canonical(parsed.spec)})
    assert again.spec == parsed.spec


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("1m30s", 90), ("2h", 7200), ("7d", 604800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "5 m", "m5", "1.5h", "-1s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("grant", "asking", "labels", "permitted"),
    [
        ({}, "bank", {}, True),
        ({}, "shop", {}, False),
        ({"from": "All"}, "shop", {}, True),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}, "shop", {}, False),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}, "bank", {}, True),
        (
            {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}},
            "shop",
            {"team": "a", "tier": "gold"},
            True,
        ),
        (
            {
                "from": "Selector",
                "selector": {
                    "matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]
                },
            },
            "shop",
            {"team": "a"},
            False,
        ),
    ],
)
def test_grants(
    grant: dict[str, Any], asking: str, labels: dict[str, str], permitted: bool
) -> None:
    allowed = AllowedNamespaces.model_validate(grant)
    assert allowed.permits("bank", asking, labels) is permitted


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(spec=json_values, kind=st.sampled_from(["Engine", "Segment", "Journey", "Channel"]))
def test_any_json_is_parsed_or_refused(spec: Any, kind: str) -> None:
    # Nothing but a ResourceError may come out of it.
    with contextlib.suppress(ResourceError):
        parse({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "x"}, "spec": spec})


def test_an_engine_of_few_words_has_defaults() -> None:
    parsed = parse(
        {
            "apiVersion": API_VERSION,
            "kind": "Engine",
            "metadata": {"name": "retail"},
            "spec": {"stores": {"managed": {}}},
        }
    )
    assert isinstance(parsed, Engine)
    assert parsed.spec.serve.replicas == 2
    assert parsed.spec.authentication.mode == "APIKey"
    assert parsed.spec.stores.managed is not None
    assert parsed.spec.stores.managed.postgresql.size == "10Gi"
