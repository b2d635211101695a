"""How much faster the decider is than a plain evaluator, measured in one run.

    python -m bench.decide.run [--journeys N] [--segments N] [--slots N] [--customers N]

Prints one JSON line. Both decide the same requests, in turns, and must agree on every one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bench.decide.workload import Plain, Workload, make
from wayfare_engine.decide import Decider
from wayfare_engine.plan import Candidate

_AT = datetime(2026, 3, 2, 10, tzinfo=UTC)


def measure(workload: Workload, rounds: int = 5) -> dict[str, Any]:
    """Medians in µs of a decision with its row's look-up, their ratio, and how many had a winner.

    The two take turns, a round of all requests each. Raises AssertionError when they disagree.
    """
    decider, plain = Decider(workload.plan), Plain(workload)
    row = workload.matrix.row

    def prepared(slot: str, customer: int, context: dict[str, Any]) -> Candidate | None:
        return decider.decide(slot, row(customer), context, _AT).winner

    fast: list[float] = []
    slow: list[float] = []
    for turn in range(rounds + 1):
        mine, times = _round(prepared, workload)
        others, their_times = _round(plain.decide, workload)
        for one, other, request in zip(mine, others, workload.requests, strict=True):
            if one is not other:
                raise AssertionError((request, one, other))
        if turn:  # the first round warms caches
            fast += times
            slow += their_times
    ours, theirs = statistics.median(fast), statistics.median(slow)
    return {
        "benchmark": "decide",
        "ratio_p50": round(theirs / ours, 2),
        "decider_p50_us": round(ours, 2),
        "plain_p50_us": round(theirs, 2),
        "decider_p99_us": round(statistics.quantiles(fast, n=100)[98], 2),
        "plain_p99_us": round(statistics.quantiles(slow, n=100)[98], 2),
        "requests": len(workload.requests),
        "winners": sum(one is not None for one in mine),
    }


def _round(
    decide: Callable[[str, int, dict[str, Any]], Candidate | None], workload: Workload
) -> tuple[list[Candidate | None], list[float]]:
    """The winners of all requests, and how many µs each took."""
    clock = time.perf_counter_ns
    winners: list[Candidate | None] = []
    times: list[float] = []
    for slot, customer, context in workload.requests:
        begun = clock()
        winner = decide(slot, customer, context)
        times.append((clock() - begun) / 1000)
        winners.append(winner)
    return winners, times


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = {"journeys": 1300, "segments": 400, "slots": 10, "customers": 200_000}
    for name, default in {**sizes, "requests": 1000, "rounds": 5}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = vars(parser.parse_args())
    rounds = given.pop("rounds")
    found = measure(make(**given), rounds)
    json.dump({**found, **{name: given[name] for name in sizes}}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
