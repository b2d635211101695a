"""Beacons: what a site's operator says of the site; for people and for readiness, never for the
right to act.

One object a site, overwritten. A reader judges its age on its own clock, from when it first saw
the newest; the times inside are the writer's, and only shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.runs.objects import encode, read
from wayfare_engine.runs.problems import RecordDamaged
from wayfare_engine.runs.records import Beacon

#: Seconds on a clock that goes on through suspend and that no one can set.
_boottime = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


def write(store: ObjectStore, plan: str, beacon: Beacon) -> None:
    """Replace the site's beacon. Raises RecordTooLarge, StoreProblem."""
    path = paths.beacon(plan, beacon.site)
    store.put(path, encode(beacon, path))


def newest(store: ObjectStore, plan: str, site: str) -> Beacon | None:
    """A site's newest beacon; None when it never wrote one. Raises RecordDamaged, NewerRecord."""
    path = paths.beacon(plan, site)
    found = read(store, path, Beacon)
    if found is not None and found.site != site:
        raise RecordDamaged(path, f"speaks of site {found.site}")
    return found


class BeaconWatch:
    """How long the newest beacon of one site has been the newest, on this reader's own clock."""

    def __init__(self, boottime: Callable[[], float] = _boottime) -> None:
        self._boottime = boottime
        self._newest: Beacon | None = None
        self._since: float | None = None

    def saw(self, beacon: Beacon | None) -> None:
        """Note what a read answered; call it only after an answer."""
        if self._since is None or beacon != self._newest:
            self._newest, self._since = beacon, self._boottime()

    @property
    def newest(self) -> Beacon | None:
        """The newest that was seen."""
        return self._newest

    def age(self) -> float | None:
        """Seconds since the newest was first seen: at most what it is really old. None before the
        first look, and while the site never wrote one."""
        if self._since is None or self._newest is None:
            return None
        return self._boottime() - self._since
