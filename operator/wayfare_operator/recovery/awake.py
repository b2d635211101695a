"""How long the standby was awake, and what sleeping saves: pure functions over what was recorded.

An interval is written when a number of pods changes, so that the sums need no guess and survive
the operator. Where the operator was away when something changed, it is told when it was seen: too
much is counted then, never too little. All times are UTC; sums are hours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

Cause = Literal["window", "drill", "emergency"]
CAUSES: tuple[Cause, ...] = ("window", "drill", "emergency")

DAY = timedelta(hours=24)
KEPT = timedelta(days=8)
MOST_KEPT = 2000


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """`pods` and `volumes` (those in use by pods) were up from `began` until `ended`; None: still
    are."""

    began: datetime
    ended: datetime | None = None
    cause: Cause
    pods: int
    volumes: int = 0

    def within(self, after: datetime, before: datetime) -> timedelta:
        """How much of it is in [after, before)."""
        ends = before if self.ended is None else min(self.ended, before)
        return max(timedelta(0), ends - max(self.began, after))


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Hours by cause."""

    window: float = 0.0
    drill: float = 0.0
    emergency: float = 0.0

    @property
    def total(self) -> float:
        """Of all causes."""
        return self.window + self.drill + self.emergency


class Awake(msgspec.Struct, frozen=True, kw_only=True):
    """`hours_today` since midnight UTC; all else is of the last `of_hours`: 24, or fewer while
    less was recorded."""

    of_hours: float
    hours_today: float
    hours: Sums
    share: float
    pod_hours: Sums
    volume_hours: Sums
    saved_share: float | None


def observe(
    recorded: Sequence[Interval],
    now: datetime,
    *,
    pods: int,
    volumes: int,
    cause: Cause,
) -> tuple[Interval, ...]:
    """What is recorded after a look at `now`: unchanged when nothing changed.

    No pod means asleep. An interval goes on while pods, volumes and cause stay what they were.
    """
    kept = tuple(recorded)
    current = kept[-1] if kept and kept[-1].ended is None else None
    if current is not None:
        if pods and (current.pods, current.volumes, current.cause) == (pods, volumes, cause):
            return kept
        # A clock that was put back makes an empty interval, not one that ends before it began.
        ended = msgspec.structs.replace(current, ended=max(now, current.began))
        kept = (*kept[:-1], ended) if ended.ended != ended.began else kept[:-1]
    if pods:
        began = max([now, *(each.ended for each in kept[-1:] if each.ended is not None)])
        kept = (*kept, Interval(began=began, cause=cause, pods=pods, volumes=volumes))
    return kept if kept == tuple(recorded) else _forget(kept, now)


def _forget(kept: tuple[Interval, ...], now: datetime) -> tuple[Interval, ...]:
    oldest = now - KEPT
    return tuple(each for each in kept if each.ended is None or each.ended > oldest)[-MOST_KEPT:]


def awake_since(recorded: Sequence[Interval]) -> datetime | None:
    """Since when pods have been up without a gap; None when none are."""
    if not recorded or recorded[-1].ended is not None:
        return None
    since = recorded[-1].began
    for each in reversed(recorded[:-1]):
        if each.ended is None or each.ended < since:
            break
        since = each.began
    return since


def summed(
    recorded: Sequence[Interval], now: datetime, *, since: datetime, always: int | None
) -> Awake | None:
    """The figures of the 24 hours before `now`, or since the recording began; None when it only
    just did. `always`: pods that would be up around the clock; None when that is not known, then
    neither is the saved share."""
    after = max(now - DAY, since)
    span = (now - after).total_seconds() / 3600
    if span <= 0:
        return None
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    hours = _sums(recorded, after, now, lambda each: 1)
    pod_hours = _sums(recorded, after, now, lambda each: each.pods)
    saved = None
    if always:
        saved = max(0.0, 1.0 - pod_hours.total / (always * span))
    return Awake(
        of_hours=span,
        hours_today=_sums(recorded, midnight, now, lambda each: 1).total,
        hours=hours,
        share=min(1.0, hours.total / span),
        pod_hours=pod_hours,
        volume_hours=_sums(recorded, after, now, lambda each: each.volumes),
        saved_share=saved,
    )


def _sums(
    recorded: Iterable[Interval],
    after: datetime,
    before: datetime,
    weight: Callable[[Interval], int],
) -> Sums:
    found: dict[str, float] = dict.fromkeys(CAUSES, 0.0)
    for each in recorded:
        hours = each.within(after, before).total_seconds() / 3600
        found[each.cause] += hours * weight(each)
    return Sums(**found)


def saving(
    awake: Awake, *, always: int, volumes: int, pod_hour: float, volume_hour: float
) -> tuple[float, float]:
    """(cost without sleep, cost as it was) of `awake.of_hours`. Volumes are paid for awake or not,
    so they stand on both sides."""
    storage = volumes * awake.of_hours * volume_hour
    return always * awake.of_hours * pod_hour + storage, awake.pod_hours.total * pod_hour + storage
