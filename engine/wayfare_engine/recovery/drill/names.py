"""What a drill calls itself, spelled once."""

from __future__ import annotations

from typing import Final

SITE: Final = "drill"
"""The site of an isolated engine: no plan has a site of this name."""

FORK: Final = "Fork"
"""The step whose result says what was copied and what the canary has to try."""


def plan_of(plan: str, number: int) -> str:
    """The plan id under which the engine of a run's drill writes, into a store of its own."""
    return f"{plan}.drill-{number}"
