"""Where the configuration of one site differs from the other's."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayfare_engine.runs.bundle import digest
from wayfare_engine.runs.drift import Change, Drift, compare


def journey(spec: Any, name: str = "loan") -> dict[str, Any]:
    return {
        "apiVersion": "wayfare.dev/v1alpha1",
        "kind": "Journey",
        "metadata": {"name": name, "namespace": "bank"},
        "spec": spec,
    }


def paths(there: Any, here: Any) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Added, removed and changed paths of one object."""
    (found,) = compare([journey(there)], [journey(here)])
    assert found.change is Change.CHANGED
    return found.added, found.removed, found.changed


def test_equal_configuration_has_no_drift() -> None:
    both = [journey({"nodes": [{"name": "a"}]}), journey({}, "other")]
    assert compare(both, copy.deepcopy(both)) == ()


def test_objects_that_only_one_site_has() -> None:
    there, here = [journey({}, "a"), journey({}, "b")], [journey({}, "b"), journey({}, "c")]
    gone, come = compare(there, here)
    assert (gone.change, gone.name, gone.said()) == (
        Change.REMOVED,
        "a",
        "Journey bank/a is missing here",
    )
    assert (come.change, come.name, come.said()) == (
        Change.ADDED,
        "c",
        "Journey bank/c is only here",
    )


@pytest.mark.parametrize(
    ("there", "here", "added", "removed", "changed"),
    [
        ({"a": 1}, {"a": 2}, (), (), ("spec.a",)),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {}}}, (), ("spec.a.b.c",), ()),
        ({}, {"a": {"b": 1}}, ("spec.a",), (), ()),
        ({"a": [1, 2]}, {"a": [2, 1]}, (), (), ("spec.a",)),
        ({"a": 1}, {"a": True}, (), (), ("spec.a",)),
        ({"a": None}, {}, (), ("spec.a",), ()),
        ({"a": {"b": 1}}, {"a": [1]}, (), (), ("spec.a",)),
        (
            {"nodes": [{"name": "x", "wait": "2h"}, {"name": "y"}]},
            {"nodes": [{"name": "y"}, {"name": "x", "wait": "3h"}, {"name": "z"}]},
            ("spec.nodes[z]",),
            (),
            ("spec.nodes[x].wait",),
        ),
        (
            {"nodes": [{"name": "x"}, {"name": "y"}]},
            {"nodes": [{"name": "y"}, {"name": "x"}]},
            (),
            (),
            ("spec.nodes (order)",),
        ),
        (
            {"nodes": [{"name": "x"}, {"name": "x"}]},
            {"nodes": [{"name": "x"}]},
            (),
            (),
            ("spec.nodes",),
        ),
    ],
)
def test_the_paths_of_fields_are_told(
    there: Any, here: Any, added: Any, removed: Any, changed: Any
) -> None:
    assert paths(there, here) == (added, removed, changed)


def test_a_sentence_has_paths_and_no_values() -> None:
    spec = {f"f{n}": "token-1" for n in range(7)}
    (found,) = compare([journey(spec | {"old": 1})], [journey(dict.fromkeys(spec, "token-2"))])
    said = found.said(most=3)
    assert said == (
        "Journey bank/loan differs in spec.f0 spec.f1 spec.f2 and 4 more, lacks here spec.old"
    )
    assert "token" not in repr(found)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
        | st.lists(st.fixed_dictionaries({"name": st.sampled_from("xyz"), "v": inner}), max_size=3)
    ),
    max_leaves=8,
)


@given(JSON, JSON)
def test_there_is_drift_exactly_when_the_digests_differ(there: Any, here: Any) -> None:
    before, after = [journey(there)], [journey(here)]
    found = compare(before, after)
    assert (found == ()) == (digest(before) == digest(after))
    back = compare(after, before)
    assert [(d.added, d.removed, d.changed) for d in found] == [
        (d.removed, d.added, d.changed) for d in back
    ]
    assert all(isinstance(one, Drift) and one.said() for one in found)
