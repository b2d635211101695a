"""Timestamps and durations as CEL writes them, to the microsecond."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))\Z"
)
_OFFSET = re.compile(r"([+-]?)([0-9]{1,2}):([0-9]{2})\Z")
_DURATION = re.compile(r"([+-]?)((?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:h|ms|us|µs|ns|m|s))+|0)\Z")
_DURATION_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(h|ms|us|µs|ns|m|s)")
_NANOSECONDS = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "µs": 1_000,
    "ns": 1,
}


def parse(text: str) -> datetime:
    """An RFC 3339 timestamp in UTC; digits below a microsecond are cut off. Raises ValueError."""
    match = _TIMESTAMP.match(text)
    if match is None:
        raise ValueError('not a timestamp such as "2026-01-31T09:00:00Z"')
    fraction = (match[7] or "").ljust(6, "0")[:6]
    offset = timedelta()
    if match[9]:
        if int(match[10]) > 23 or int(match[11]) > 59:
            raise ValueError("not a timestamp: no such offset")
        offset = timedelta(hours=int(match[10]), minutes=int(match[11]))
        if match[9] == "-":
            offset = -offset
    try:
        local = datetime(*(int(match[i]) for i in range(1, 7)), int(fraction), tzinfo=UTC)  # type: ignore[misc, arg-type]
        return local - offset
    except (ValueError, OverflowError) as error:
        raise ValueError(f"not a timestamp: {error}") from None


def text(moment: datetime) -> str:
    """RFC 3339 in UTC, with as many digits of a second as it needs."""
    written = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{written}{fraction}Z"


def parse_duration(written: str) -> timedelta:
    """A duration such as `1h30m` or `-1.5s`; digits below a microsecond are cut off.

    Raises ValueError.
    """
    match = _DURATION.match(written)
    if match is None:
        raise ValueError('not a duration such as "1h30m"')
    total = 0
    for whole, fraction, unit in _DURATION_PART.findall(match[2]):
        scale = _NANOSECONDS[unit]
        total += int(whole or "0") * scale
        if fraction:
            total += int(fraction) * scale // 10 ** len(fraction)
    if total >= 2**63:
        raise ValueError("duration out of range")
    micros = total // 1000
    return timedelta(microseconds=-micros if match[1] == "-" else micros)


def epoch_microseconds(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (moment - EPOCH) // _MICROSECOND


def from_epoch_microseconds(micros: int) -> datetime:
    """The moment so many microseconds after 1970; raises ValueError out of the years 1 to 9999."""
    try:
        return EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        raise ValueError("timestamp out of range") from None


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo:
    """A zone by IANA name, or by an offset such as `+02:00`; raises ValueError."""
    match = _OFFSET.match(name)
    if match is not None:
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        if offset >= timedelta(hours=24):
            raise ValueError(f"no such time zone: {name!r}")
        return timezone(-offset if match[1] == "-" else offset)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"no such time zone: {name!r}") from None


_OF_TIMESTAMP: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda t: t.year,
    "getMonth": lambda t: t.month - 1,
    "getDate": lambda t: t.day,
    "getDayOfMonth": lambda t: t.day - 1,
    "getDayOfWeek": lambda t: t.isoweekday() % 7,
    "getDayOfYear": lambda t: t.timetuple().tm_yday - 1,
    "getHours": lambda t: t.hour,
    "getMinutes": lambda t: t.minute,
    "getSeconds": lambda t: t.second,
    "getMilliseconds": lambda t: t.microsecond // 1000,
}
_OF_DURATION = {
    "getHours": 3_600_000_000,
    "getMinutes": 60_000_000,
    "getSeconds": 1_000_000,
}
GETTERS = tuple(_OF_TIMESTAMP)


def getter(name: str) -> Callable[..., int]:
    """The function behind `x.<name>()` and `x.<name>(zone)`; raises ValueError or TypeError."""
    of_timestamp = _OF_TIMESTAMP[name]
    unit = _OF_DURATION.get(name)

    def get(value: Any, where: Any = "UTC") -> int:
        if isinstance(value, datetime) and type(where) is str:
            try:
                return of_timestamp(value.astimezone(zone(where)))
            except OverflowError as error:
                raise ValueError(str(error)) from None
        if isinstance(value, timedelta) and unit is not None:
            micros = value // _MICROSECOND
            return -(-micros // unit) if micros < 0 else micros // unit
        raise TypeError

    return get
