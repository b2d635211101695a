"""Putting back what a lost site had and never shipped: stranded tails, their merge, its rules.

At the returned site `recover` computes the tail from the closed chain and puts it into the store;
at the site that acts `merge` decides about each of its rows by the rules of `rules`, and appends
what it decided to the acting epoch's chain. `report` tells what became of each row.
"""

from wayfare_engine.reconcile.merge import Merged, merge
from wayfare_engine.reconcile.problems import (
    ChainOpen,
    NoSuchTail,
    NotCaughtUp,
    NotRebuilt,
    TailDamaged,
)
from wayfare_engine.reconcile.report import Entry, Summary, entries, summary
from wayfare_engine.reconcile.rules import RULES, Resolution
from wayfare_engine.reconcile.stranded import recover
from wayfare_engine.reconcile.tail import Tail, tails

__all__ = [
    "RULES",
    "ChainOpen",
    "Entry",
    "Merged",
    "NoSuchTail",
    "NotCaughtUp",
    "NotRebuilt",
    "Resolution",
    "Summary",
    "Tail",
    "TailDamaged",
    "entries",
    "merge",
    "recover",
    "summary",
    "tails",
]
