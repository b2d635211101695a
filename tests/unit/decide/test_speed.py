"""That preparing slots pays: a ratio to a plain evaluator in the same run."""

from __future__ import annotations

from bench.decide.run import measure
from bench.decide.workload import make


def test_decisions_are_several_times_faster_than_a_plain_loop() -> None:
    workload = make(journeys=400, segments=100, slots=2, customers=20_000, requests=300)
    found = measure(workload, rounds=4)
    assert found["winners"] > 30
    assert found["ratio_p50"] >= 5, found
