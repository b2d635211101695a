"""Why an epoch cannot be taken, in words that say what to do."""

from __future__ import annotations

from dataclasses import dataclass

from wayfare_engine.errors import MISSING, USAGE, SaidToPeople


@dataclass(eq=False)
class EpochTaken(SaidToPeople):
    """Somebody else created the object of this epoch."""

    plan: str
    epoch: int
    site: str
    at: str

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch} of plan {self.plan} was taken by site {self.site} at {self.at}; "
            "`wayfare lease show` says who may act now"
        )


@dataclass(eq=False)
class NotNextEpoch(SaidToPeople):
    """The epoch before the wanted one was never taken."""

    exit_code = USAGE

    plan: str
    epoch: int

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch} of plan {self.plan} is not the next one: epoch {self.epoch - 1} "
            "was never taken; `wayfare lease history` lists those that were"
        )


@dataclass(eq=False)
class LeaseLost(SaidToPeople):
    """The store does not hold a lease object that was once seen."""

    exit_code = MISSING

    url: str
    plan: str
    seen: int
    found: int

    def __str__(self) -> str:
        return (
            f"object store {self.url}: epoch {self.seen} of plan {self.plan} was taken, and the "
            f"store knows none above {self.found}. It is another bucket or prefix, or a copy that "
            "lags, or lease objects were deleted; nobody may act on its word. Point both sites at "
            "the store that holds it"
        )


@dataclass(eq=False)
class LeaseDamaged(SaidToPeople):
    """A lease object that cannot be read, or is from a newer version."""

    path: str
    cause: str

    def __str__(self) -> str:
        return (
            f"lease object {self.path}: {self.cause}; it is never rewritten, so look who wrote it"
        )


@dataclass(eq=False)
class StatementNeeded(SaidToPeople):
    """Nothing says that the other site stopped, and the plan may accept a statement only."""

    exit_code = USAGE

    plan: str
    only: bool

    def __str__(self) -> str:
        why = "has takeover: Statement" if self.only else "is held by another site"
        return (
            f"plan {self.plan} {why}. Say that the other site is off or cut off, and how you "
            'know it: --statement "…"'
        )


@dataclass(eq=False)
class NotStale(SaidToPeople):
    """The holder's beats go on."""

    site: str
    age: float | None
    limit: float

    def __str__(self) -> str:
        seen = "was never seen" if self.age is None else f"is {self.age:.0f} s old"
        return (
            f"site {self.site} still holds the lease: its newest beat {seen}, and counts as "
            f"stale after {self.limit:.0f} s. For a planned move use a switchover; when the site "
            'is off or cut off and you know it, say so: --statement "…"'
        )


@dataclass(eq=False)
class EndDamaged(SaidToPeople):
    """The last object of an older chain is not whole: that chain could not be ended."""

    epoch: int
    chain: str
    cause: str

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch} was not taken, nothing has changed: the chain {self.chain} could "
            f"not be ended after it, and then nobody could act. {self.cause}. Put that object back "
            "from the bucket's versions or a copy, then try again"
        )


@dataclass(eq=False)
class Replicated(SaidToPeople):
    """The store is declared to be an asynchronous copy."""

    exit_code = USAGE

    url: str

    def __str__(self) -> str:
        return (
            f"object store {self.url} is declared as asynchronously replicated: two sites could "
            "each take the same epoch. Use one bucket that both sites reach, or a store that "
            "confirms a write only when every copy has it"
        )


@dataclass(eq=False)
class DatabaseOfAnotherSite(SaidToPeople):
    """The database sealed, or took epochs, as another site than the one that is meant."""

    exit_code = USAGE

    site: str
    other: str

    def __str__(self) -> str:
        return (
            f"the database given is site {self.other}'s, and site {self.site} was asked for; "
            "nothing was taken. Give the address of this site's own database, or --site "
            f"{self.other}"
        )
