"""The right to act: epochs taken by one object each, checks, beats, and the guard."""

from wayfare_engine.lease.epochs import Held, Lease, Statement, Taken, highest, history, take
from wayfare_engine.lease.guard import Guard
from wayfare_engine.lease.holder import Checked, Holder, Standing, open_lease_store
from wayfare_engine.lease.problems import EpochTaken, LeaseLost, NotNextEpoch
from wayfare_engine.lease.take_epoch import Quiesced, Stale, TakeEpoch
from wayfare_engine.lease.terms import Takeover, Terms, boottime, wait_seconds

__all__ = [
    "Checked",
    "EpochTaken",
    "Guard",
    "Held",
    "Holder",
    "Lease",
    "LeaseLost",
    "NotNextEpoch",
    "Quiesced",
    "Stale",
    "Standing",
    "Statement",
    "TakeEpoch",
    "Taken",
    "Takeover",
    "Terms",
    "boottime",
    "highest",
    "history",
    "open_lease_store",
    "take",
    "wait_seconds",
]
