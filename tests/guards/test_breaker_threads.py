"""While it is half open exactly one caller gets through, however many ask at the same moment."""

from __future__ import annotations

import threading
import time

from tests.guards.clock import Clock
from wayfare_engine.guards import Breaker, BreakerLimits, Permit, Refused, State

THREADS = 200
ROUNDS = 20
PROBES = 200
LIMITS = BreakerLimits(
    minimum_calls=1, open_for=1.0, longest_open=1.0, trial_calls=ROUNDS, probe_lease=60.0
)


def opened(clock: Clock, limits: BreakerLimits = LIMITS) -> Breaker:
    breaker = Breaker("sms", limits, clock=clock)
    permit = breaker.allow()
    assert isinstance(permit, Permit)
    breaker.failed(permit)
    assert breaker.state is State.OPEN
    return breaker


def test_of_200_threads_that_ask_at_once_one_gets_the_probe() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.pass_(1.0)
    start, end = (threading.Barrier(THREADS + 1, timeout=30) for _ in range(2))
    answers: list[Permit | Refused] = []

    def ask() -> None:
        for _ in range(ROUNDS):
            start.wait()
            answers.append(breaker.allow())
            end.wait()

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for number in range(ROUNDS):
        start.wait()
        end.wait()
        assert len(answers) == THREADS
        permits = [answer for answer in answers if isinstance(answer, Permit)]
        assert len(permits) == 1
        assert permits[0].probe
        answers.clear()
        breaker.succeeded(permits[0], 0.0)
        assert breaker.state is (State.CLOSED if number == ROUNDS - 1 else State.HALF_OPEN)
    for thread in threads:
        thread.join()


def test_probes_that_threads_make_and_report_never_overlap() -> None:
    clock = Clock()
    breaker = opened(clock, BreakerLimits(minimum_calls=1, open_for=1.0, trial_calls=PROBES))
    clock.pass_(1.0)
    under_way = threading.Semaphore(1)
    overlaps: list[str] = []
    made: list[Permit] = []

    def call() -> None:
        while breaker.state is State.HALF_OPEN or breaker.state is State.OPEN:
            permit = breaker.allow()
            if not isinstance(permit, Permit) or not permit.probe:
                time.sleep(0)  # let others run
                continue
            if not under_way.acquire(blocking=False):
                overlaps.append(threading.current_thread().name)
            else:
                time.sleep(0)
                under_way.release()
            made.append(permit)
            breaker.succeeded(permit, 0.0)

    threads = [threading.Thread(target=call, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not overlaps
    assert len(made) == PROBES
    assert breaker.state is State.CLOSED


def test_what_threads_report_is_counted_to_the_last() -> None:
    clock = Clock()
    breaker = Breaker("sms", BreakerLimits(minimum_calls=100_000), clock=clock)

    def call() -> None:
        for number in range(500):
            permit = breaker.allow()
            assert isinstance(permit, Permit)
            if number % 5:
                breaker.succeeded(permit, 0.0)
            else:
                breaker.failed(permit)

    threads = [threading.Thread(target=call, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = breaker.counts()
    assert (counts.calls, counts.failures) == (4000, 800)
