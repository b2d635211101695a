"""Clocks that tests hold: one that only goes on, and a wall clock that jumps."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


@dataclass
class Boottime:
    """Seconds on CLOCK_BOOTTIME, as far as the code under test can tell."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let that much pass."""
        self.now += seconds


@dataclass
class JumpingWall:
    """Years forward and back at every look."""

    dice: random.Random = field(default_factory=lambda: random.Random(4))

    def __call__(self) -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=self.dice.uniform(-9999, 9999))


AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
