"""What governs contacts, asked when the message leaves and not only when it was decided: quiet
hours by the customer's own clock, caps of a channel, lists of whom to contact and whom not.

Each is a `Check` (see `checks`): what is held back waits, and expires as its send declares.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import Connection

from wayfare_engine.outbox.channel import Send
from wayfare_engine.outbox.checks import Later, Refused, Verdicts
from wayfare_engine.plan import PlanWindow

#: Customers to the IANA names of their time zones; one that is missing has none.
Zones = Callable[[Collection[str]], Mapping[str, str]]

_DAY = timedelta(days=1)
#: Windows that follow each other without a gap are passed one by one, for at most so long; what is
#: quiet all week is looked at again then.
_LOOKS_AHEAD = timedelta(days=8)


@dataclass(frozen=True)
class QuietHours:
    """Nobody is contacted within the windows, read in the customer's time zone: the one that
    `zones` knows, or `zone` where it knows none that exists.

    `channels`: of which; none means all. A test that is no customer's is not held back: they
    are the hours of whom it would disturb.
    """

    windows: tuple[PlanWindow, ...]
    zone: ZoneInfo
    zones: Zones = lambda customers: {}
    channels: frozenset[str] = frozenset()

    def __call__(
        self, connection: Connection[Any], sends: Sequence[Send], now: datetime
    ) -> Verdicts:
        """A `Check`."""
        concerned = [
            s
            for s in sends
            if (not self.channels or s.channel in self.channels) and not s.of_nobody
        ]
        if not concerned:
            return {}
        known = self.zones({s.customer for s in concerned})
        zones = {customer: _zone(name) or self.zone for customer, name in known.items()}
        ends: dict[ZoneInfo, datetime | None] = {}
        held = {}
        for send in concerned:
            zone = zones.get(send.customer, self.zone)
            if zone not in ends:
                ends[zone] = quiet_until(self.windows, zone, now)
            until = ends[zone]
            if until is not None:
                held[send.send_key] = Later(until, "quiet hours")
        return held


def quiet_until(windows: Sequence[PlanWindow], zone: ZoneInfo, now: datetime) -> datetime | None:
    """When the quiet time that `now` (UTC) is in ends, in UTC; None when it is in none."""
    moment = now
    while moment - now < _LOOKS_AHEAD:
        local = moment.astimezone(zone)
        ends = [end for window in windows if (end := _end(window, local)) is not None]
        if not ends:
            break
        end = max(ends).astimezone(UTC)
        # A clock that is put back shows an hour twice: never stand still.
        moment = end if end > moment else moment + timedelta(minutes=1)
    return None if moment == now else moment


@dataclass(frozen=True)
class ChannelCap:
    """At most `limit` contacts a customer in any `seconds` through `channels`, at both sites.

    Exact, because one worker at a time takes the turns of a customer, one send after the other.
    """

    name: str
    channels: frozenset[str]
    limit: int
    seconds: float

    def __call__(
        self, connection: Connection[Any], sends: Sequence[Send], now: datetime
    ) -> Verdicts:
        """A `Check`."""
        concerned = [s for s in sends if s.channel in self.channels]
        if not concerned:
            return {}
        span = timedelta(seconds=self.seconds)
        if not self.limit:
            return {s.send_key: Refused("Rejected", f"cap {self.name}") for s in concerned}
        # The oldest contact that must have left the span before there is room for one more.
        found = connection.execute(
            "SELECT send_key, at FROM ("
            "  SELECT w.send_key, c.at, row_number() OVER ("
            "    PARTITION BY w.send_key ORDER BY c.at DESC) AS place "
            "  FROM unnest(%s::text[], %s::text[]) AS w(send_key, customer_id) "
            "  JOIN wayfare.contacts c ON c.customer_id = w.customer_id "
            "  AND c.at > %s AND c.channel = ANY(%s) AND c.send_key <> w.send_key"
            ") counted WHERE place = %s",
            (
                [s.send_key for s in concerned],
                [s.customer for s in concerned],
                now - span,
                sorted(self.channels),
                self.limit,
            ),
        ).fetchall()
        return {key: Later(at + span, f"cap {self.name}") for key, at in found}


@dataclass(frozen=True)
class Lists:
    """Whom to contact: nobody on a list of `blocked`, and, where `allowed` names lists, nobody who
    is on none of them. `channels`: of which; none means all."""

    blocked: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()

    def __call__(
        self, connection: Connection[Any], sends: Sequence[Send], now: datetime
    ) -> Verdicts:
        """A `Check`."""
        concerned = [s for s in sends if not self.channels or s.channel in self.channels]
        if not concerned or not (self.blocked or self.allowed):
            return {}
        members: dict[str, set[str]] = {}
        for customer, name in connection.execute(
            "SELECT customer_id, list FROM wayfare.list_members "
            "WHERE member AND customer_id = ANY(%s) AND list = ANY(%s)",
            (sorted({s.customer for s in concerned}), sorted(self.blocked | self.allowed)),
        ):
            members.setdefault(customer, set()).add(name)
        refused = {}
        for send in concerned:
            on = members.get(send.customer, set())
            if blocking := sorted(on & self.blocked):
                refused[send.send_key] = Refused("Rejected", f"on list {blocking[0]}")
            elif self.allowed and not on & self.allowed:
                refused[send.send_key] = Refused("Rejected", "on no list of those to contact")
        return refused


def _end(window: PlanWindow, local: datetime) -> datetime | None:
    """When the window that is open at `local` closes, in the same zone; None when it is closed."""
    minute = local.hour * 60 + local.minute
    starts_today = not window.days or local.weekday() in window.days
    if window.start < window.end:
        if starts_today and window.start <= minute < window.end:
            return _at(local, window.end)
        return None
    if starts_today and minute >= window.start:
        return _at(local + _DAY, window.end)
    started_yesterday = not window.days or (local.weekday() - 1) % 7 in window.days
    if started_yesterday and minute < window.end:
        return _at(local, window.end)
    return None


def _at(day: datetime, minute: int) -> datetime:
    """A minute of a local day; 1440 is the next day's midnight."""
    date = day.date() + timedelta(days=minute // 1440)
    clock = time(minute % 1440 // 60, minute % 60)
    return datetime.combine(date, clock, tzinfo=day.tzinfo)


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None
