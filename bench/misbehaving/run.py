"""All of it, and what it should reach."""

from __future__ import annotations

from typing import Any

from bench.bars import Bar, at_least, at_most, measure_all
from tests.misbehaving.story import KINDS

REACH: dict[str, Bar] = {
    f"{kind.name}_{what}": bar
    for kind in KINDS
    for what, bar in {
        "p50": at_most(1.2, ratio=True),
        "p99": at_most(2.0, ratio=True),
        "healthy": at_least(0.8, ratio=True),
        "trials": at_most(1),
    }.items()
} | {"serve_grew_mb": at_most(16), "worker_grew_mb": at_most(96)}


def measure(scale: float) -> dict[str, Any]:
    """The figures; `short` names those that do not reach their bar."""
    return measure_all("bench.misbehaving", ("windows",), REACH, scale)
