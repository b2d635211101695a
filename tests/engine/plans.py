"""Plans and customers that the engine's tests share."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wayfare_engine.plan import Attribute, AttributeType, Plan, Schema, compile_plan
from wayfare_engine.resources import Journey, Segment, parse

SCHEMA = Schema(
    (
        Attribute("age", AttributeType.INT),
        Attribute("balance", AttributeType.DOUBLE),
        Attribute("housing", AttributeType.STRING),
    )
)


def resource(kind: str, name: str, spec: dict[str, Any]) -> Any:
    """An object as the API server would give it."""
    return parse(
        {
            "apiVersion": "wayfare.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"engineRef": {"name": "retail"}, **spec},
        }
    )


def segment(name: str, rule: str) -> Segment:
    """A segment by rule."""
    made = resource("Segment", name, {"rule": rule})
    assert isinstance(made, Segment)
    return made


def journey(name: str, *, audience: str, priority: int, slot: dict[str, Any]) -> Journey:
    """A journey with one slot node."""
    node = {"name": "offer", "type": "slot", "slot": slot}
    made = resource("Journey", name, {"audience": audience, "priority": priority, "nodes": [node]})
    assert isinstance(made, Journey)
    return made


def bank_plan(
    *, title: str = "A term deposit", savers: str = "customer.age >= 55", extra: Sequence[str] = ()
) -> Plan:
    """Two journeys in `home-banner` over two segments; `title` is the winner's content. Each name
    of `extra` is a slot more."""
    result = compile_plan(
        engine="default/retail",
        schema=SCHEMA,
        segments=[
            segment("savers", savers),
            segment("rich", "customer.balance >= 2000.0"),
        ],
        journeys=[
            journey(
                "term-deposit",
                audience='segment("savers") && segment("rich")',
                priority=80,
                slot={
                    "name": "home-banner",
                    "when": 'context.page == "accounts"',
                    "content": {"title": title},
                },
            ),
            journey(
                "welcome",
                audience='segment("rich")',
                priority=10,
                slot={"name": "home-banner", "content": {"title": "Welcome"}},
            ),
            *(
                journey(
                    f"in-{name}",
                    audience='segment("rich")',
                    priority=1,
                    slot={"name": name, "content": {"title": name}},
                )
                for name in extra
            ),
        ],
        previous=None,
    )
    assert not result.problems
    return result.plan


def write_customers(path: Path, rows: Sequence[tuple[str, int, float, str]]) -> Path:
    """A CSV with columns id, age, balance, housing."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(("id", "age", "balance", "housing"))
        writer.writerows(rows)
    return path


#: anna gets the deposit on her accounts page, ben the welcome, carl nothing.
CUSTOMERS = [
    ("anna", 60, 3000.0, "no"),
    ("ben", 30, 5000.0, "yes"),
    ("carl", 70, 10.0, "no"),
]
