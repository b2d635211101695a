"""A workload of journeys over segments, and a plain evaluator of it to compare with."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyroaring import BitMap

from wayfare_engine.plan import Attribute, AttributeType, Candidate, Plan, Schema, compile_plan
from wayfare_engine.plan.evaluate import closure
from wayfare_engine.plan.formula import Formula
from wayfare_engine.plan.values import EvaluationError
from wayfare_engine.resources import API_VERSION, Journey, Segment, parse
from wayfare_engine.segments import MembershipMatrix

SCHEMA = Schema((Attribute("age", AttributeType.INT),))
PAGES = ("accounts", "cards", "home", "loans", "transfers")


@dataclass(frozen=True)
class Workload:
    """A plan with memberships made up at random, and requests for it."""

    plan: Plan
    bitmaps: dict[str, BitMap]
    matrix: MembershipMatrix
    requests: list[tuple[str, int, dict[str, Any]]]


def _resource(kind: str, name: str, spec: dict[str, Any]) -> Any:
    return parse(
        {
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": {"name": name, "namespace": "bench"},
            "spec": {"engineRef": {"name": "bench"}, **spec},
        }
    )


def make(
    *, journeys: int, segments: int, slots: int, customers: int, requests: int, seed: int = 7
) -> Workload:
    """Audiences of 2 to 4 segments (0.1 % to 50 % each), 1 to 3 conditions, spread over slots."""
    drawn = random.Random(seed)  # noqa: S311 - a workload, not a secret
    made_segments: list[Segment] = [
        _resource("Segment", f"s{i}", {"rule": f"customer.age > {i}"}) for i in range(segments)
    ]
    made: list[Journey] = []
    for number in range(journeys):
        chosen = drawn.sample(range(segments), drawn.randint(2, 4))
        terms = [
            f'{"!" if position and drawn.random() < 0.4 else ""}segment("s{one}")'
            for position, one in enumerate(chosen)
        ]
        audience = terms[0]
        for term in terms[1:]:
            audience = f"({audience}) {drawn.choice(['&&', '&&', '||'])} {term}"
        when = [f'context.page == "{drawn.choice(PAGES)}"', f"context.amount > {number % 500}"]
        when.append(f"context.visits >= {number % 20}")
        spec = {
            "priority": drawn.randint(0, 1000),
            "audience": audience,
            "nodes": [
                {
                    "name": "offer",
                    "type": "slot",
                    "slot": {
                        "name": f"slot-{number % slots}",
                        "when": " && ".join(when[: drawn.randint(1, 3)]),
                    },
                }
            ],
        }
        made.append(_resource("Journey", f"j{number}", spec))
    result = compile_plan(
        engine="bench/bench",
        schema=SCHEMA,
        segments=made_segments,
        journeys=made,
        previous=None,
    )
    if result.problems:
        raise AssertionError(result.problems)
    numbers = np.random.default_rng(seed)
    bitmaps = {
        one.key: BitMap(np.flatnonzero(numbers.random(customers) < 10 ** numbers.uniform(-3, -0.3)))
        for one in result.plan.segments
    }
    asked = [
        (
            f"slot-{drawn.randrange(slots)}",
            drawn.randrange(customers),
            {
                "page": drawn.choice(PAGES),
                "amount": drawn.randint(0, 400),
                "visits": drawn.randint(0, 20),
            },
        )
        for _ in range(requests)
    ]
    matrix = MembershipMatrix.build(result.plan, bitmaps, customers)
    return Workload(result.plan, bitmaps, matrix, asked)


class Plain:
    """The same decision without preparation of slots: a loop over the slot's candidates that asks
    each bitmap, and then the condition's closures."""

    def __init__(self, workload: Workload) -> None:
        self._bitmaps = [workload.bitmaps[s.key] for s in workload.plan.segments]
        self._slots = {
            slot: [(c, _with_closures(c.condition)) for c in candidates]
            for slot, candidates in workload.plan.slots.items()
        }

    def decide(self, slot: str, customer: int, context: Mapping[str, Any]) -> Candidate | None:
        """The first candidate that fits."""
        for candidate, condition in self._slots[slot]:
            if self._holds(candidate.audience, customer, context) and self._holds(
                condition, customer, context
            ):
                return candidate
        return None

    def _holds(self, formula: Formula, customer: int, context: Mapping[str, Any]) -> bool:
        match formula[0]:
            case "bit":
                return customer in self._bitmaps[formula[1]]
            case "nobit":
                return customer not in self._bitmaps[formula[1]]
            case "all":
                return all(self._holds(part, customer, context) for part in formula[1:])
            case "any":
                return any(self._holds(part, customer, context) for part in formula[1:])
        try:
            return formula[2](context, 0) is formula[1]
        except EvaluationError:
            return False


def _with_closures(formula: Formula) -> Formula:
    if formula[0] == "when":
        return ("when", formula[1], closure(formula[2]))
    if formula[0] in ("all", "any"):
        return (formula[0], *map(_with_closures, formula[1:]))
    return formula
