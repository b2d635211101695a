"""Why a rebuild is refused: nothing was changed then."""

from __future__ import annotations

from dataclasses import dataclass

from wayfare_engine.errors import SaidToPeople


@dataclass(eq=False)
class SealerAtWork(SaidToPeople):
    """A worker of this site seals, so this site is at work."""

    pid: int | None

    def __str__(self) -> str:
        return (
            f"a worker seals this database (PostgreSQL session {self.pid}); scale the workers to "
            "zero first: nobody can write while the projections are rebuilt"
        )


@dataclass(eq=False)
class RowsUnsealed(SaidToPeople):
    """Rows are in no segment, and not as many as the caller said it would give up."""

    rows: int
    discard: int | None
    pending: bool

    def __str__(self) -> str:
        if self.pending:
            return (
                "a segment is half way to the store; start a worker, which finishes it, and try "
                "again when `wayfare journal status` shows nothing pending"
            )
        if self.discard is None:
            return (
                f"{self.rows:,} rows of this database are in no segment, and a rebuild reads only "
                "the chains. At the site that acts start a worker, which seals them; at one that "
                "was replaced put them into the store with `wayfare reconcile recover`; or give up "
                f"what they changed with --discard-unsealed {self.rows}"
            )
        return (
            f"{self.rows:,} rows of this database are in no segment, not {self.discard:,}: look "
            "again what would be given up"
        )


@dataclass(eq=False)
class StoreLacksChain(SaidToPeople):
    """The store does not have what was applied here."""

    site: str
    epoch: int
    applied: int
    stored: int

    def __str__(self) -> str:
        return (
            f"this database has {self.applied:,} rows of chain {self.site}/{self.epoch}, and the "
            f"store has {self.stored:,} of it: a rebuild would lose the others; is it the right "
            "store?"
        )


@dataclass(eq=False)
class NotFenced(SaidToPeople):
    """Something holds a lock for longer than a writer may."""

    seconds: int
    fenced: bool = False

    def __str__(self) -> str:
        after = "nobody can write until a rebuild has ended" if self.fenced else "nothing changed"
        return (
            f"a transaction of this database did not end within {self.seconds} s; end it (see "
            f"pg_stat_activity) and try again; {after}"
        )
