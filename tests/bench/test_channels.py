"""The benchmarks of channels run, at a small size, and give every figure that has a bar."""

from __future__ import annotations

import pytest

from bench.channels.run import REACH, measure

SCALE = 0.01
#: At this size, whatever else the machine does; the bars at full size are those of REACH.
AT_LEAST = {"webhook_vs_httpx": 0.5, "webhook_vs_httpx_kept": 0.5, "neighbour_ratio": 0.3}


@pytest.mark.more
@pytest.mark.timeout(900)
def test_every_figure_is_measured_and_nothing_is_far_from_its_bar() -> None:
    found = measure(SCALE)
    missing = [name for name in REACH if found.get(name) is None]
    assert not missing, f"nothing was measured for {missing}"
    for name, bar in AT_LEAST.items():
        assert found[name] >= bar, f"{name}: {found[name]}"
    assert found["overhead_batched_vs_pool"] < found["overhead_crowded_vs_pool"]
