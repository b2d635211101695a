"""Decisions: what a customer is shown in a slot, and why not the rest."""

from wayfare_engine.decide.decider import Decider
from wayfare_engine.decide.outcomes import (
    ConditionError,
    Considered,
    Decision,
    DecisionReason,
    Outcome,
    UnknownSlot,
)

__all__ = [
    "ConditionError",
    "Considered",
    "Decider",
    "Decision",
    "DecisionReason",
    "Outcome",
    "UnknownSlot",
]
