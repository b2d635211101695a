"""What can be wrong with a journal, in words that name the object and say what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from wayfare_engine.errors import MISSING, SaidToPeople


@dataclass(eq=False)
class SegmentDamaged(SaidToPeople):
    """The bytes are no segment, or not the ones that were written. `what` says where."""

    what: str

    def __str__(self) -> str:
        return f"damaged segment: {self.what}"


@dataclass(eq=False)
class NewerFormat(SaidToPeople):
    """Written by a newer version of this program. Nothing of it was used."""

    exit_code = MISSING

    found: int
    known: int

    def __str__(self) -> str:
        return (
            f"the journal has format {self.found}, this version reads up to {self.known}; "
            "upgrade this site first, nothing was applied"
        )


@dataclass(eq=False)
class ChainProblem(SaidToPeople):
    """A chain is not what its writer left. `path` is the object at which that shows; `problem` is
    one of the class's words."""

    DAMAGED: ClassVar = "damaged"
    MISSING: ClassVar = "missing"
    OUT_OF_PLACE: ClassVar = "out of place"
    FOREIGN: ClassVar = "foreign"
    FORKED: ClassVar = "forked"
    AFTER_CLOSED: ClassVar = "after closed"

    path: str
    problem: str
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}: {self.detail}"


@dataclass(eq=False)
class ChainConflict(SaidToPeople):
    """Another object stands where this site's next segment belongs, and it is not ours."""

    path: str
    detail: str

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.detail}. Sealing has stopped, and rows wait in PostgreSQL. Is a "
            "second database sealing as this site and epoch, or was this one restored from an "
            "older copy? `wayfare journal verify` shows what the chain holds"
        )


@dataclass(eq=False)
class EpochOver(SaidToPeople):
    """The chain is closed: a higher epoch was taken. Rows sealed no more are the stranded tail."""

    site: str
    epoch: int
    by: int

    def __str__(self) -> str:
        return (
            f"the chain of site {self.site}, epoch {self.epoch}, was closed by epoch {self.by}: "
            "this site no longer seals under it"
        )


@dataclass(eq=False)
class StrandedHere(SaidToPeople):
    """This database wrote rows of a chain that was closed before they were sealed."""

    site: str
    epoch: int
    closed_by: int
    rows: int

    def __str__(self) -> str:
        return (
            f"this database has {self.rows:,} rows of {self.site}, epoch {self.epoch}, that were "
            f"not sealed when epoch {self.closed_by} closed its chain, and its projections hold "
            "what they say; run `wayfare reconcile recover` and `wayfare ledger rebuild` here, and "
            "then this again"
        )
