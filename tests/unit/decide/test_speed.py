"""That preparing slots pays: against a plain evaluator, on the same requests.

Calls are counted, of Python's and of C's functions: the count is the same on every machine, however
busy. What it is in time, `bench.decide` measures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bench.decide.run import measure
from bench.decide.workload import Plain, make
from wayfare_engine.decide import Decider

_AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
Request = tuple[str, int, dict[str, Any]]


def calls(decide: Callable[[str, int, dict[str, Any]], object], requests: list[Request]) -> int:
    """How many calls deciding takes, once everything is warm."""
    counted = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    for request in requests:
        decide(*request)
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        for request in requests:
            decide(*request)
    finally:
        sys.setprofile(before)
    return counted


def test_decisions_take_several_times_fewer_calls_than_a_plain_loop() -> None:
    workload = make(journeys=400, segments=100, slots=2, customers=20_000, requests=300)
    decider, plain = Decider(workload.plan), Plain(workload)
    row = workload.matrix.row

    # It raises when the two do not agree on a winner.
    assert measure(workload, rounds=1)["winners"] > 30
    prepared = calls(
        lambda slot, id_, context: decider.decide(slot, row(id_), context, _AT), workload.requests
    )
    loop = calls(plain.decide, workload.requests)

    assert loop >= 8 * prepared, (loop, prepared)
