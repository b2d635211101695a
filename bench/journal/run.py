"""All of them, merged into one answer, and each held against what it should reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.bars import Bar, at_least, at_most, measure_all

#: Modules of this package, in the order in which they run.
MODULES: tuple[str, ...] = (
    "guard",
    "copying",
    "seal",
    "dispatch",
    "diff",
    "catch_up",
    "importing",
)

#: At full size (scale 1.0). The docs' figures are of such runs, with the machine beside them.
REACH: Mapping[str, Bar] = {
    "copy_vs_executemany": at_least(2.5, ratio=True),
    "copy_rows_s": at_least(30_000),
    "seal_rows_s": at_least(50_000),
    "seal_vs_jsonl_size": at_least(1.5, ratio=True),
    "catch_up_rows_s": at_least(50_000),
    "catch_up_rss_mb": at_most(500),
    "snapshot_speedup": at_least(10, ratio=True),
    "dispatch_ms": Bar("p50 <= 150, p99 <= 400", lambda d: d["p50"] <= 150 and d["p99"] <= 400),
    "diff_seconds": at_most(1.0),
    "diff_bytes": at_most(100_000),
    "may_send_us": at_most(1.0),
    "import_rows_s": at_least(200_000),
    "import_second_site_rows_s": at_least(200_000),
    "import_vs_rows": at_least(5, ratio=True),
}


def measure(scale: float = 1.0) -> dict[str, Any]:
    """Every figure; `scale` 1.0 is the size that the docs' figures come from. `short` names those
    that do not reach their bar."""
    return measure_all("bench.journal", MODULES, REACH, scale)
