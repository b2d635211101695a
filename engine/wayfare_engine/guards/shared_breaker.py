"""A breaker whose state is one for all workers of a site, through Valkey; without it, its own.

Calls are counted here and brought to Valkey by `sync`, which brings back where the breaker stands;
so a call asks nobody while it is closed. Who makes the single probe is decided in Valkey, one
question at a time from each process.

While Valkey is away the process goes on with a breaker of its own, which starts from what was last
known. When Valkey answers again its state counts for all, with one exception: a breaker that a
worker had opened alone is opened for all, for the rest of its time; a trial finds out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from uuid import uuid4

from redis import Redis

from wayfare_engine.guards.breaker import ASK_AGAIN, FORCED, Breaker
from wayfare_engine.guards.breaker_limits import BreakerLimits
from wayfare_engine.guards.reports import Report, Reports
from wayfare_engine.guards.states import (
    Change,
    Counts,
    Manual,
    Outcome,
    Permit,
    Refused,
    State,
)
from wayfare_engine.guards.valkey_script import Away, BreakerScript, Shared
from wayfare_engine.guards.window import Window


def _token() -> str:
    return uuid4().hex


class SharedBreaker:
    """As `Breaker`, with `sync` to be called several times a second (`Sharing` does). `name` is the
    channel's among all that use this Valkey.

    `hurry` is called when the calls of this process alone would open it, so that `sync` need not
    wait. A call may wait for Valkey only while the breaker is not closed: one thread at a time, as
    long as the client allows. Safe to use from several threads.
    """

    def __init__(
        self,
        name: str,
        limits: BreakerLimits,
        client: Redis,
        *,
        clock: Callable[[], float],
        report: Report | None = None,
        tokens: Callable[[], str] = _token,
        hurry: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self._limits = limits
        self._clock = clock
        self._tokens = tokens
        self._hurry = hurry
        self._reports = Reports(report)
        self._script = BreakerScript(client, name, limits)
        #: One question to Valkey at a time, so that answers are taken in in their order.
        self._wire = threading.Lock()
        self._lock = threading.Lock()
        self._life, self._state, self._until = "", State.CLOSED, 0.0
        self._manual = Manual.AUTO
        self._door: Permit | None = None
        self._probe: Permit | None = None
        self._window = Window(limits)
        self._calls = self._failures = self._slow = 0
        # Until Valkey has answered for the first time.
        self._alone: Breaker | None = self._breaker_of_its_own()

    @property
    def state(self) -> State:
        """Where it stands, as this process knows."""
        forced, alone = FORCED.get(self._manual), self._alone
        return forced or (alone.state if alone is not None else self._state)

    @property
    def shared(self) -> bool:
        """Whether Valkey answered the last time, so that the state is that of all workers."""
        return self._alone is None

    def allow(self) -> Permit | Refused:
        """The right to make one call, or why not. Each permit must be reported on once."""
        permit = self._door
        return permit if permit is not None else self._ask()

    def succeeded(self, permit: Permit, seconds: float) -> None:
        """The call succeeded after so many seconds."""
        slow = self._limits.is_slow(seconds)
        self.ended(permit, Outcome.SLOW if slow else Outcome.SUCCESS)

    def failed(self, permit: Permit) -> None:
        """The call failed, or nobody knows what became of it."""
        self.ended(permit, Outcome.FAILURE)

    def ended(self, permit: Permit, outcome: Outcome) -> None:
        """The call came to this. What was allowed under an earlier state is not counted."""
        if permit.token:
            self._end_probe(permit, outcome)
            return
        hurry = False
        with self._lock:
            alone = self._alone
            if permit is self._door and self._manual is Manual.AUTO:
                self._calls += 1
                self._failures += outcome is Outcome.FAILURE
                self._slow += outcome is Outcome.SLOW
                now = self._clock()
                self._window.add(now, outcome)
                hurry = self._limits.why_open(self._window.counts(now)) is not None
        if hurry:
            self._hurry()
        if alone is not None:
            alone.ended(permit, outcome)

    def give_back(self, permit: Permit) -> None:
        """No call was made after all. A probe goes to the next who asks."""
        if permit.token:
            self._end_probe(permit, None)
        elif (alone := self._alone) is not None:
            alone.give_back(permit)

    def force(self, manual: Manual) -> None:
        """What a person wants of this process; each worker is told by itself."""
        with self._lock:
            before = self.state
            self._manual = manual
            self._report_if_moved(before, "set by hand")
            self._set_door()
        self._reports.tell()

    def sync(self) -> bool:
        """Bring to Valkey what was counted and take in where it stands; whether it answered."""
        with self._wire:
            with self._lock:
                counts = Counts(self._calls, self._failures, self._slow)
                self._calls = self._failures = self._slow = 0
                life, alone = self._life, self._alone
            open_seconds = None if alone is None else alone.open_seconds()
            answer = self._exchange(lambda: self._script.sync(life, counts, open_seconds))
        self._reports.tell()
        return answer is not None

    def go_alone(self) -> None:
        """Valkey is away, as another question found: go on with a breaker of its own."""
        self._go_alone()
        self._reports.tell()

    def _go_alone(self) -> None:
        with self._lock:
            if self._alone is not None:
                return
            before = self.state
            alone = self._breaker_of_its_own()
            if self._state is not State.CLOSED:
                alone.open_for_rest(max(0.0, self._until - self._clock()), "")
            self._alone, self._probe = alone, None
            self._report_if_moved(before, "Valkey is away")
            self._set_door()

    def _ask(self) -> Permit | Refused:
        forced, alone = FORCED.get(self._manual), self._alone
        if forced is State.FORCED_OPEN:
            return Refused(self.name, forced, float("inf"))
        if alone is not None:
            return alone.allow()
        left = self._until - self._clock()
        if left > 0:
            return Refused(self.name, self._state, left)
        # Hundreds of threads may ask at once; Valkey is asked by one of them.
        if not self._wire.acquire(blocking=False):
            return Refused(self.name, self._state, ASK_AGAIN)
        try:
            token = self._tokens()
            answer = self._exchange(lambda: self._script.ask(token))
            if answer is not None and answer.granted:
                self._probe = Permit(probe=True, token=token)
                return self._probe
            if self._state is State.HALF_OPEN:
                self._until = self._clock() + ASK_AGAIN
        finally:
            self._wire.release()
            self._reports.tell()
        if (alone := self._alone) is not None:
            return alone.allow()
        return self._door or Refused(self.name, self._state, max(0.0, self._until - self._clock()))

    def _end_probe(self, permit: Permit, outcome: Outcome | None) -> None:
        # A verdict that does not reach Valkey is lost, and the probe's lease ends it there.
        with self._wire:
            if permit is self._probe:
                self._probe = None
                self._exchange(lambda: self._script.ended(permit.token, outcome))
        self._reports.tell()

    def _exchange(self, call: Callable[[], Shared]) -> Shared | None:
        try:
            answer = call()
        except Away:
            self._go_alone()
            return None
        with self._lock:
            self._take_in(answer)
        return answer

    def _take_in(self, answer: Shared) -> None:
        before = self.state
        self._alone = None
        self._until = self._clock() + answer.left
        if answer.life != self._life:
            self._life = answer.life
            self._window.clear()
            self._calls = self._failures = self._slow = 0
            self._door = None
        self._state = answer.state
        self._report_if_moved(before, answer.why)
        self._set_door()

    def _report_if_moved(self, before: State, why: str) -> None:
        if before is not self.state:
            self._reports.add(Change(self.name, before, self.state, why))

    def _set_door(self) -> None:
        if self._manual is Manual.FORCED_CLOSED:
            self._door = Permit()
        elif (
            self._manual is Manual.FORCED_OPEN
            or self._alone is not None
            or self._state is not State.CLOSED
        ):
            self._door = None
        elif self._door is None:
            self._door = Permit()

    def _breaker_of_its_own(self) -> Breaker:
        def tell(change: Change) -> None:
            # Not what it does before it counts, or after it was taken away.
            if self._alone is alone and self._manual is Manual.AUTO:
                self._reports.add(change)
                self._reports.tell()

        window, self._window = self._window, Window(self._limits)
        alone = Breaker(self.name, self._limits, clock=self._clock, report=tell, window=window)
        return alone
