"""Beats: what a site says of itself, for detection and for figures; never for the right to act.

One object a site, overwritten. A reader judges staleness on its own clock, from when it first saw
the newest beat; the times inside a beat are the writer's, and only shown.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog

from wayfare_engine.decoding import known
from wayfare_engine.lease.problems import LeaseDamaged
from wayfare_engine.lease.terms import boottime as real_boottime
from wayfare_engine.objectstore import ObjectStore, StoreProblem, paths

log = structlog.get_logger(__name__)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Of the site's chain: the last sealed position, how many rows are not sealed, since when."""

    sealed_seq: int
    unsealed: int
    oldest_unsealed_at: datetime | None = None


class Beat(Figures, frozen=True, kw_only=True):
    """`writer` and `number` make each beat different from the one before it."""

    site: str
    epoch: int
    awake: bool
    at: datetime
    writer: str
    number: int


class BeatWriter:
    """Writes a site's beats. `figures` asks the database; `now` is the wall clock, shown only."""

    def __init__(
        self,
        store: ObjectStore,
        *,
        plan: str,
        site: str,
        epoch: int,
        figures: Callable[[], Figures],
        now: Callable[[], datetime],
        writer: str,
        awake: bool = True,
    ) -> None:
        self._store = store
        self._path = paths.beat(plan, site)
        self._site, self._epoch, self._awake = site, epoch, awake
        self._figures, self._now, self._writer = figures, now, writer
        self._number = 0

    def beat(self) -> Beat:
        """Write one. Raises StoreProblem, or what `figures` raises."""
        figures = self._figures()
        self._number += 1
        beat = Beat(
            site=self._site,
            epoch=self._epoch,
            awake=self._awake,
            at=self._now(),
            writer=self._writer,
            number=self._number,
            sealed_seq=figures.sealed_seq,
            unsealed=figures.unsealed,
            oldest_unsealed_at=figures.oldest_unsealed_at,
        )
        self._store.put(self._path, msgspec.json.encode(beat))
        return beat

    def run(self, stop: threading.Event, seconds: float) -> None:
        """Write one every `seconds` until `stop`; a store that is away is tried again."""
        while True:
            try:
                self.beat()
            except StoreProblem as problem:
                log.warning("no beat", site=self._site, problem=str(problem))
            if stop.wait(seconds):
                return


def read_beat(store: ObjectStore, plan: str, site: str) -> Beat | None:
    """A site's newest beat; None when it never wrote one."""
    path = paths.beat(plan, site)
    data = store.get(path)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=Beat)
    except msgspec.DecodeError as error:
        raise LeaseDamaged(path, f"is not a beat ({error})") from None


class BeatWatch:
    """How long the newest beat has been the newest, on this reader's own clock. `since` and
    `newest` go on with what an earlier process saw, on the same clock."""

    def __init__(
        self,
        boottime: Callable[[], float] = real_boottime,
        *,
        since: float | None = None,
        newest: Beat | None = None,
    ) -> None:
        self._boottime = boottime
        self._newest = newest
        self._since = since

    def saw(self, beat: Beat | None) -> None:
        """Note what a read of the beat object answered; call it only after an answer."""
        if self._since is None or beat != self._newest:
            self._newest, self._since = beat, self._boottime()

    @property
    def newest(self) -> Beat | None:
        """The newest beat that was seen."""
        return self._newest

    def age(self) -> float | None:
        """Seconds since the newest beat was first seen; None before the first look."""
        return None if self._since is None else self._boottime() - self._since


def watch_until_stale(
    look: Callable[[], Beat | None],
    limit: float,
    *,
    sleep: Callable[[float], None],
    boottime: Callable[[], float] = real_boottime,
    told: Callable[[float], None] = lambda age: None,
) -> BeatWatch:
    """Watch until the beat has not changed for `limit` seconds, or until it does.

    The caller asks `age() >= limit` of the watch that comes back: a beat that changed while we
    looked ends the watch early. Raises what `look` raises: no answer is not a stale beat.
    """
    watch = BeatWatch(boottime)
    watch.saw(look())
    first = watch.newest
    while (age := watch.age()) is not None and age < limit:
        told(age)
        sleep(min(limit / 20, limit - age))
        watch.saw(look())
        if watch.newest != first:
            break
    return watch


known(Beat)
