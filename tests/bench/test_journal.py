"""The benchmarks of the journal run, at a small size, and give every figure that has a bar."""

from __future__ import annotations

import pytest

from bench.journal.run import REACH, measure

#: Small enough for every run of the tests.
SCALE = 0.01
#: Ratios that hold at any size.
ALWAYS = ("copy_vs_executemany", "seal_vs_jsonl_size")


@pytest.mark.timeout(600)
def test_every_figure_is_measured_and_ratios_hold() -> None:
    found = measure(SCALE)
    missing = [name for name in REACH if found.get(name) is None]
    assert not missing, f"nothing was measured for {missing}"
    for name in ALWAYS:
        assert REACH[name].reached(found[name]), f"{name}: {found[name]}"
