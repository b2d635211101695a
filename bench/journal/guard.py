"""What asking for the right to act costs, before each hand-over.

`may_send_us`: one call of `Guard.may_send()` in a loop, less the same loop with nothing in it;
the median over rounds. `may_send_loop_us` and `empty_loop_us` are the two it comes from.
`may_send_vs_clock_read`: the same in calls of `time.clock_gettime(CLOCK_BOOTTIME)`, measured in
turns with it in the same rounds; the guard cannot take less than one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from wayfare_engine.lease import Guard, boottime

CALLS = 200_000
ROUNDS = 15


def measure(scale: float) -> dict[str, Any]:
    """The figures, over `scale` of 15 rounds of 200,000 calls; microseconds a call."""
    calls = max(10_000, int(CALLS * scale))
    guard = Guard()
    guard.extend(boottime() + 3600)
    assert guard.may_send() > 0, "a guard with a right to act is what is measured"
    may_send, clock = guard.may_send, boottime
    empty, sending, reading = [], [], []
    for _ in range(ROUNDS):
        empty.append(_empty(calls))
        sending.append(_calling(may_send, calls))
        reading.append(_calling(clock, calls))
    a_loop = median(empty)
    asked, read = median(sending) - a_loop, median(reading) - a_loop
    return {
        "may_send_us": round(asked, 4),
        "may_send_loop_us": round(median(sending), 4),
        "empty_loop_us": round(a_loop, 4),
        "clock_read_us": round(read, 4),
        "may_send_vs_clock_read": round(asked / read, 2),
    }


def _calling(call: Callable[[], float], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls * 1e6


def _empty(calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        pass
    return (time.perf_counter() - began) / calls * 1e6
