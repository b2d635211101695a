"""A circuit breaker of one process, with one probe at a time while it is half open.

```
          too many failed or slow                open_for is over, somebody asks
  Closed ────────────────────────► Open ◄──────────────────────────────► HalfOpen
     ▲                                     a probe failed (open_for grows)    │
     └────────────────────────────────────────────────────────────────────────┘
                       trial_calls probes in a row succeeded
```

A caller asks before its call and reports after it:

    permit = breaker.allow()
    if isinstance(permit, Refused): ...
    breaker.succeeded(permit, seconds) | breaker.failed(permit) | breaker.give_back(permit)
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

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
from wayfare_engine.guards.window import Window

#: What a person said, as a state.
FORCED = {
    Manual.FORCED_OPEN: State.FORCED_OPEN,
    Manual.FORCED_CLOSED: State.FORCED_CLOSED,
}
#: Seconds. How long a probe takes is not known, so those who wait for it ask again after this.
ASK_AGAIN = 0.1


class Breaker:
    """`clock` gives seconds that only grow (`time.monotonic`). `report` is told each change.
    `window` is what was counted so far, where there is something; it belongs to the breaker then.

    While closed, `allow()` reads one attribute: no lock, no clock (`bench.guards`). Safe to use
    from several threads.
    """

    def __init__(
        self,
        name: str,
        limits: BreakerLimits,
        *,
        clock: Callable[[], float],
        report: Report | None = None,
        window: Window | None = None,
    ) -> None:
        self.name = name
        self._limits = limits
        self._clock = clock
        self._reports = Reports(report)
        self._lock = threading.Lock()
        self._window = window or Window(limits)
        self._state = State.CLOSED
        #: What callers are given while no question is to be asked; None in all other states.
        self._door: Permit | None = Permit()
        self._probe: Permit | None = None
        self._probe_until = self._open_until = -math.inf
        self._reopened = self._successes = 0

    @property
    def state(self) -> State:
        """Where it stands. `Open` lasts until somebody asks after its time."""
        return self._state

    def counts(self) -> Counts:
        """What is in the window now."""
        with self._lock:
            return self._window.counts(self._clock())

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
        with self._lock:
            now = self._clock()
            if permit is self._door:
                self._window.add(now, outcome)
                why = self._limits.why_open(self._window.counts(now))
                if why is not None and self._state is State.CLOSED:
                    self._open(now, why)
            elif permit is self._probe:
                self._probe = None
                self._judge(now, outcome)
        self._reports.tell()

    def give_back(self, permit: Permit) -> None:
        """No call was made after all. A probe goes to the next who asks."""
        with self._lock:
            if permit is self._probe:
                self._probe = None

    def force(self, manual: Manual) -> None:
        """What a person wants. Back at `Auto` it starts closed, with nothing counted."""
        with self._lock:
            wanted = FORCED.get(manual)
            if wanted is not None and wanted is not self._state:
                self._move(wanted, "set by hand")
            elif wanted is None and self._state in FORCED.values():
                self._move(State.CLOSED, "no longer set by hand")
                self._reopened = 0
        self._reports.tell()

    def open_for_rest(self, seconds: float, why: str) -> None:
        """Take over an opening that was decided elsewhere and has so many seconds left."""
        with self._lock:
            if self._state in (State.CLOSED, State.HALF_OPEN):
                self._move(State.OPEN, why)
                self._open_until = self._clock() + seconds
        self._reports.tell()

    def open_seconds(self) -> float | None:
        """Seconds that it stays open, 0.0 when a probe may be or is under way; None: not open."""
        with self._lock:
            if self._state is State.OPEN:
                return max(0.0, self._open_until - self._clock())
            return 0.0 if self._state is State.HALF_OPEN else None

    def _ask(self) -> Permit | Refused:
        with self._lock:
            answer = self._decide(self._clock())
        self._reports.tell()
        return answer

    def _decide(self, now: float) -> Permit | Refused:
        if self._door is not None:
            return self._door
        if self._state is State.FORCED_OPEN:
            return Refused(self.name, self._state, math.inf)
        if self._state is State.OPEN:
            if now < self._open_until:
                return Refused(self.name, self._state, self._open_until - now)
            self._move(State.HALF_OPEN, "it was open for its time")
        if self._probe is not None and now < self._probe_until:
            again = min(ASK_AGAIN, self._probe_until - now)
            return Refused(self.name, self._state, again)
        self._probe = Permit(probe=True)
        self._probe_until = now + self._limits.probe_lease
        return self._probe

    def _judge(self, now: float, outcome: Outcome) -> None:
        # A slow success ends the trial too: closed, the same slowness would open it again.
        if outcome is not Outcome.SUCCESS:
            self._reopened += 1
            self._open(now, "a probe failed" if outcome is Outcome.FAILURE else "a probe was slow")
            return
        self._successes += 1
        if self._successes >= self._limits.trial_calls:
            self._reopened = 0
            self._move(State.CLOSED, f"{self._successes} probes in a row succeeded")

    def _open(self, now: float, why: str) -> None:
        self._move(State.OPEN, why)
        self._open_until = now + self._limits.open_time(self._reopened)

    def _move(self, after: State, why: str) -> None:
        self._reports.add(Change(self.name, self._state, after, why))
        self._state = after
        self._probe = None
        self._successes = 0
        self._window.clear()
        # A door of its own each time: calls of an earlier one are known as such.
        self._door = Permit() if after in (State.CLOSED, State.FORCED_CLOSED) else None
