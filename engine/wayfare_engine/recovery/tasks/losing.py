"""How much is lost with a site: estimated from what it last said of itself, then counted by ids.

At a failover nobody can read the lost site's disk. What it had written by its newest beat, or had
sealed by its last segment if that is later, is known; since then it wrote at about the rate at
which it sealed before. What is not in its closed chain of that is the estimate.

A site that cannot ship goes on, but for its sends: none is handed over before its dispatch is in a
segment, so no outcome follows, and nothing is dispatched once the lease has lapsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow.compute as pc

from wayfare_engine.journal.chain import objects, opened
from wayfare_engine.journal.problems import ChainProblem
from wayfare_engine.journal.segment import Closed, Segment
from wayfare_engine.lease.beats import Beat, read_beat
from wayfare_engine.lease.epochs import Lease
from wayfare_engine.ledger import Kind
from wayfare_engine.recovery.tasks.task import Task

#: Over how many seconds before the chain's end its rate is taken.
RATE_SECONDS = 30.0
_OBJECTS = 400


@dataclass(frozen=True)
class Sealed:
    """A segment: its last position, when it was sealed by its site's clock, and how many of its
    rows are dispatches and outcomes of sends."""

    last: int
    at: datetime
    dispatches: int = 0
    outcomes: int = 0


@dataclass(frozen=True)
class Estimate:
    """Rows that are in no segment: the most likely number, and between which it is. `oldest_at` is
    when the oldest of them was written, about."""

    rows: int
    low: int
    high: int
    oldest_at: datetime | None
    arithmetic: str
    basis: str = "Estimated"

    def figures(self) -> dict[str, Any]:
        """For a step's result."""
        return {
            "rows": self.rows,
            "low": self.low,
            "high": self.high,
            "oldestAt": None if self.oldest_at is None else self.oldest_at.isoformat(),
            "basis": self.basis,
            "arithmetic": self.arithmetic,
        }


@dataclass(frozen=True)
class Unknown:
    """Nothing says how much is lost."""

    why: str

    def figures(self) -> dict[str, Any]:
        """For a step's result."""
        return {"rows": None, "basis": "Unknown", "arithmetic": self.why}


def estimate(task: Task, holder: Lease) -> Estimate | Unknown:
    """Of the chain of `holder`, closed or as it is now. A damaged segment bars nothing: the rate is
    that of what came after it, and unknown where that is too little. Raises StoreProblem."""
    segments, closed, damaged = ending(task, holder.site, holder.epoch)
    if damaged is not None and len(segments) < 2:
        return Unknown(f"{damaged}: nothing says at which rate the site wrote until its end")
    beat = read_beat(task.store, task.plan, holder.site)
    if beat is not None and beat.epoch != holder.epoch:
        beat = None
    return estimated(
        segments,
        sealed=closed.at_seq if closed is not None else (segments[-1].last if segments else 0),
        beat=beat,
        beat_seconds=task.settings.beat_seconds,
        lease_seconds=task.settings.lease_ttl_seconds,
        fault_at=None if task.run is None else task.run.fault_at,
        taken_at=task.clock(),
    )


def ending(
    task: Task, site: str, epoch: int
) -> tuple[list[Sealed], Closed | None, ChainProblem | None]:
    """The last segments of a chain, those of `RATE_SECONDS` and one before them, and its end; or
    those that follow a damaged one, and what is wrong with that."""
    found: list[Sealed] = []
    closed: Closed | None = None
    for listed in reversed(objects(task.store, site, epoch)[-_OBJECTS:]):
        try:
            one = opened(listed.path, task.store.get(listed.path), bodies=False)
        except ChainProblem as problem:
            return found[::-1], closed, problem
        if isinstance(one, Closed):
            closed = one
            continue
        found.append(
            Sealed(
                one.header.last,
                datetime.fromisoformat(one.header.sealed_at),
                dispatches=_count(one, Kind.DISPATCH),
                outcomes=_count(one, Kind.OUTCOME),
            )
        )
        if found[0].at - found[-1].at > timedelta(seconds=RATE_SECONDS):
            break
    return found[::-1], closed, None


def _count(segment: Segment, kind: Kind) -> int:
    return int(pc.sum(pc.equal(segment.rows["kind"], kind.value)).as_py() or 0)


def estimated(
    segments: Sequence[Sealed],
    *,
    sealed: int,
    beat: Beat | None,
    beat_seconds: float,
    lease_seconds: float,
    fault_at: datetime | None,
    taken_at: datetime,
) -> Estimate | Unknown:
    """The arithmetic. `sealed` rows are in the closed chain; `fault_at` is when the site was lost,
    if somebody knows, else it may have been any time until `taken_at`."""
    last = segments[-1] if segments else None
    known, since, what = sealed, None if last is None else last.at, "its last segment"
    if beat is not None and (since is None or beat.at >= since):
        known, since, what = max(sealed, beat.sealed_seq + beat.unsealed), beat.at, "its last beat"
    if since is None:
        return Unknown("the site never wrote a beat and never sealed a segment in this epoch")
    steady, dispatched = _rates(segments, known, since)
    waiting = known - sealed
    latest = max(0.0, ((fault_at or taken_at) - since).total_seconds())
    # Without a word about when, it was lost before the beat that did not come.
    likely = latest if fault_at is not None else min(latest, beat_seconds / 2)
    sending = min(likely, lease_seconds)
    rows = round(waiting + steady * likely + dispatched * sending)
    high = round(waiting + steady * latest + dispatched * min(latest, lease_seconds))
    oldest = since
    if beat is not None and beat.oldest_unsealed_at is not None and sealed <= beat.sealed_seq:
        oldest = beat.oldest_unsealed_at
    until = "the fault" if fault_at is not None else "half a beat later"
    sends = f" + {dispatched:.1f} sends a second × {sending:.1f} s" if dispatched else ""
    return Estimate(
        rows=rows,
        low=waiting if fault_at is None else rows,
        high=high,
        oldest_at=oldest if rows else None,
        arithmetic=(
            f"{known:,} rows written by {what} − {sealed:,} in the closed chain + "
            f"{steady:.1f} a second × {likely:.1f} s until {until}{sends} = {rows:,}"
        ),
    )


def _rates(segments: Sequence[Sealed], known: int, since: datetime) -> tuple[float, float]:
    """Rows a second but for those of sends, and dispatches a second, over `RATE_SECONDS` before the
    last segment and up to what is known: silence since then counts, and what was long before does
    not."""
    if not segments:
        return 0.0, 0.0
    began = max(segments[0].at, segments[-1].at - timedelta(seconds=RATE_SECONDS))
    seconds = (since - began).total_seconds()
    if seconds <= 0:
        return 0.0, 0.0
    dispatches = sum(each.dispatches for each in segments[1:])
    outcomes = sum(each.outcomes for each in segments[1:])
    others = known - segments[0].last - dispatches - outcomes
    return others / seconds, dispatches / seconds


def off_share(estimate_rows: int, exact: int) -> float | None:
    """By which share an estimate was off; None when nothing was lost."""
    return None if exact == 0 else round(abs(estimate_rows - exact) / exact, 4)
