"""What the guards cost a call, and each figure held against what it should reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.bars import Bar, at_most, measure_all

#: Modules of this package, in the order in which they run.
MODULES: tuple[str, ...] = ("allow",)

#: At full size (scale 1.0).
REACH: Mapping[str, Bar] = {
    "allow_us": at_most(1.0),
    "allow_vs_lock": at_most(2, ratio=True),
    "call_vs_lock": at_most(100, ratio=True),
}


def measure(scale: float = 1.0) -> dict[str, Any]:
    """Every figure; `short` names those that do not reach their bar."""
    return measure_all("bench.guards", MODULES, REACH, scale)
