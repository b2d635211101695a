"""How the lease stands, as one reader sees it: holder, beats, and whether a database agrees.

What could not be asked is unknown, and is never taken for good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec
import psycopg
from psycopg import Connection

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.journal import intents
from wayfare_engine.journal.status import lag
from wayfare_engine.lease.beats import Beat, BeatWatch, read_beat
from wayfare_engine.lease.epochs import Lease, highest, read_acting
from wayfare_engine.lease.terms import boottime as real_boottime
from wayfare_engine.lease.witness import Condition
from wayfare_engine.ledger.fence import SiteEpoch, site_epoch
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.objectstore.marker import check

State = Literal["Acting", "Waiting", "NotTaken", "Unknown"]


@dataclass(frozen=True)
class SeenBeat:
    """A site's newest beat. `age`: seconds since this reader first saw it, None when it did not
    watch; `changed`: it saw another one before, so `age` is the beat's whole age."""

    beat: Beat
    age: float | None = None
    changed: bool = False


@dataclass(frozen=True)
class Database:
    """One site's database beside the store's word; `agrees` None: not known."""

    site: str | None
    epoch: SiteEpoch
    agrees: bool | None
    detail: str


@dataclass(frozen=True)
class LeaseStatus:
    """What `wayfare lease show` says. A `…_problem` says why something is unknown."""

    plan: str
    url: str
    state: State
    lease: Lease | None
    acting_since: datetime | None
    beats: tuple[SeenBeat, ...]
    watched: float
    wait: float
    witness: Condition
    database: Database | None = None
    store_problem: str | None = None
    database_problem: str | None = None

    def facts(self) -> dict[str, Any]:
        """For JSON. Times in seconds and ISO 8601; null is unknown or not there: see `state`."""
        lease = self.lease
        return {
            "plan": self.plan,
            "store": self.url,
            "state": self.state,
            "epoch": lease.epoch if lease else None,
            "holder": lease.site if lease else None,
            "takenAt": lease.at.isoformat() if lease else None,
            "actingSince": self.acting_since.isoformat() if self.acting_since else None,
            "reason": lease.reason if lease else None,
            "statement": statement_facts(lease),
            "waitSeconds": round(self.wait, 3),
            "watchedSeconds": self.watched,
            "beats": [_beat_facts(seen) for seen in self.beats],
            "database": None
            if self.database is None
            else {
                "site": self.database.site,
                "epoch": self.database.epoch.epoch,
                "held": self.database.epoch.held,
                "highestSeen": self.database.epoch.highest_seen,
                "agrees": self.database.agrees,
                "detail": self.database.detail,
            },
            "witnessShared": asdict(self.witness),
            "problems": [p for p in (self.store_problem, self.database_problem) if p],
        }


def statement_facts(lease: Lease | None) -> dict[str, Any] | None:
    """A statement, for JSON."""
    if lease is None or lease.statement is None:
        return None
    found: dict[str, Any] = msgspec.to_builtins(lease.statement)
    return found


def _beat_facts(seen: SeenBeat) -> dict[str, Any]:
    beat: dict[str, Any] = msgspec.to_builtins(seen.beat)
    age = None if seen.age is None else round(seen.age, 3)
    return beat | {"ageSeconds": age, "changedWhileWatched": seen.changed}


def lease_status(
    store: ObjectStore,
    plan: str,
    *,
    site: str | None,
    connection: Connection[Any] | None,
    watch: float,
    wait: float,
    witness: Condition,
    sleep: Callable[[float], None],
    told: Callable[[float], None] = lambda watched: None,
) -> LeaseStatus:
    """Everything, with what could not be asked as a problem. `watch` and `wait` in seconds;
    `connection` is the database of `site`, in autocommit mode."""
    epoch: SiteEpoch | None = None
    database: Database | None = None
    database_problem = store_problem = None
    state: State = "Unknown"
    lease: Lease | None = None
    acting_since: datetime | None = None
    beats: tuple[SeenBeat, ...] = ()
    try:
        epoch = None if connection is None else site_epoch(connection)
    except psycopg.Error as error:
        database_problem = _first_line(error)
    try:
        seen = 1 if epoch is None else epoch.highest_seen
        state, lease, acting_since = holder_of(store, plan, seen=seen)
        beats = watch_beats(store, plan, watch, sleep=sleep, told=told)
    except SaidToPeople as problem:
        store_problem = str(problem)
    try:
        if connection is not None and epoch is not None:
            unknown = Database(site, epoch, None, "who holds the highest epoch is unknown")
            known = state != "Unknown"
            database = database_of(connection, site, lease) if known else unknown
    except psycopg.Error as error:
        database_problem = _first_line(error)
    return LeaseStatus(
        plan=plan,
        url=store.url,
        state=state,
        lease=lease,
        acting_since=acting_since,
        beats=beats,
        watched=watch,
        wait=wait,
        witness=witness,
        database=database,
        store_problem=store_problem,
        database_problem=database_problem,
    )


