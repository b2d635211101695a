"""Decisions the slow and plain way, to hold the engine's against."""

from __future__ import annotations

import re
from datetime import datetime
from types import CodeType, SimpleNamespace
from typing import Any

from wayfare_engine.resources import Journey, Schedule, Segment


class Naive:
    """Decisions the slow way: rules rewritten as Python, evaluated on raw rows, in a loop."""

    def __init__(self, resources: list[Any], at: datetime) -> None:
        self.at = at
        self.segments = {r.plan_name: r.spec for r in resources if isinstance(r, Segment)}
        journeys = [r for r in resources if isinstance(r, Journey)]
        self.journeys = sorted(journeys, key=lambda r: (-r.spec.priority, r.plan_name))
        self.code: dict[str, CodeType] = {}

    def holds(self, rule: str, customer: str, raw: Any, context: dict[str, Any]) -> bool:
        code = self.code.get(rule)
        if code is None:
            text = rule.replace("&&", " and ").replace("||", " or ")
            text = re.sub(r"!(?!=)", " not ", text)
            text = re.sub(r"has\((\w+)\.(\w+)\)", r'hasattr(\1, "\2")', text)
            text = re.sub(r"\btrue\b", "True", re.sub(r"\bfalse\b", "False", text))
            code = self.code[rule] = compile(text.strip().replace("\n", " "), rule, "eval")
        names = {
            "customer": raw,
            "context": SimpleNamespace(**context),
            "segment": lambda name: self.member(name, customer, raw),
        }
        try:
            return bool(eval(code, names))  # the rules are the examples' own
        except AttributeError:
            return False

    def member(self, name: str, customer: str, raw: Any) -> bool:
        spec = self.segments[name if "/" in name else f"bank/{name}"]
        if spec.list is not None:
            return customer in spec.list.customers
        return self.holds(spec.rule or "", customer, raw, {})

    def active(self, schedule: Schedule) -> bool:
        assert not schedule.windows, "teach this evaluator windows first"
        starts = schedule.start_at is None or schedule.start_at <= self.at
        return starts and (schedule.end_at is None or schedule.end_at > self.at)

    def decide(
        self, slot: str, customer: str, raw: Any, context: dict[str, Any]
    ) -> tuple[str, str] | None:
        for journey in self.journeys:
            spec = journey.spec
            for node in sorted(spec.nodes or (), key=lambda node: node.name):
                if node.slot is None or node.slot.name != slot or spec.paused:
                    continue
                if spec.schedule and not self.active(spec.schedule):
                    continue
                rules = [spec.audience or "", spec.when or "true", node.slot.when or "true"]
                if all(self.holds(rule, customer, raw, context) for rule in rules):
                    return journey.plan_name, node.name
        return None
