"""The breaker does what a small model of it does, over any order of calls and times.

The model keeps every call with its time and counts them anew each time. All times are whole
seconds and a bucket is one second, so that the breaker's buckets forget as exactly as it does.
"""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.guards.clock import Clock
from wayfare_engine.guards import (
    Breaker,
    BreakerLimits,
    Change,
    Manual,
    Outcome,
    Permit,
    State,
)

LIMITS = BreakerLimits(
    failure_percent=50,
    minimum_calls=3,
    window=10.0,
    buckets=10,
    open_for=4.0,
    open_growth=2.0,
    longest_open=12.0,
    trial_calls=2,
    probe_lease=6.0,
    slow_after=1.0,
    slow_percent=60,
)


class Model:
    """What should be, in the plainest words."""

    def __init__(self) -> None:
        self.state = State.CLOSED
        self.life = 0  # grows with each change of state
        self.calls: list[tuple[float, Outcome]] = []
        self.until = 0.0
        self.bad_trials = 0
        self.good_probes = 0
        self.probe: tuple[int, float] | None = None  # its number, the end of its lease
        self.probes = 0

    def move(self, state: State) -> None:
        self.state, self.life, self.calls = state, self.life + 1, []
        self.good_probes, self.probe = 0, None

    def open(self, now: float) -> None:
        self.move(State.OPEN)
        self.until = now + min(4.0 * 2**self.bad_trials, 12.0)

    def allow(self, now: float) -> tuple[int, int] | None:
        """(life, number of the probe or 0), None: refused."""
        if self.state in (State.CLOSED, State.FORCED_CLOSED):
            return self.life, 0
        if self.state is State.FORCED_OPEN or (self.state is State.OPEN and now < self.until):
            return None
        if self.state is State.OPEN:
            self.move(State.HALF_OPEN)
        if self.probe is not None and now < self.probe[1]:
            return None
        self.probes += 1
        self.probe = self.probes, now + 6.0
        return self.life, self.probes

    def ended(self, now: float, given: tuple[int, int], outcome: Outcome) -> None:
        life, number = given
        if life != self.life:
            return
        if number == 0:
            self.calls.append((now, outcome))
            self.calls = [call for call in self.calls if call[0] > now - 10.0]
            bad = sum(call[1] is Outcome.FAILURE for call in self.calls)
            slow = sum(call[1] is Outcome.SLOW for call in self.calls)
            enough = len(self.calls) >= 3
            if (
                self.state is State.CLOSED
                and enough
                and (bad / len(self.calls) >= 0.5 or slow / len(self.calls) >= 0.6)
            ):
                self.open(now)
        elif self.probe is not None and self.probe[0] == number:
            self.probe = None
            if outcome is not Outcome.SUCCESS:
                self.bad_trials += 1
                self.open(now)
            else:
                self.good_probes += 1
                if self.good_probes == 2:
                    self.bad_trials = 0
                    self.move(State.CLOSED)

    def give_back(self, given: tuple[int, int]) -> None:
        if self.probe is not None and given == (self.life, self.probe[0]):
            self.probe = None

    def force(self, manual: Manual) -> None:
        if manual is Manual.AUTO:
            if self.state in (State.FORCED_OPEN, State.FORCED_CLOSED):
                self.move(State.CLOSED)
                self.bad_trials = 0
        elif self.state.value != manual.value:
            self.move(State(manual.value))


class BreakerAndModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.changes: list[Change] = []
        self.breaker = Breaker("sms", LIMITS, clock=self.clock, report=self.changes.append)
        self.model = Model()
        self.given: list[tuple[Permit, tuple[int, int]]] = []

    @rule(times=st.integers(1, 4))
    def ask(self, times: int) -> None:
        for _ in range(times):
            real, wanted = self.breaker.allow(), self.model.allow(self.clock.now)
            assert isinstance(real, Permit) == (wanted is not None)
            if isinstance(real, Permit) and wanted is not None:
                assert real.probe == (wanted[1] > 0)
                self.given.append((real, wanted))

    @rule(which=st.integers(0), outcome=st.sampled_from(Outcome))
    def end(self, which: int, outcome: Outcome) -> None:
        if self.given:
            permit, wanted = self.given.pop(which % len(self.given))
            self.breaker.ended(permit, outcome)
            self.model.ended(self.clock.now, wanted, outcome)

    @rule(which=st.integers(0))
    def give_back(self, which: int) -> None:
        if self.given:
            permit, wanted = self.given.pop(which % len(self.given))
            self.breaker.give_back(permit)
            self.model.give_back(wanted)

    @rule(times=st.integers(1, 4), outcome=st.sampled_from(Outcome))
    def call(self, times: int, outcome: Outcome) -> None:
        for _ in range(times):
            self.ask(1)
            self.end(len(self.given) - 1 if self.given else 0, outcome)

    @rule(seconds=st.integers(1, 13))
    def wait(self, seconds: int) -> None:
        self.clock.pass_(float(seconds))

    @rule(manual=st.sampled_from([Manual.AUTO, Manual.AUTO, *Manual]))
    def force(self, manual: Manual) -> None:
        self.breaker.force(manual)
        self.model.force(manual)

    @invariant()
    def they_agree(self) -> None:
        assert self.breaker.state is self.model.state
        counts = self.breaker.counts()
        now = self.clock.now
        assert counts.calls == sum(call[0] > now - 10.0 for call in self.model.calls)

    @invariant()
    def changes_form_a_chain(self) -> None:
        states = [State.CLOSED, *(change.after for change in self.changes)]
        assert [change.before for change in self.changes] == states[:-1]
        assert states[-1] is self.breaker.state


TestBreakerAndModel = BreakerAndModel.TestCase
TestBreakerAndModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
