"""What the store says of a plan: who may act, who was heard of, which runs there were.

Reading waits for the store, so it is called in a thread. What is written once is read once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.objectstore.marker import check
from wayfare_engine.resources import Phase, RunState
from wayfare_engine.resources.phases import End, RunTrace, phase_of
from wayfare_engine.runs import (
    Beacon,
    Run,
    RunEnd,
    StepResult,
    authority,
    beacons,
    lock,
    secrets,
    steps,
)
from wayfare_engine.runs.authority import Authority, SeenBeat, Watch

_ENDS = {
    RunState.SUCCEEDED: End.SUCCEEDED,
    RunState.FAILED: End.FAILED,
    RunState.ABANDONED: End.ABANDONED,
}


@dataclass(frozen=True, slots=True)
class Proven:
    """What the last run that succeeded took."""

    run: str
    rto_seconds: float
    rpo_rows: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class StoreView:
    """One look. Beats and beacons by site; `open_run` has no end yet."""

    authority: Authority
    beats: dict[str, SeenBeat | None]
    beacons: dict[str, Beacon | None]
    open_run: Run | None
    phase: Phase
    proven: Proven | None
    secrets: dict[str, str | None]
    """Keyed digests of this site's Secrets, as a pod told them last."""


@dataclass
class StoreReader:
    """Remembers what cannot change, and on its own clock since when what can has not."""

    plan: str
    here: str
    sites: tuple[str, ...]
    epoch: int = 0
    number: int = 0
    ended: dict[int, RunTrace] = field(default_factory=dict)
    proven: Proven | None = None
    caught_up: StepResult | None = None
    """The newest catch-up of a run whose target is this site."""
    beat_watches: dict[str, Watch[SeenBeat]] = field(default_factory=dict)
    beacon_watches: dict[str, Watch[Beacon]] = field(default_factory=dict)

    def read(self, store: ObjectStore) -> StoreView:
        """Raises ForeignStore, StoreProblem, NotAsRecorded, RecordDamaged, NewerRecord."""
        check(store, self.plan)
        found = authority.read(store, self.plan, seen=self.epoch)
        self.epoch = found.epoch
        beats = {site: authority.beat(store, self.plan, site) for site in self.sites}
        said = {site: beacons.newest(store, self.plan, site) for site in self.sites}
        for site in self.sites:
            self.beat_watches.setdefault(site, Watch()).saw(beats[site])
            self.beacon_watches.setdefault(site, Watch()).saw(said[site])
        open_run, phase = self._runs(store)
        told = secrets.newest(store, self.plan, self.here)
        digests = dict(told.digests) if told is not None else {}
        return StoreView(found, beats, said, open_run, phase, self.proven, digests)

    def beat_age(self, site: str) -> float | None:
        """Seconds since this reader first saw the site's newest beat; None before a look."""
        watch = self.beat_watches.get(site)
        return None if watch is None else watch.age()

    def beacon_age(self, site: str) -> float | None:
        """Seconds since this reader first saw the site's newest beacon; None before a look."""
        watch = self.beacon_watches.get(site)
        return None if watch is None else watch.age()

    def _runs(self, store: ObjectStore) -> tuple[Run | None, Phase]:
        last = lock.newest(store, self.plan, seen=self.number)
        if last is None:
            return None, Phase.PRODUCTION
        self.number = last.number
        open_run: Run | None = None
        traces = []
        for number in range(1, last.number + 1):
            trace = self.ended.get(number)
            if trace is None:
                run = last if number == last.number else lock.read_run(store, self.plan, number)
                if run is None:
                    continue
                trace = self._trace(store, run)
                open_run = run if trace.end is None else open_run
            traces.append(trace)
        return open_run, phase_of(traces)

    def _trace(self, store: ObjectStore, run: Run) -> RunTrace:
        end = lock.read_end(store, self.plan, run.number)
        begun = steps.past_return(store, run)
        trace = RunTrace(run.kind, begun, None if end is None else _ENDS[end.state])
        if run.target == self.here:
            for name in ("CatchUp", "CatchUpFinal"):
                found = steps.read_result(store, self.plan, run.number, name)
                if found is not None:
                    self.caught_up = found
        if end is not None:
            self.ended[run.number] = trace
            self._prove(run, end)
        return trace

    def _prove(self, run: Run, end: RunEnd) -> None:
        if end.state is not RunState.SUCCEEDED or end.rto is None or end.rto.seconds is None:
            return
        if self.proven is None or end.at >= self.proven.at:
            rows = end.rpo.rows if end.rpo is not None else None
            self.proven = Proven(run.name, end.rto.seconds, rows, end.at)
