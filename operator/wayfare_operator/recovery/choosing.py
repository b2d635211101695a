"""Which window is worked on, and which ones passed without anybody. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from wayfare_engine.resources import parse_duration
from wayfare_engine.resources.standby import CronWindow
from wayfare_operator.recovery.procedure import missed
from wayfare_operator.recovery.record import Stage, Standing, WindowKind, WindowRecord
from wayfare_operator.recovery.windows import Occurrence, blocked_at, due, open_windows

#: How far back passed windows are looked for.
LOOK_BACK = timedelta(days=8)
#: Between the end of an extra window and the next one.
EXTRA_PAUSE = timedelta(minutes=10)


def longest(windows: Sequence[CronWindow]) -> timedelta:
    """The longest duration."""
    return max(parse_duration(each.duration) for each in windows)


def choose(
    standing: Standing,
    windows: Sequence[CronWindow],
    blocked: Sequence[CronWindow],
    now: datetime,
    *,
    extra: bool,
) -> Standing:
    """With the windows that passed told as missed, and with the one that is due begun.

    `extra`: the lag has reached its budget. Nothing is chosen while a window is worked on, or
    while the site does not stand by.
    """
    since = standing.standby_since
    if since is None or standing.current is not None:
        return standing
    after = max([since, now - LOOK_BACK, *(each.begins for each in standing.windows)])
    found = [
        each
        for each in open_windows(windows, blocked, after, now + timedelta(seconds=1))
        if each.begins >= since or each.holds(now)
    ]
    known = {each.id for each in standing.windows}
    covered = {each.id for each in found if _covered(each, standing)}
    for each in found:
        if each.ends <= now and each.id not in known | covered:
            record = missed(each.id, each.name, each.begins, each.ends, now)
            standing = standing.with_window(record)
    chosen = due(found, now, known | covered)
    if chosen is not None:
        return standing.with_window(
            WindowRecord(id=chosen.id, name=chosen.name, begins=chosen.begins, ends=chosen.ends)
        )
    if extra and _may_open_extra(standing, blocked, now):
        begins = now.replace(microsecond=0)
        return standing.with_window(
            WindowRecord(
                id=f"{begins:%Y%m%dT%H%M%SZ}-extra",
                name="extra",
                kind=WindowKind.EXTRA,
                begins=begins,
                ends=begins + longest(windows),
            )
        )
    return standing


def _covered(each: Occurrence, standing: Standing) -> bool:
    """Whether another window that was done in its time did what this one is for."""
    return any(
        record.stage is Stage.DONE
        and record.began is not None
        and record.ended is not None
        and record.began < each.ends
        and record.ended > each.begins
        for record in standing.windows
    )


def _may_open_extra(standing: Standing, blocked: Sequence[CronWindow], now: datetime) -> bool:
    if blocked_at(blocked, now) is not None:
        return False
    worked = [each.ended for each in standing.windows if each.stage is not Stage.MISSED]
    ends = [ended for ended in worked if ended is not None]
    return now >= max(ends) + EXTRA_PAUSE if ends else True


def stands_by(standing: Standing, now: datetime, *, sleeping: bool | None) -> Standing:
    """With since when the site stands by and sleeps between windows; None leaves it as it is."""
    if sleeping is None:
        return standing
    if not sleeping:
        return msgspec.structs.replace(standing, standby_since=None)
    if standing.standby_since is None:
        return msgspec.structs.replace(standing, standby_since=now)
    return standing
