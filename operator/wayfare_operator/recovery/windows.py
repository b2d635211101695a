"""When a standby wakes, when nothing may start, when a drill is due: pure functions of time.

A schedule is cron in a time zone, as Debian's cron reads it: a time that a change of clocks skips
comes at the first moment after it, and one that comes twice is taken once, the first time.
Moments that go in and out are aware; those that come out are UTC.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from wayfare_engine.resources import parse_duration
from wayfare_engine.resources.standby import CronWindow

_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
}
#: How far a change of clocks can put local times back, with room.
_FOLD = timedelta(hours=3)
#: How far ahead two schedules are compared, and at most how often one of them occurs in that.
_HORIZON = timedelta(days=400)
_MOST_COMPARED = 10_000


class ScheduleInvalid(ValueError):
    """A schedule that is no cron, or that never comes. `where` is its place in the spec."""

    def __init__(self, where: str, schedule: str, detail: str) -> None:
        super().__init__(f"{where}: {schedule!r} {detail}")
        self.where = where


@dataclass(frozen=True, order=True, slots=True)
class Occurrence:
    """One time of a window: `begins` is in it, `ends` is not."""

    begins: datetime
    ends: datetime
    name: str

    @property
    def id(self) -> str:
        """What it is called in the store and in names of Jobs; sorts by time."""
        return f"{self.begins:%Y%m%dT%H%M%SZ}-{self.name}"

    def holds(self, moment: datetime) -> bool:
        """Whether a moment is in it."""
        return self.begins <= moment < self.ends

    def overlaps(self, other: Occurrence) -> bool:
        """Whether they have a moment in common."""
        return self.begins < other.ends and other.begins < self.ends


def times(schedule: str, zone: str, after: datetime, *, where: str) -> Iterator[datetime]:
    """The moments of a schedule after `after`, without end, strictly rising, in UTC.

    Raises ScheduleInvalid for what is no cron; ends early for one that never comes.
    """
    expression = _NAMED.get(schedule, schedule)
    # A fold is read as its first time, so a start inside the second one goes back before it.
    start = (after - _FOLD).astimezone(ZoneInfo(zone))
    try:
        found = CronSim(expression, start)
    except CronSimError as error:
        raise ScheduleInvalid(where, schedule, f"is no cron schedule ({error})") from None
    last = after
    for moment in found:
        utc = moment.astimezone(UTC)
        if utc > last:
            last = utc
            yield utc


def occurrences(
    window: CronWindow, after: datetime, before: datetime, *, where: str = "windows"
) -> Iterator[Occurrence]:
    """The times of a window that have a moment in [after, before), in order."""
    length = parse_duration(window.duration)
    place = f"{where}[{window.name}].schedule"
    first = after - length
    for begins in times(window.schedule, window.time_zone, first, where=place):
        if begins >= before:
            return
        yield Occurrence(begins, begins + length, window.name)


def blocked_at(blocked: Iterable[CronWindow], moment: datetime) -> Occurrence | None:
    """The blocked time that a moment is in; the one that ends last when there are several."""
    just_after = moment + timedelta(microseconds=1)
    found = [
        each
        for window in blocked
        for each in occurrences(window, moment, just_after, where="blockedWindows")
        if each.holds(moment)
    ]
    return max(found, key=lambda each: each.ends, default=None)


def open_windows(
    windows: Iterable[CronWindow],
    blocked: Sequence[CronWindow],
    after: datetime,
    before: datetime,
) -> list[Occurrence]:
    """The times of all windows that have a moment in [after, before), in order, without those
    that overlap a blocked time: they do not open."""
    found = sorted(each for window in windows for each in occurrences(window, after, before))
    if not found or not blocked:
        return found
    first = min(each.begins for each in found)
    last = max(each.ends for each in found)
    barred = [
        each for window in blocked for each in occurrences(window, first, last, where="blocked")
    ]
    return [each for each in found if not any(each.overlaps(bar) for bar in barred)]


def due(found: Iterable[Occurrence], now: datetime, done: Collection[str]) -> Occurrence | None:
    """The window to work on now: of those that are open and not done, the one that ends last."""
    return max(
        (each for each in found if each.holds(now) and each.id not in done),
        key=lambda each: each.ends,
        default=None,
    )


def next_window(
    windows: Sequence[CronWindow],
    blocked: Sequence[CronWindow],
    now: datetime,
    *,
    within: timedelta = _HORIZON,
) -> Occurrence | None:
    """The first time of a window that begins after `now` and opens; None when there is none
    `within`."""
    coming = heapq.merge(*(_following(each, now, now + within) for each in windows))
    for each in islice(coming, _MOST_COMPARED):
        bars = (
            bar
            for window in blocked
            for bar in occurrences(window, each.begins, each.ends, where="blockedWindows")
        )
        if not any(each.overlaps(bar) for bar in bars):
            return each
    return None


def _following(window: CronWindow, after: datetime, until: datetime) -> Iterator[Occurrence]:
    length = parse_duration(window.duration)
    for begins in times(window.schedule, window.time_zone, after, where=window.name):
        if begins > until:
            return
        yield Occurrence(begins, begins + length, window.name)


def next_time(
    schedule: str,
    zone: str,
    blocked: Sequence[CronWindow],
    after: datetime,
    *,
    where: str,
    within: timedelta = _HORIZON,
) -> datetime | None:
    """The first moment of a schedule after `after` that is in no blocked time."""
    for moment in times(schedule, zone, after, where=where):
        if moment > after + within:
            return None
        if blocked_at(blocked, moment) is None:
            return moment
    return None


@dataclass(frozen=True, slots=True)
class Overlap:
    """A window that does not open, since a blocked time is in its way."""

    window: Occurrence
    blocked: Occurrence

    def __str__(self) -> str:
        return (
            f"window {self.window.name} ({_span(self.window)}) overlaps blocked window "
            f"{self.blocked.name} ({_span(self.blocked)})"
        )


def first_overlap(
    windows: Iterable[CronWindow], blocked: Sequence[CronWindow], now: datetime
) -> Overlap | None:
    """The next time that a window and a blocked one have a moment in common, within 400 days.

    It walks both in order, so it costs what they occur, at most 10,000 times each.
    """
    until = now + _HORIZON
    found = [each for window in windows if (each := _meets(window, blocked, now, until))]
    return min(found, key=lambda each: each.window.begins, default=None)


def _meets(
    window: CronWindow, blocked: Sequence[CronWindow], now: datetime, until: datetime
) -> Overlap | None:
    best: Overlap | None = None
    for bar in blocked:
        mine = occurrences(window, now, until)
        theirs = occurrences(bar, now, until, where="blockedWindows")
        left, right = next(mine, None), next(theirs, None)
        for _ in range(2 * _MOST_COMPARED):
            if left is None or right is None:
                break
            if left.overlaps(right):
                if best is None or left.begins < best.window.begins:
                    best = Overlap(left, right)
                break
            if left.ends <= right.begins:
                left = next(mine, None)
            else:
                right = next(theirs, None)
    return best


def validate(windows: Iterable[CronWindow], blocked: Iterable[CronWindow], now: datetime) -> None:
    """Raise ScheduleInvalid for a schedule that is no cron, or that never comes."""
    for where, group in (("spec.standby.windows", windows), ("spec.blockedWindows", blocked)):
        for window in group:
            check_schedule(
                window.schedule, window.time_zone, now, where=f"{where}[{window.name}].schedule"
            )


def check_schedule(schedule: str, zone: str, now: datetime, *, where: str) -> None:
    """Raise ScheduleInvalid for a schedule that is no cron, or that never comes."""
    if next(times(schedule, zone, now, where=where), None) is None:
        raise ScheduleInvalid(where, schedule, "never comes")


def _span(each: Occurrence) -> str:
    return f"{each.begins:%Y-%m-%d %H:%M} to {each.ends:%Y-%m-%d %H:%M} UTC"
