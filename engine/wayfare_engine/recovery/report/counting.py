"""Counts in records, which anybody who may write into the store wrote."""

from __future__ import annotations

from typing import Any


def count(value: Any) -> int | None:
    """A whole number that is not negative, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if 0 <= value < 10**18 and value == int(value) else None
