"""The words of a breaker: where it stands, what a caller is given, what is reported."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Where a breaker stands."""

    CLOSED = "Closed"
    OPEN = "Open"
    HALF_OPEN = "HalfOpen"
    FORCED_OPEN = "ForcedOpen"
    FORCED_CLOSED = "ForcedClosed"


class Manual(Enum):
    """What a person says of a breaker. `Auto`: it decides by what calls come to."""

    AUTO = "Auto"
    FORCED_OPEN = "ForcedOpen"
    FORCED_CLOSED = "ForcedClosed"


class Outcome(Enum):
    """What a call came to. A slow one succeeded, after longer than `slow_after`."""

    SUCCESS = "Success"
    SLOW = "Slow"
    FAILURE = "Failure"


@dataclass(frozen=True, eq=False, slots=True)
class Permit:
    """The right to make one call. It is known by its identity: what is reported with one that was
    given under an earlier state is not counted. `token` is set for a probe that Valkey gave."""

    probe: bool = False
    token: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """No call now. Asking again makes sense after `again` seconds; infinity: not by waiting."""

    name: str
    state: State
    again: float


@dataclass(frozen=True, slots=True)
class Change:
    """A breaker went from one state to another, and why, in words for people."""

    name: str
    before: State
    after: State
    why: str


@dataclass(frozen=True, slots=True)
class Counts:
    """The calls in a window, by what they came to; `slow` are among the successes."""

    calls: int = 0
    failures: int = 0
    slow: int = 0
