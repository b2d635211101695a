"""Why a tail cannot be recovered or merged now, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from wayfare_engine.errors import SaidToPeople


@dataclass(eq=False)
class ChainOpen(SaidToPeople):
    """Rows of a chain that nobody closed: they may still be sealed, so they are not stranded."""

    site: str
    epoch: int
    highest: int

    def __str__(self) -> str:
        return (
            f"the chain of {self.site}, epoch {self.epoch}, is not closed, although epoch "
            f"{self.highest} was taken; let the taker finish (`wayfare lease take` again), then "
            "repeat this"
        )


@dataclass(eq=False)
class NoSuchTail(SaidToPeople):
    """The store has no manifest of that name."""

    wanted: str
    url: str

    def __str__(self) -> str:
        return (
            f"there is no stranded tail {self.wanted!r} in {self.url}; `wayfare reconcile list` "
            "shows those that there are, and `wayfare reconcile recover` at the returned site "
            "makes one"
        )


@dataclass(eq=False)
class TailDamaged(SaidToPeople):
    """An object of a tail is missing, or not what its name says."""

    path: str
    what: str

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.what}; nothing of it was merged. Recover the tail again at the "
            "site that has it"
        )


@dataclass(eq=False)
class NotCaughtUp(SaidToPeople):
    """The rules compare with what the lost site had shipped, and not all of that is applied."""

    site: str
    epoch: int

    def __str__(self) -> str:
        return (
            f"the chain of {self.site}, epoch {self.epoch}, is not applied here to its end; run "
            "`wayfare journal catch-up` first"
        )


@dataclass(eq=False)
class NotRebuilt(SaidToPeople):
    """This database's projections hold rows that are in no chain."""

    rows: int

    def __str__(self) -> str:
        return (
            f"this database applied {self.rows} rows that are in no chain and were recovered as "
            "stranded; run `wayfare ledger rebuild` first, which makes its projections what the "
            "chains alone give"
        )


@dataclass(eq=False)
class MergeRunning(SaidToPeople):
    """Another session merges into this database."""

    def __str__(self) -> str:
        return "another process merges into this database already; wait for it, or end it"
