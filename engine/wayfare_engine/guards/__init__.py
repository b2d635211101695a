"""What stands around each call of a channel. See docs/guards.md for their order."""

from wayfare_engine.guards.backoff import FullJitter
from wayfare_engine.guards.breaker import Breaker
from wayfare_engine.guards.breaker_limits import BreakerLimits
from wayfare_engine.guards.limits import BadLimit
from wayfare_engine.guards.rate_limit import RateLimit
from wayfare_engine.guards.retry_budget import RetryBudget, Spent
from wayfare_engine.guards.shared_breaker import SharedBreaker
from wayfare_engine.guards.sharing import Sharing
from wayfare_engine.guards.states import Change, Counts, Manual, Outcome, Permit, Refused, State
from wayfare_engine.guards.valkey_script import bounded_client

__all__ = [
    "BadLimit",
    "Breaker",
    "BreakerLimits",
    "Change",
    "Counts",
    "FullJitter",
    "Manual",
    "Outcome",
    "Permit",
    "RateLimit",
    "Refused",
    "RetryBudget",
    "SharedBreaker",
    "Sharing",
    "Spent",
    "State",
    "bounded_client",
]
