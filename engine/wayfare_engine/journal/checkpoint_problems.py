"""Why there is no checkpoint: nothing was changed then."""

from __future__ import annotations

from dataclasses import dataclass

from wayfare_engine.errors import SaidToPeople


@dataclass(eq=False)
class WritersInside(SaidToPeople):
    """A writer's transaction did not end in time."""

    seconds: float

    def __str__(self) -> str:
        return (
            f"a transaction that writes to the ledger lasts longer than {self.seconds:g} s, so no "
            "checkpoint was taken; find it in pg_stat_activity, and try again"
        )


@dataclass(eq=False)
class NotSealed(SaidToPeople):
    """What is before the checkpoint did not come into the store in time."""

    site: str
    seconds: float

    def __str__(self) -> str:
        return (
            f"rows of site {self.site} that come before the checkpoint were not sealed within "
            f"{self.seconds:g} s, so none was taken; `wayfare journal status` says what holds "
            "sealing back"
        )


@dataclass(eq=False)
class NotAPrefix(SaidToPeople):
    """No segment ends where the checkpoint's snapshot does: a transaction wrote that had begun to
    before it entered its epoch, or the sealer found itself on another instance meanwhile."""

    def __str__(self) -> str:
        return (
            "what came into the chain is not what the checkpoint's snapshot has, so none was "
            "taken: a transaction was older than its entry into the epoch, or PostgreSQL was "
            "replaced meanwhile; try again"
        )


@dataclass(eq=False)
class RowsElsewhere(SaidToPeople):
    """Rows of another chain than the acting one are here and in no segment."""

    site: str
    epoch: int
    rows: int

    def __str__(self) -> str:
        return (
            f"{self.rows:,} rows of site {self.site}, epoch {self.epoch}, are in no segment: no "
            "position of the chains describes this database; when they are sealed, or merged back "
            "where their chain is closed, try again"
        )
