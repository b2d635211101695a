"""What can become of a candidate, and what a decision is."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from wayfare_engine.plan import Candidate


class Outcome(StrEnum):
    """Why a candidate was or was not chosen; recorded with decisions and shown to people."""

    WON = "Won"
    PAUSED = "Paused"
    NOT_STARTED = "NotStarted"
    ENDED = "Ended"
    OUTSIDE_WINDOW = "OutsideWindow"
    NOT_IN_AUDIENCE = "NotInAudience"
    CONDITION_FALSE = "ConditionFalse"
    CONDITION_ERROR = "ConditionError"
    CHANNEL_OPEN = "ChannelOpen"
    LOWER_PRIORITY = "LowerPriority"


class DecisionReason(StrEnum):
    """Why a decision is what it is."""

    WON = "Won"
    NONE_ELIGIBLE = "NoneEligible"


class ConditionError(NamedTuple):
    """A candidate that was left out because its condition could not be evaluated."""

    journey: str
    node: str
    message: str


class Decision(NamedTuple):
    """The winner, if any. condition_errors: of candidates that come before the winner.
    alternative: the winner's alternative is shown, because nothing leaves through its channel."""

    winner: Candidate | None
    reason: DecisionReason
    condition_errors: tuple[ConditionError, ...]
    alternative: bool = False

    @property
    def content(self) -> dict[str, Any] | None:
        """What is shown; None when there is no winner."""
        if self.winner is None:
            return None
        return self.winner.alternative if self.alternative else self.winner.content


class Considered(NamedTuple):
    """One candidate in an explanation. detail: a sentence, or empty when the reason says it all."""

    journey: str
    node: str
    priority: int
    outcome: Outcome
    detail: str

    @property
    def reason(self) -> str:
        """The outcome's word."""
        return self.outcome.value


class UnknownSlot(LookupError):
    """No journey of the plan has this slot."""

    def __init__(self, slot: str) -> None:
        self.slot = slot
        super().__init__(f"no journey fills a slot {slot!r}")
