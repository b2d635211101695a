"""The benchmarks of the journal run, at a small size, and give every figure that has a bar."""

from __future__ import annotations

import pytest

from bench.journal.run import REACH, measure

#: Small enough for every run of the tests.
SCALE = 0.01
#: Ratios that hold at this size too, and how large they are at least. At full size the bars are
#: those of REACH.
AT_LEAST = {"copy_vs_executemany": 1.5, "seal_vs_jsonl_size": 1.4, "import_vs_rows": 1.5}


@pytest.mark.more
@pytest.mark.timeout(600)
def test_every_figure_is_measured_and_ratios_hold() -> None:
    found = measure(SCALE)
    missing = [name for name in REACH if found.get(name) is None]
    assert not missing, f"nothing was measured for {missing}"
    for name, bar in AT_LEAST.items():
        assert found[name] >= bar, f"{name}: {found[name]}"
