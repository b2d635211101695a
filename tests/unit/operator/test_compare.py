"""Drift: what counts as the same."""

from __future__ import annotations

import pytest

from wayfare_operator.kube.compare import holds, quantity


@pytest.mark.parametrize(
    ("observed", "desired"),
    [
        ({"a": 1, "defaulted": 2}, {"a": 1}),
        ({"cpu": "500m"}, {"cpu": "0.5"}),
        ({"memory": "1073741824"}, {"memory": "1Gi"}),
        ({"list": [1, 2]}, {"list": [1, 2]}),
        ({"items": [{"name": "b", "x": 1}, {"name": "a", "y": 2}]}, {"items": [{"name": "a"}]}),
        ({}, {"flag": False, "text": "", "list": [], "map": {}}),
        (None, {}),
    ],
)
def test_what_is_there_already(observed: object, desired: object) -> None:
    assert holds(observed, desired)


@pytest.mark.parametrize(
    ("observed", "desired"),
    [
        ({"a": 1}, {"a": 2}),
        ({}, {"a": 1}),
        ({"cpu": "500m"}, {"cpu": "501m"}),
        ({"list": [1, 2, 3]}, {"list": [1, 2]}),
        ({"items": [{"name": "b"}]}, {"items": [{"name": "a"}]}),
        ({"items": [{"name": "a", "image": "evil"}]}, {"items": [{"name": "a", "image": "good"}]}),
        ({"list": [1]}, {"list": []}),
        ({"on": True}, {"on": False}),
        (None, {"a": 1}),
    ],
)
def test_what_must_be_put_right(observed: object, desired: object) -> None:
    assert not holds(observed, desired)


def test_quantities() -> None:
    assert quantity("1Ki") == 1024
    assert quantity("2k") == 2000
    assert quantity(3) == 3
    assert quantity("soon") is None
    assert quantity(True) is None
