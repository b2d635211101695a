"""Channels: each figure held against what it should reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.bars import Bar, at_least, at_most, measure_all

#: Modules of this package, in the order in which they run.
MODULES: tuple[str, ...] = ("overhead", "neighbours", "webhook")

#: At full size (scale 1.0).
REACH: Mapping[str, Bar] = {
    "overhead_us": at_most(60),
    "overhead_batched_us": at_most(60),
    "neighbour_ratio": at_least(0.95, ratio=True),
    "webhook_s": at_least(2000),
    "webhook_vs_httpx": at_least(2, ratio=True),
    "webhook_vs_httpx_kept": at_least(2, ratio=True),
}


def measure(scale: float = 1.0) -> dict[str, Any]:
    """Every figure; `short` names those that do not reach their bar."""
    return measure_all("bench.channels", MODULES, REACH, scale)