def _first_line(error: psycopg.Error) -> str:
    return f"PostgreSQL: {(str(error).strip() or type(error).__name__).splitlines()[0]}"


def holder_of(
    store: ObjectStore, plan: str, *, seen: int
) -> tuple[State, Lease | None, datetime | None]:
    """(state, lease of the highest epoch, acting since). Raises ForeignStore, StoreProblem,
    LeaseLost, LeaseDamaged."""
    check(store, plan)
    lease = highest(store, plan, seen=seen)
    if lease is None:
        return "NotTaken", None, None
    acting = read_acting(store, plan, lease.epoch)
    if acting is None or acting.nonce != lease.nonce:
        return "Waiting", lease, None
    return "Acting", lease, acting.at


def watch_beats(
    store: ObjectStore,
    plan: str,
    seconds: float,
    *,
    sleep: Callable[[float], None],
    boottime: Callable[[], float] = real_boottime,
    told: Callable[[float], None] = lambda watched: None,
) -> tuple[SeenBeat, ...]:
    """Every site's newest beat, watched for `seconds`; 0 is one look, which tells no age."""
    prefix = paths.beats(plan)
    watches: dict[str, tuple[BeatWatch, Beat]] = {}
    began = boottime()
    while True:
        for site in [found.path.removeprefix(prefix) for found in store.list(prefix)]:
            beat = read_beat(store, plan, site)
            if beat is not None:
                watch, _ = watches.setdefault(site, (BeatWatch(boottime), beat))
                watch.saw(beat)
        watched = boottime() - began
        told(min(watched, seconds))
        if watched >= seconds:
            break
        sleep(min(1.0, seconds - watched))
    found = []
    for _, (watch, first) in sorted(watches.items()):
        assert watch.newest is not None
        age = watch.age() if seconds > 0 else None
        found.append(SeenBeat(watch.newest, age, watch.newest != first))
    return tuple(found)


def database_of(connection: Connection[Any], site: str | None, holder: Lease | None) -> Database:
    """Where a database stands, and whether that fits who holds the highest epoch."""
    epoch = site_epoch(connection)
    if site is None:
        return Database(None, epoch, None, "whose database it is was not said: give --site")
    wrote = (
        intents.position(connection, site, epoch.epoch).seq > 0
        or lag(connection, site, epoch.epoch).rows > 0
    )
    agrees, detail = agreement(holder, epoch, site, wrote=wrote)
    return Database(site, epoch, agrees, detail)


def agreement(
    holder: Lease | None, epoch: SiteEpoch, site: str, *, wrote: bool
) -> tuple[bool, str]:
    """Whether a database does what the store says; `wrote`: it has rows of its own of its epoch.

    The store never knows less than the database: `highest` refuses that.
    """
    if holder is None:
        return True, "no epoch was taken yet"
    n = holder.epoch
    if holder.site == site:
        if epoch.epoch == n and epoch.held:
            return True, f"it writes under epoch {n}, which this site holds"
        return False, (
            f"site {site} took epoch {n}, and its database does not write under it yet: "
            "`wayfare lease take` goes on where that stopped"
        )
    if not epoch.active or not wrote:
        return True, f"nothing is written here while site {holder.site} holds epoch {n}"
    if epoch.epoch == n:
        return False, f"rows were written here under epoch {n}, which site {holder.site} holds"
    return False, (
        f"it still writes under epoch {epoch.epoch} and never heard of epoch {n} of site "
        f"{holder.site}: what it writes is in no chain, and is put back at the failback"
    )
