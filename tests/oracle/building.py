"""Short ways to write resources and schemas in tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wayfare_engine.plan import Attribute, AttributeType, Schema
from wayfare_engine.resources import Journey, Segment, parse

API = "wayfare.dev/v1alpha1"

BANK = Schema(
    tuple(
        Attribute(name, AttributeType(kind))
        for name, kind in (
            ("age", "int"),
            ("job", "string"),
            ("marital", "string"),
            ("education", "string"),
            ("default", "string"),
            ("balance", "double"),
            ("housing", "string"),
            ("loan", "string"),
            ("contact", "string"),
            ("day", "int"),
            ("month", "string"),
            ("campaign", "int"),
            ("pdays", "int"),
            ("previous", "int"),
            ("poutcome", "string"),
        )
    )
)


def schema(**types: str) -> Schema:
    """A schema by keyword: name=type."""
    return Schema(tuple(Attribute(name, AttributeType(kind)) for name, kind in types.items()))


def _resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    namespace, _, own = name.rpartition("/")
    metadata = {"name": own, "namespace": namespace or "bank"}
    spec = {"engineRef": {"name": "retail"}, **spec}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


def segment(name: str, rule: str | None = None, **spec: Any) -> Segment:
    """A segment in namespace bank, or in that of `namespace/name`."""
    given = spec if rule is None else {"rule": rule, **spec}
    made = parse(_resource("Segment", name, given))
    assert isinstance(made, Segment)
    return made


def slot(name: str = "offer", slot: str = "home-banner", **more: Any) -> dict[str, Any]:
    """A slot node."""
    return {"name": name, "type": "slot", "slot": {"name": slot, **more}}


def journey(
    name: str,
    audience: str = "true",
    when: str | None = None,
    *,
    nodes: Sequence[dict[str, Any]] | None = None,
    **spec: Any,
) -> Journey:
    """A journey of one slot node that has the condition `when`.

    With nodes given, it is of those, and `when` is the journey's own condition.
    """
    if nodes is not None and when is not None:
        spec["when"] = when
    if nodes is None:
        nodes = [slot(when=when)] if when is not None else [slot()]
    made = parse(_resource("Journey", name, {"audience": audience, "nodes": list(nodes), **spec}))
    assert isinstance(made, Journey)
    return made
