"""What a worker adds to a send between the store's answer and the host's, without a network.

`overhead_us`: the processor's time from putting `count` sends into a channel's lane until all have
ended, a send, with everything around the call: places and queue, rate, breaker, retry budget, the
right to act, and the accounting of what is under way. The host is in this process, takes one send a
call and accepts it at once; the channel has one place, so that only what the guards cost is seen.
`overhead_crowded_us`: the same with 16 places, whose threads get in each other's way as they never
do when a call takes a network's time. `overhead_batched_us`: with 16 places and calls of 100. The
baseline, measured in turns with them, is a thread pool of 16 threads that calls the host for each
send and guards nothing: `overhead_crowded_vs_pool` is their ratio.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from statistics import median
from typing import Any

from wayfare_engine.channels.clock import boottime
from wayfare_engine.clock import now
from wayfare_engine.guards import Breaker, BreakerLimits
from wayfare_engine.lease.guard import Guard
from wayfare_engine.outbox import Channel, Key, Rate, Send
from wayfare_engine.outbox.calls import Calls
from wayfare_engine.outbox.channel import Answer, HandOver, Reading, Result
from wayfare_engine.outbox.lane import Lane
from wayfare_engine.outbox.retries import Retries
from wayfare_engine.outbox.under_way import UnderWay

COUNT, ROUNDS, THREADS = 5_000, 9, 16
_ACCEPTED = Answer(Result.ACCEPTED, "", "p-1")
_WINDOW = 5.0


class Accepting:
    """A host that accepts at once, `most` in a call."""

    def __init__(self, most: int) -> None:
        self._most = most

    def batch_size(self) -> int:
        """See `BatchHost.batch_size`."""
        return self._most

    def reading(self, youngest: float) -> Reading:
        """See `Host.reading`."""
        return Reading("now", boottime())

    def hand_over(self, what: HandOver) -> Answer:
        """See `Host.hand_over`."""
        return _ACCEPTED

    def hand_over_batch(self, what: Sequence[HandOver]) -> Sequence[Answer]:
        """See `BatchHost.hand_over_batch`."""
        return [_ACCEPTED] * len(what)

    def took_effect(self, send_key: str, seconds: float) -> bool:
        """See `Host.took_effect`."""
        return True


def measure(scale: float) -> dict[str, Any]:
    """The figures, over nine rounds of `scale` of 5,000 sends; microseconds a send."""
    count = max(500, int(COUNT * scale))
    seen: dict[str, list[float]] = {"one": [], "crowded": [], "batched": [], "pool": []}
    for _ in range(ROUNDS):
        seen["pool"].append(_pool(count))
        seen["one"].append(_guarded(count, 1, places=1))
        seen["crowded"].append(_guarded(count, 1, places=THREADS))
        seen["batched"].append(_guarded(count, 100, places=THREADS))
    us = {name: median(times) / count * 1e6 for name, times in seen.items()}
    return {
        "overhead_us": round(us["one"], 1),
        "overhead_crowded_us": round(us["crowded"], 1),
        "overhead_batched_us": round(us["batched"], 1),
        "overhead_pool_us": round(us["pool"], 1),
        "overhead_crowded_vs_pool": round(us["crowded"] / us["pool"], 2),
        "overhead_batched_vs_pool": round(us["batched"] / us["pool"], 2),
    }


def _sends(count: int) -> list[Send]:
    at = now()
    return [Send(f"key-{n}", f"customer-{n}", "sms", '{"a":1}', 1, at) for n in range(count)]


def _guarded(count: int, most: int, *, places: int) -> float:
    sends, guard, under_way = _sends(count), Guard(), UnderWay(boottime)
    guard.extend(boottime() + 3600)
    rate = Rate(10_000_000, 1.0)
    channel = Channel("sms", Accepting(most), Key(3600.0), concurrency=places, rate=rate)
    channels = {"sms": channel}
    calls = Calls(
        channels,
        site="east",
        epoch=1,
        guard=guard,
        window=_WINDOW,
        under_way=under_way,
        boottime=boottime,
        clock=now,
        session_alive_at=boottime,
        objection=lambda generation: None if guard.may_send() > 0 else "not held",
        breakers={"sms": Breaker("sms", BreakerLimits(), clock=boottime)},
        retries=Retries(channels, clock=boottime, random=Random(1)),  # noqa: S311
    )
    lane = Lane(channel, call=calls.make, hold=calls.hold, patience=_WINDOW, boottime=boottime)
    under_way.enter(sends)

    def go() -> None:
        lane.put(sends, 0)
        lane.stop()

    seconds = _timed(go)
    ended, doubts = under_way.take_news(count + 1)
    assert len(ended) == count, "each ended"
    assert not doubts
    assert all(one.result == "Accepted" for one in ended)
    return seconds


def _pool(count: int) -> float:
    sends, host = _sends(count), Accepting(1)
    reading = host.reading(0.0)
    done: list[Answer] = []
    lock = threading.Lock()

    def call(send: Send) -> None:
        answer = host.hand_over(HandOver(send, "east", 1, reading, _WINDOW))
        with lock:
            done.append(answer)

    def go() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            for send in sends:
                pool.submit(call, send)

    seconds = _timed(go)
    assert len(done) == count
    return seconds


def _timed(go: Callable[[], None]) -> float:
    began = time.process_time()
    go()
    return time.process_time() - began
