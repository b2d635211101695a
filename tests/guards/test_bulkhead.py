"""So many run, so many wait, in their order; what does not fit is refused at once."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tests.servers.wait import until
from wayfare_engine.guards import BadLimit, Bulkhead, Full, Place


def enter(bulkhead: Bulkhead, at_most: float | None = None) -> Place:
    place = bulkhead.enter(at_most)
    assert isinstance(place, Place)
    return place


def test_what_does_not_fit_is_refused_with_how_full_it_is() -> None:
    bulkhead = Bulkhead("sms", concurrency=2, queue=0, wait=0.0)
    places = [enter(bulkhead), enter(bulkhead)]
    refused = bulkhead.enter()
    assert refused == Full("sms", 2, 2, 0, 0, 0.0)
    assert str(refused) == "sms: no place (2 of 2 run, 0 of 0 wait)"
    places[0].leave()
    enter(bulkhead)


def test_the_queue_is_bounded_and_a_full_one_refuses_at_once() -> None:
    bulkhead = Bulkhead("sms", concurrency=1, queue=1, wait=60.0)
    place = enter(bulkhead)
    entered: list[Place | Full] = []
    waiter = threading.Thread(target=lambda: entered.append(bulkhead.enter()), daemon=True)
    waiter.start()
    until(lambda: bulkhead.waiting == 1, every=0.005)
    assert bulkhead.enter() == Full("sms", 1, 1, 1, 1, 0.0)
    place.leave()
    waiter.join(30)
    assert isinstance(entered[0], Place)
    assert (bulkhead.running, bulkhead.waiting) == (1, 0)


def test_the_wait_ends_and_leaves_no_trace() -> None:
    bulkhead = Bulkhead("sms", concurrency=1, queue=5, wait=60.0)
    place = enter(bulkhead)
    refused = bulkhead.enter(at_most=0.02)
    assert refused == Full("sms", 1, 1, 0, 5, 0.02)
    assert "after 0.02 s in the queue" in str(refused)
    assert bulkhead.waiting == 0
    place.leave()
    assert bulkhead.running == 0


def test_a_caller_without_time_left_does_not_wait() -> None:
    bulkhead = Bulkhead("sms", concurrency=1, queue=5, wait=60.0)
    place = enter(bulkhead, at_most=-1.0)
    assert isinstance(bulkhead.enter(at_most=0.0), Full)
    place.leave()


def test_those_who_wait_are_served_in_the_order_in_which_they_came() -> None:
    bulkhead = Bulkhead("sms", concurrency=1, queue=10, wait=60.0)
    first = enter(bulkhead)
    served: list[int] = []

    def wait(number: int) -> None:
        with enter(bulkhead):
            served.append(number)

    threads = []
    for number in range(10):
        threads.append(threading.Thread(target=wait, args=(number,), daemon=True))
        threads[-1].start()
        until(lambda: bulkhead.waiting == len(threads), every=0.001)
    first.leave()
    for thread in threads:
        thread.join(30)
    assert served == list(range(10))
    assert bulkhead.running == 0


def test_a_place_that_is_left_twice_is_one_place() -> None:
    bulkhead = Bulkhead("sms", concurrency=1, queue=0, wait=0.0)
    place = enter(bulkhead)
    place.leave()
    place.leave()
    enter(bulkhead)
    assert isinstance(bulkhead.enter(), Full)


def test_a_call_that_raises_leaves_its_place() -> None:
    bulkhead = Bulkhead("sms", concurrency=1, queue=0, wait=0.0)
    with pytest.raises(RuntimeError), enter(bulkhead):
        raise RuntimeError
    assert bulkhead.running == 0


def test_never_more_run_than_may_and_every_caller_gets_an_answer() -> None:
    bulkhead = Bulkhead("sms", concurrency=4, queue=8, wait=0.002)
    inside = threading.Semaphore(4)
    lock = threading.Lock()
    seen = {"over": 0, "ran": 0, "refused": 0}

    def count(what: str) -> None:
        with lock:
            seen[what] += 1

    def call() -> None:
        for _ in range(50):
            place = bulkhead.enter()
            if isinstance(place, Full):
                count("refused")
                continue
            with place:
                if not inside.acquire(blocking=False):
                    count("over")
                    continue
                time.sleep(0.0002)
                inside.release()
                count("ran")

    threads = [threading.Thread(target=call, daemon=True) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen["over"] == 0
    assert seen["ran"] + seen["refused"] == 24 * 50
    assert seen["ran"] > 0
    assert (bulkhead.running, bulkhead.waiting) == (0, 0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"concurrency": 0}, "concurrency is 0, and must be a whole number from 1 to 10,000"),
        ({"queue": -1}, "queue is -1, and must be a whole number from 0 to 10,000,000"),
        ({"wait": -0.1}, "wait is -0.1, and must be not below 0 and at most 86,400 seconds"),
        ({"wait": 0.0}, "wait is 0.0, and must be above 0, or nobody of the queue (5) waits"),
    ],
)
def test_nonsense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadLimit) as refused:
        Bulkhead("sms", **({"concurrency": 1, "queue": 5, "wait": 1.0} | fields))
    assert str(refused.value) == f"bulkhead: {message}"
