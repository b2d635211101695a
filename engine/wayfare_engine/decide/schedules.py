"""Whether a schedule is open at a moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from wayfare_engine.decide.outcomes import Outcome
from wayfare_engine.plan import PlanSchedule, PlanWindow, times

Gate = Callable[[datetime], Outcome | None]
"""None when open, else why it is closed."""


def gate(schedule: PlanSchedule) -> Gate:
    """The schedule as a function of an aware moment; 1 µs, 2 µs with windows."""
    start = None if schedule.start is None else times.from_epoch_microseconds(schedule.start)
    end = None if schedule.end is None else times.from_epoch_microseconds(schedule.end)
    zone = times.zone(schedule.zone)
    windows = schedule.windows

    def closed(at: datetime) -> Outcome | None:
        if start is not None and at < start:
            return Outcome.NOT_STARTED
        if end is not None and at >= end:
            return Outcome.ENDED
        if windows:
            local = at.astimezone(zone)
            minute, day = local.hour * 60 + local.minute, local.weekday()
            if not any(_open(window, day, minute) for window in windows):
                return Outcome.OUTSIDE_WINDOW
        return None

    return closed


def _open(window: PlanWindow, day: int, minute: int) -> bool:
    starts_today = not window.days or day in window.days
    if window.start < window.end:
        return starts_today and window.start <= minute < window.end
    started_yesterday = not window.days or (day - 1) % 7 in window.days
    return (starts_today and minute >= window.start) or (started_yesterday and minute < window.end)
