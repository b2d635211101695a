"""What asking a closed breaker costs, before each hand-over.

`allow_us`: one call of `Breaker.allow()` in a loop, less the same loop with nothing in it; the
median over rounds. `lock_us`: the same for taking and releasing a `threading.Lock` that nobody else
wants, measured in turns with it. `allow_vs_lock` is their ratio. `call_us` and `call_vs_lock`: with
the report of a success, which counts it in the window.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from wayfare_engine.guards import Breaker, BreakerLimits, Permit

CALLS = 200_000
ROUNDS = 15


def measure(scale: float) -> dict[str, Any]:
    """The figures, over `scale` of 15 rounds of 200,000 calls; microseconds a call."""
    calls = max(10_000, int(CALLS * scale))
    breaker = Breaker("bench", BreakerLimits(), clock=time.monotonic)
    lock = threading.Lock()

    def locking() -> None:
        with lock:
            pass

    def call() -> None:
        permit = breaker.allow()
        assert isinstance(permit, Permit)
        breaker.succeeded(permit, 0.0)

    def nothing() -> None:
        pass

    loops: dict[str, Callable[[], object]] = {
        "nothing": nothing,
        "lock": locking,
        "allow": breaker.allow,
        "call": call,
    }
    seen: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(ROUNDS):
        empty = _empty(calls)
        for name, loop in loops.items():
            seen[name].append(_calling(loop, calls) - empty)
    a_call = {name: median(found) for name, found in seen.items()}
    # `lock` and `call` are wrapped in a function here, `allow` is one itself.
    lock_us = a_call["lock"] - a_call["nothing"]
    return {
        "allow_us": round(a_call["allow"], 4),
        "lock_us": round(lock_us, 4),
        "allow_vs_lock": round(a_call["allow"] / lock_us, 2),
        "call_us": round(a_call["call"] - a_call["nothing"], 4),
        "call_vs_lock": round((a_call["call"] - a_call["nothing"]) / lock_us, 2),
    }


def _calling(call: Callable[[], object], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls * 1e6


def _empty(calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        pass
    return (time.perf_counter() - began) / calls * 1e6
