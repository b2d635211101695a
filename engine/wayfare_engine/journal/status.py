"""How sealing stands at this site: what is sealed, what waits, for how long, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from wayfare_engine.journal import horizon, intents, problem_kept
from wayfare_engine.journal.horizon import Horizon, SealingStalled
from wayfare_engine.journal.intents import Intent, Position
from wayfare_engine.journal.session import sealer_pid
from wayfare_engine.ledger.fence import SiteEpoch, site_epoch


@dataclass(frozen=True)
class Lag:
    """Rows that are committed and in no segment; `oldest_at` is the time that the oldest of them
    carries, `seconds` how long ago that is by the database's clock."""

    rows: int
    oldest_at: datetime | None
    seconds: float


@dataclass(frozen=True)
class Problem:
    """What last went wrong, if sealing has not worked since."""

    kind: str
    message: str
    since: datetime


@dataclass(frozen=True)
class JournalStatus:
    """Everything that `wayfare journal status` says of one site's database."""

    site: str
    epoch: SiteEpoch
    sealed: Position
    sealed_at: datetime | None
    closed_by: int | None
    lag: Lag
    pending: Intent | None
    horizon: Horizon
    stalled: SealingStalled | None
    sealer_pid: int | None
    problem: Problem | None

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        holder = self.horizon.holder
        return {
            "site": self.site,
            "epoch": self.epoch.epoch,
            "held": self.epoch.held,
            "highestSeen": self.epoch.highest_seen,
            "sealed": {
                "seq": self.sealed.seq,
                "object": self.sealed.digest or None,
                "at": _text(self.sealed_at),
            },
            "closedBy": self.closed_by,
            "lag": {
                "rows": self.lag.rows,
                "seconds": round(self.lag.seconds, 3),
                "oldestAt": _text(self.lag.oldest_at),
            },
            "pending": None if self.pending is None else asdict(self.pending),
            "horizonAge": round(self.horizon.age, 3),
            "horizonHolder": None if holder is None else asdict(holder),
            "sealingStalled": None
            if self.stalled is None
            else {"reason": self.stalled.reason, "message": self.stalled.message},
            "sealerPid": self.sealer_pid,
            "problem": None
            if self.problem is None
            else {
                "kind": self.problem.kind,
                "message": self.problem.message,
                "since": _text(self.problem.since),
            },
        }


_LAG = """
SELECT count(*), min(l.at),
    coalesce(extract(epoch FROM clock_timestamp() - min(l.at)), 0)::float8
FROM wayfare.ledger l WHERE l.site = %(site)s AND l.epoch = %(epoch)s
AND l.tx > %(tx)s::text::xid8
AND NOT EXISTS (SELECT FROM wayfare.settled_rows s WHERE s.id = l.id)
"""


def lag(connection: Connection[Any], site: str, epoch: int) -> Lag:
    """What of this epoch is not sealed yet. Reads the rows behind the sealed ones only."""
    at = intents.position(connection, site, epoch)
    row = connection.execute(_LAG, {"site": site, "epoch": epoch, "tx": str(at.tx)}).fetchone()
    assert row is not None, "an aggregate returns one row"
    return Lag(int(row[0]), row[1], max(0.0, float(row[2])))


def status(connection: Connection[Any], site: str) -> JournalStatus:
    """How sealing stands in this database. Raises psycopg.Error."""
    epoch = site_epoch(connection)
    row = connection.execute(
        "SELECT closed_by FROM wayfare.sealed_epochs WHERE site = %s AND epoch = %s",
        (site, epoch.epoch),
    ).fetchone()
    newest = connection.execute(
        "SELECT max(sealed_at) FROM wayfare.seal_intents WHERE site = %s AND epoch = %s",
        (site, epoch.epoch),
    ).fetchone()
    found = horizon.horizon(connection)
    problem = problem_kept.read(connection)
    return JournalStatus(
        site=site,
        epoch=epoch,
        sealed=intents.position(connection, site, epoch.epoch),
        sealed_at=newest[0] if newest else None,
        closed_by=row[0] if row else None,
        lag=lag(connection, site, epoch.epoch),
        pending=intents.pending(connection, site, epoch.epoch),
        horizon=found,
        stalled=horizon.stalled(found),
        sealer_pid=sealer_pid(connection),
        problem=None if problem is None else Problem(*problem),
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
