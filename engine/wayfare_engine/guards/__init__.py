"""What stands around each call of a channel. See docs/guards.md for their order."""

from wayfare_engine.guards.breaker import Breaker
from wayfare_engine.guards.breaker_limits import BreakerLimits
from wayfare_engine.guards.limits import BadLimit
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
    "Manual",
    "Outcome",
    "Permit",
    "Refused",
    "SharedBreaker",
    "Sharing",
    "State",
    "bounded_client",
]
