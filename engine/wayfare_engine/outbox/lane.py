"""One channel's calls: so many at a time, so many that wait in their order, at its rate at most.

Each channel has a lane of its own, with threads of its own: one that hangs holds up no other. What
does not fit is not dispatched at all (`room`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wayfare_engine.guards import RateLimit
from wayfare_engine.outbox.channel import BatchHost, Channel, Send

#: Of a batch's payloads: well below what a host must take (`contract.MOST_BYTES`).
_MOST_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Waiting:
    """A send that waits for its call. `until`: for the rate it waits no longer (CLOCK_BOOTTIME)."""

    send: Send
    generation: int
    until: float


class Lane:
    """`call` makes one call and returns how many of the sends really left; `hold` is told of those
    whose turn by the rate would come too late. `patience` is how long a send waits for the rate,
    in seconds. `boottime` is CLOCK_BOOTTIME."""

    def __init__(
        self,
        channel: Channel,
        *,
        call: Callable[[Sequence[Waiting]], int],
        hold: Callable[[Sequence[Waiting], str], None],
        patience: float,
        boottime: Callable[[], float],
    ) -> None:
        self._channel = channel
        self._call = call
        self._hold = hold
        self._patience = patience
        self._boottime = boottime
        rate = channel.rate
        self._limit = (
            None if rate is None else RateLimit.strict(rate.count, rate.per, clock=boottime)
        )
        # Known once: this way of asking takes its time.
        self._batching = channel.host if isinstance(channel.host, BatchHost) else None
        self._changed = threading.Condition()
        self._waiting: deque[Waiting] = deque()
        self._asking: deque[Callable[[], None]] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = self._calling = 0
        self._most = 1
        self._stopping = False

    def room(self, under_way: int) -> int:
        """How many more may be dispatched, with so many under way."""
        channel = self._channel
        places = channel.concurrency * self._most
        if channel.at_once is not None:
            places = min(places, channel.at_once)
        places += channel.queue
        if channel.most_ahead is not None:
            places = min(places, channel.most_ahead)
        if self._limit is not None:
            # What has left has had its token.
            places = min(places, self._limit.within(self._patience) + self._calling)
        return places - under_way

    def share(self, part: float) -> None:
        """This worker's part of the channel's rate, above 0; the other workers have the rest."""
        if self._limit is not None:
            self._limit.share(part)

    def put(self, sends: Sequence[Send], generation: int) -> None:
        """Sends that may leave from now on."""
        until = self._boottime() + self._patience
        with self._changed:
            self._waiting.extend(Waiting(send, generation, until) for send in sends)
            self._wake()

    def ask(self, question: Callable[[], None]) -> None:
        """Something else that takes a place; it goes before what waits."""
        with self._changed:
            self._asking.append(question)
            self._wake()

    def stop(self) -> None:
        """End when nothing waits any more: `call` is given all that does, at once."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _wake(self) -> None:
        if self._idle:
            self._changed.notify()
        elif len(self._threads) < self._channel.concurrency:
            name = f"send-{self._channel.name}-{len(self._threads)}"
            self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
            self._threads[-1].start()

    def _work(self) -> None:
        while True:
            # It may ask the host, and nobody waits for that.
            if self._batching is not None:
                self._most = max(1, self._batching.batch_size())
            job = self._next()
            if job is None:
                return
            job()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while True:
                if self._asking:
                    return self._asking.popleft()
                pause = None
                if self._waiting:
                    found, pause = self._take()
                    if found is not None:
                        if self._waiting or self._asking:
                            self._wake()
                        return found
                elif self._stopping:
                    return None
                self._idle += 1
                self._changed.wait(pause)
                self._idle -= 1

    def _take(self) -> tuple[Callable[[], None] | None, float | None]:
        """What is to be done with the first that wait, or the seconds to wait with them (None:
        until a call ends)."""
        count = self._fitting()
        if not count:
            return None, None
        if self._limit is not None and not self._stopping:
            granted, pause = self._limit.take_some(count)
            if not granted:
                return self._too_late(pause), pause
            count = granted
        batch = [self._waiting.popleft() for _ in range(count)]
        self._calling += count
        return lambda: self._made(batch), 0.0

    def _fitting(self) -> int:
        """How many of those that wait fit into one call now."""
        most = self._most
        if self._channel.at_once is not None and not self._stopping:
            most = min(most, self._channel.at_once - self._calling)
        count, size = 0, 0
        for one in self._waiting:
            payload = one.send.payload
            size += len(payload) * (1 if payload.isascii() else 4)
            if count >= most or (count and size > _MOST_BYTES):
                break
            count += 1
        return count

    def _too_late(self, pause: float) -> Callable[[], None] | None:
        now, late = self._boottime(), list[Waiting]()
        while self._waiting and self._waiting[0].until < now + pause:
            late.append(self._waiting.popleft())
        rate = self._channel.rate
        if not late or rate is None:
            return None
        return lambda: self._hold(late, f"rate limit: {rate.count} in {rate.per:g} s")

    def _made(self, batch: Sequence[Waiting]) -> None:
        made = 0
        try:
            made = self._call(batch)
        finally:
            with self._changed:
                self._calling -= len(batch)
                if self._waiting and self._idle:
                    # There is a place again, and this thread may be given something else first.
                    self._changed.notify()
            if self._limit is not None and made < len(batch):
                self._limit.give_back(len(batch) - made)
