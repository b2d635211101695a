"""What a recovery plan's times have to do with each other, told in CEL and in Python.

A rule sees the schedules that come every day at a fixed time; of others only the operator, which
reads cron, can tell whether they meet.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from .fields import parse_duration
from .model import Rule

if TYPE_CHECKING:
    from .recovery_plan import RecoveryPlanSpec
    from .recovery_terms import LeaseTerms
    from .standby import CronWindow

_DAY = 24 * 60
_EVERY_DAY = re.compile(r"[0-9]{1,2} [0-9]{1,2} \* \* \*")
_CEL_EVERY_DAY = r"'^[0-9]{1,2} [0-9]{1,2} \\* \\* \\*$'"


def milliseconds(duration: str) -> int:
    """A duration in milliseconds."""
    return parse_duration(duration) // timedelta(milliseconds=1)


def lapse_milliseconds(lease: LeaseTerms) -> float:
    """How long a failover waits at least, after it took the right to act: TTL·(1+ρ)/(1−ρ) + H."""
    error = lease.clock_error_percent
    ttl, hand_over = milliseconds(lease.ttl), milliseconds(lease.hand_over)
    return ttl * (100 + error) / (100 - error) + hand_over


_CEL_LAPSE = (
    "(double(duration(self.lease.ttl).getMilliseconds()) * "
    "(100.0 + self.lease.clockErrorPercent) / (100.0 - self.lease.clockErrorPercent) + "
    "double(duration(self.lease.handOver).getMilliseconds()))"
)
_UNMET = "objectives.rto cannot be met with this lease"


_ARITHMETIC = (
    _UNMET + ": before another site may act it waits lease.ttl %s × (100 + %s) / (100 - %s) + "
    "lease.handOver %s = %.3f s, and objectives.rto is %s: raise it, or shorten the lease"
)


def _arithmetic(spec: RecoveryPlanSpec) -> str:
    lease, error = spec.lease, f"{spec.lease.clock_error_percent:g}"
    seconds = lapse_milliseconds(lease) / 1000
    return _ARITHMETIC % (lease.ttl, error, error, lease.hand_over, seconds, spec.objectives.rto)


RTO_ABOVE_LAPSE = Rule(
    cel=f"double(duration(self.objectives.rto).getMilliseconds()) > {_CEL_LAPSE}",
    holds=lambda it: milliseconds(it.objectives.rto) > lapse_milliseconds(it.lease),
    message=_UNMET,
    # Of a concatenation with string(number) the API server expects a length without bounds.
    message_expression=f"'{_ARITHMETIC}'.format([self.lease.ttl, self.lease.clockErrorPercent, "
    f"self.lease.clockErrorPercent, self.lease.handOver, {_CEL_LAPSE} / 1000.0, "
    "self.objectives.rto])",
    detail=_arithmetic,
)


def _minute(schedule: str) -> int | None:
    """The minute of the day at which a schedule comes every day; None when it does not."""
    if not _EVERY_DAY.fullmatch(schedule):
        return None
    minute, hour = schedule.split(" ")[:2]
    return int(hour) * 60 + int(minute)


def _cel_minute(name: str) -> str:
    parts = f"{name}.schedule.split(' ')"
    return f"(int({parts}[1]) * 60 + int({parts}[0]))"


def _starts_in(schedule: str, time_zone: str, window: CronWindow) -> bool:
    """Whether what comes every day in `time_zone` starts in a window of every day."""
    start, of_window = _minute(schedule), _minute(window.schedule)
    if start is None or of_window is None or time_zone != window.time_zone:
        return False
    return (start - of_window) % _DAY * 60_000 < milliseconds(window.duration)


def _cel_starts_in(name: str, window: str) -> str:
    """The same, for what is known to come every day in the window's time zone."""
    later = f"(({_cel_minute(name)} - {_cel_minute(window)} + {_DAY}) % {_DAY})"
    return f"{later} * 60000 < duration({window}.duration).getMilliseconds()"


def _cel_comparable(name: str, window: str) -> str:
    return (
        f"{name}.timeZone == {window}.timeZone && {name}.schedule.matches({_CEL_EVERY_DAY}) && "
        f"{window}.schedule.matches({_CEL_EVERY_DAY})"
    )


def _blocked_windows_apart(spec: RecoveryPlanSpec) -> bool:
    return spec.standby.mode != "Cold" or not any(
        _starts_in(window.schedule, window.time_zone, blocked)
        or _starts_in(blocked.schedule, blocked.time_zone, window)
        for blocked in spec.blocked_windows
        for window in spec.standby.windows
    )


WINDOWS_APART = Rule(
    cel="self.standby.mode != 'Cold' || !has(self.blockedWindows) || "
    "!self.blockedWindows.exists(b, self.standby.windows.exists(w, "
    f"{_cel_comparable('w', 'b')} && "
    f"({_cel_starts_in('w', 'b')} || {_cel_starts_in('b', 'w')})))",
    holds=_blocked_windows_apart,
    message="a window of standby.windows overlaps one of blockedWindows every day, in which no "
    "site wakes by itself: move one of them",
)

DRILL_NOT_BLOCKED = Rule(
    cel="!has(self.drill) || !has(self.blockedWindows) || !self.blockedWindows.exists(b, "
    f"{_cel_comparable('self.drill', 'b')} && {_cel_starts_in('self.drill', 'b')})",
    holds=lambda it: (
        it.drill is None
        or not any(
            _starts_in(it.drill.schedule, it.drill.time_zone, blocked)
            for blocked in it.blocked_windows
        )
    ),
    message="the drill is scheduled in one of blockedWindows every day, so none would ever start: "
    "move one of them",
)
