"""`podOverlay` is merged as kubectl would merge a patch."""

from __future__ import annotations

from wayfare_operator.desired.overlay import merge


def test_containers_and_their_variables_merge_by_name() -> None:
    base = {"containers": [{"name": "serve", "image": "a", "env": [{"name": "A", "value": "1"}]}]}
    overlay = {
        "containers": [
            {"name": "serve", "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "3"}]},
            {"name": "sidecar", "image": "s"},
        ]
    }
    assert merge(base, overlay) == {
        "containers": [
            {
                "name": "serve",
                "image": "a",
                "env": [{"name": "A", "value": "3"}, {"name": "B", "value": "2"}],
            },
            {"name": "sidecar", "image": "s"},
        ]
    }


def test_null_removes_and_other_lists_are_replaced() -> None:
    base = {"keep": 1, "drop": 2, "tolerations": [{"key": "a"}]}
    overlay = {"drop": None, "tolerations": [{"key": "b"}]}
    assert merge(base, overlay) == {"keep": 1, "tolerations": [{"key": "b"}]}


def test_an_item_can_be_deleted() -> None:
    base = {"volumes": [{"name": "a"}, {"name": "b"}]}
    overlay = {"volumes": [{"name": "a", "$patch": "delete"}]}
    assert merge(base, overlay) == {"volumes": [{"name": "b"}]}


def test_neither_side_is_changed() -> None:
    base = {"env": [{"name": "A", "value": "1"}]}
    merge(base, {"env": [{"name": "A", "value": "2"}]})
    assert base == {"env": [{"name": "A", "value": "1"}]}
