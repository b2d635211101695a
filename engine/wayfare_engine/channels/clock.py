"""A host's own clock, and how much time a hand-over has left by it.

The reading is opaque to callers. It names this life of the process, so that a reading from before
a restart is late whatever it says, and CLOCK_BOOTTIME, which goes on while a machine sleeps.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial

boottime: Callable[[], float] = partial(time.clock_gettime, time.CLOCK_BOOTTIME)

_READING = re.compile(r"(?P<boot>[^:]{1,64}):(?P<seconds>[0-9]{1,15}\.[0-9]{1,9})", re.ASCII)


class HostClock:
    """The clock of one life of a host. `boot` is new with each start and holds no colon;
    `longest` is H, the most seconds that a reading is good for."""

    def __init__(self, boot: str, *, longest: float, now: Callable[[], float] = boottime) -> None:
        self.boot = boot
        self.longest = longest
        self._now = now

    def reading(self) -> str:
        """What goes into the header: `<boot>:<seconds>`."""
        return f"{self.boot}:{self._now():.6f}"

    def left(self, reading: str, remaining: float) -> float:
        """Seconds until a hand-over's time is over; 0.0 when it is, or when the reading is not one
        that this life of the host can have given by now."""
        found = _READING.fullmatch(reading)
        if found is None or found["boot"] != self.boot:
            return 0.0
        since = self._now() - float(found["seconds"])
        # A reading is rounded to a microsecond, and may so be that much ahead of us.
        if since < -0.000_001:
            return 0.0
        return max(0.0, min(remaining, self.longest) - since)
