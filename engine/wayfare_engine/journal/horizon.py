"""What holds sealing back: the oldest transaction with an id, in any database of the instance.

Rows of later transactions are not final until it ends. A forgotten session, a prepared transaction
or CREATE DATABASE … TEMPLATE can do that from another database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from psycopg import Connection

#: A transaction of the ledger lasts at most a second; one that is this old is no part of that.
STALLED_SECONDS = 10.0
_HIDDEN = "<insufficient privilege>"


@dataclass(frozen=True)
class Holder:
    """A session (`pid`) or a prepared transaction (`prepared`, its name) that has the oldest
    transaction id. `seconds` since its transaction began. `query` is what it runs or ran last."""

    seconds: float
    database: str
    user: str
    pid: int | None = None
    prepared: str | None = None
    application: str = ""
    state: str = ""
    query: str = ""

    def __str__(self) -> str:
        age = f"for {self.seconds:.0f} s"
        if self.prepared is not None:
            return (
                f"the prepared transaction {self.prepared!r} of {self.user} in database "
                f"{self.database}, {age}; end it with COMMIT PREPARED or ROLLBACK PREPARED"
            )
        if self.pid is None:
            return (
                "a transaction that this role may not see; GRANT pg_read_all_stats to it, and ask "
                "again"
            )
        if self.query == _HIDDEN:
            return (
                f"process {self.pid} of user {self.user} in database {self.database}; since when "
                "and with what query this role may not see: GRANT pg_read_all_stats to it"
            )
        return (
            f"process {self.pid} ({self.application or 'no name'}, user {self.user}) in database "
            f"{self.database}, {self.state} {age}: {self.query}"
        )


@dataclass(frozen=True)
class Horizon:
    """Rows of transactions below `tx` are final. `holder` has `tx`, if a transaction does."""

    tx: int
    holder: Holder | None

    @property
    def age(self) -> float:
        """Seconds for which the horizon was held back: the metric `horizon_age`."""
        return self.holder.seconds if self.holder is not None else 0.0


@dataclass(frozen=True)
class SealingStalled:
    """The facts of the condition of this name. `reason` is one word for machines."""

    reason: str
    message: str
    holder: Holder


class HorizonWatch:
    """Tells the age of a horizon that is looked at again and again, also where PostgreSQL does not
    let this role see when the holder's transaction began."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._tx = -1
        self._since = 0.0

    def seen(self, found: Horizon) -> Horizon:
        """The same horizon, with its holder's age at least the time for which it was seen here."""
        now = self._monotonic()
        if found.holder is None or found.tx != self._tx:
            self._tx, self._since = found.tx, now
        if found.holder is None:
            return found
        age = max(found.holder.seconds, now - self._since)
        return Horizon(found.tx, replace(found.holder, seconds=age))


# The ids of sessions have 32 bits of the 64 that snapshots have.
_SESSIONS = """
SELECT extract(epoch FROM clock_timestamp() - a.xact_start)::float8, coalesce(a.datname, ''),
    coalesce(a.usename, ''), a.pid, coalesce(a.application_name, ''), coalesce(a.state, ''),
    left(coalesce(a.query, ''), 500)
FROM pg_stat_activity a
WHERE a.backend_xid IS NOT NULL
AND a.backend_xid::text::numeric = %(tx)s::numeric %% 4294967296
"""
_PREPARED = """
SELECT extract(epoch FROM clock_timestamp() - p.prepared)::float8, p.database, p.owner, p.gid
FROM pg_prepared_xacts p WHERE p.transaction::text::numeric = %(tx)s::numeric %% 4294967296
"""


def horizon(connection: Connection[Any]) -> Horizon:
    """Where the horizon is now, and who holds it there. Raises psycopg.Error."""
    row = connection.execute(
        "SELECT pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text FROM pg_current_snapshot() s"
    ).fetchone()
    assert row is not None, "a function returns one row"
    tx, end = int(row[0]), int(row[1])
    given = {"tx": str(tx)}
    found = connection.execute(_SESSIONS, given).fetchone()
    if found is not None:
        seconds, database, user, pid, application, state, query = found
        return Horizon(
            tx,
            Holder(
                float(seconds or 0.0),
                database,
                user,
                pid=pid,
                application=application,
                state=state,
                query=query,
            ),
        )
    found = connection.execute(_PREPARED, given).fetchone()
    if found is not None:
        return Horizon(tx, Holder(float(found[0]), found[1], found[2], prepared=found[3]))
    again = connection.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text").fetchone()
    # `end` is behind the last transaction that ended: one that began after it does not show there,
    # and neither does it hold anything back yet.
    if tx < end and again is not None and int(again[0]) == tx:
        return Horizon(tx, Holder(0.0, "", ""))
    return Horizon(tx, None)  # it ended while we asked


def stalled(found: Horizon, *, after_seconds: float = STALLED_SECONDS) -> SealingStalled | None:
    """The condition's facts when the horizon was held back for longer than that."""
    holder = found.holder
    if holder is None or holder.seconds < after_seconds:
        return None
    reason = "PreparedTransaction" if holder.prepared is not None else "LongTransaction"
    if "create database" in holder.query.lower():
        reason = "CreateDatabase"
    return SealingStalled(
        reason, f"rows written since wait to be sealed, because of {holder}", holder
    )
