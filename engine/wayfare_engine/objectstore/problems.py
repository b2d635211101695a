"""What can be wrong with an object store, in words that say what to do."""

from __future__ import annotations

from dataclasses import dataclass

from wayfare_engine.errors import MISSING, SaidToPeople


@dataclass(eq=False)
class StoreProblem(SaidToPeople):
    """The store answers, and cannot be used as it is: wrong credentials, region, owner."""

    exit_code = MISSING

    url: str
    cause: str
    hint: str = ""

    def __str__(self) -> str:
        return f"object store {self.url}: {self.cause}" + (f"; {self.hint}" if self.hint else "")


class StoreUnavailable(StoreProblem):
    """The store does not answer, or not now. What waits for it goes on waiting.

    The outcome of the call is unknown: a write may have taken effect.
    """


class StoreFull(StoreUnavailable):
    """The store has no room for more, or a quota is used up. What waits for it goes on waiting."""


class StoreUnfit(StoreProblem):
    """The store lacks something that the journal and the lease rely on."""


class ForeignStore(StoreProblem):
    """The store belongs to another plan, or to a newer version of this program."""
