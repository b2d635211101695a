"""How far each chain was applied to this database: the watermark, and who may move it.

A position moves in the transaction that applies what it covers, so after a crash at any point the
database has exactly the rows up to it. One process at a time applies chains to a database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.errors import LockNotAvailable

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.store.postgresql import end_with_client

_LOCK = 0x57464355  # "WFCU"

Chain = tuple[str, int]


@dataclass(frozen=True)
class Applied:
    """What was applied of a chain: positions 1 to `seq`; `segment` is the digest of the object
    that ends there ("" before the first), `closed_by` the epoch that closed the chain."""

    seq: int = 0
    segment: str = ""
    closed_by: int | None = None


@dataclass(eq=False)
class AlreadyRunning(SaidToPeople):
    """Another session catches this database up."""

    pid: int
    application: str

    def __str__(self) -> str:
        return (
            f"another process catches this database up already (PostgreSQL session {self.pid}, "
            f"{self.application or 'no name'}); wait for it, or end it"
        )


@dataclass(eq=False)
class HeldHere(SaidToPeople):
    """This site holds the epoch: what another site's chain says is not applied beside its own."""

    epoch: int

    def __str__(self) -> str:
        return (
            f"this site holds epoch {self.epoch} by now, so its database no longer follows another "
            "site's chain"
        )


@contextmanager
def only_one(connection: Connection[Any], *, patience: float = 0.0) -> Iterator[None]:
    """Be the only session that applies chains here; it ends with the session too. Another one has
    `patience` seconds to end, or to come to the end of a round.

    Raises AlreadyRunning.
    """
    end_with_client(connection)
    if not _locked(connection, patience):
        holder = connection.execute(
            "SELECT l.pid, a.application_name FROM pg_locks l LEFT JOIN pg_stat_activity a "
            "USING (pid) WHERE l.locktype = 'advisory' AND l.classid = 0 AND l.objid = %s "
            "AND l.granted AND l.database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())",
            (_LOCK,),
        ).fetchone()
        raise AlreadyRunning(*(holder if holder is not None else (0, "")))
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def _locked(connection: Connection[Any], patience: float) -> bool:
    if patience <= 0:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        return row is not None and bool(row[0])
    # Who waits in line is next, however briefly the lock is free.
    connection.execute(f"SET lock_timeout = '{int(patience * 1000)}ms'")
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    except LockNotAvailable:
        return False
    finally:
        connection.execute("RESET lock_timeout")
    return True


def positions(connection: Connection[Any]) -> dict[Chain, Applied]:
    """Every chain that something was applied of."""
    found = connection.execute(
        "SELECT site, epoch, seq, segment, closed_by FROM wayfare.chain_positions"
    ).fetchall()
    return {(row[0], row[1]): Applied(*row[2:]) for row in found}


def position(connection: Connection[Any], chain: Chain) -> Applied:
    """One chain's position, held until the transaction ends."""
    row = connection.execute(
        "SELECT seq, segment, closed_by FROM wayfare.chain_positions "
        "WHERE site = %s AND epoch = %s FOR UPDATE",
        chain,
    ).fetchone()
    return Applied() if row is None else Applied(*row)


def advance(connection: Connection[Any], chain: Chain, to: Applied) -> None:
    """Move a chain's position, never back; in the transaction that applied what it covers now."""
    connection.execute(
        "INSERT INTO wayfare.chain_positions (site, epoch, seq, segment, closed_by) "
        "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (site, epoch) DO UPDATE "
        "SET seq = excluded.seq, segment = excluded.segment, closed_by = excluded.closed_by "
        "WHERE chain_positions.seq <= excluded.seq",
        (*chain, to.seq, to.segment, to.closed_by),
    )


def sealed_here(connection: Connection[Any], chain: Chain) -> frozenset[int]:
    """First positions of segments that this database itself put, or was about to put: their rows
    were applied when they were written, and are not applied again. While the projections are
    rebuilt there is no such segment: what was applied is gone."""
    found = connection.execute(
        "SELECT first FROM wayfare.seal_intents WHERE site = %s AND epoch = %s "
        "AND NOT EXISTS (SELECT FROM wayfare.rebuild)",
        chain,
    ).fetchall()
    return frozenset(row[0] for row in found)


def by_name(watermark: dict[Chain, int]) -> dict[str, int]:
    """A watermark as reports and files spell it: `site/epoch` to position."""
    return {f"{site}/{epoch}": seq for (site, epoch), seq in sorted(watermark.items())}
