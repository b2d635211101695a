"""What the loss that a drill rehearsed would have cost, from what Fork found at the copy and
Measure kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wayfare_engine.recovery.report.counting import count
from wayfare_engine.recovery.report.model import Scenario, SendsOf


def rehearsed(told: Any) -> Scenario | None:
    """None when no step says anything about it."""
    if not isinstance(told, dict) or not told.get("lost"):
        return None
    stranded = told.get("stranded")
    lost = stranded if isinstance(stranded, dict) else {}
    return Scenario(
        lost=str(told["lost"]),
        channel=str(told["channel"]) if told.get("channel") else None,
        at_position=count(told.get("atPosition")),
        said=str(told.get("said") or ""),
        rows=count(lost.get("rows")),
        basis=str(lost.get("basis") or "Unknown"),
        arithmetic=str(lost.get("arithmetic") or ""),
        in_doubt=_sends(told.get("inDoubt"), lambda one: str(one.get("then") or "")),
        fell_back=_sends(told.get("fellBack"), lambda one: f"to {one.get('to')}"),
        waits=_sends(told.get("waits"), lambda one: "wait"),
    )


def _sends(told: Any, then: Callable[[dict[str, Any]], str]) -> tuple[SendsOf, ...]:
    some = told if isinstance(told, list) else []
    return tuple(
        SendsOf(channel=str(one.get("channel")), sends=count(one.get("sends")), then=then(one))
        for one in some
        if isinstance(one, dict)
    )
