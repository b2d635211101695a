"""Moments and spans as people write them: `30m`, `24h`, `7d`, or an ISO 8601 time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import typer

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def span(text: str) -> timedelta:
    """Such as `24h`. Raises BadParameter."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([dhm])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r}: write a number and d, h or m, such as 24h")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def since(text: str, now: datetime) -> datetime:
    """A time (UTC where it names no zone), or so long before `now`. Raises BadParameter."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now - span(text)
        except (typer.BadParameter, OverflowError):
            raise typer.BadParameter(
                f"{text!r}: write a time such as 2026-11-20T08:00:00Z, or a span such as 24h"
            ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
