"""The bounds of a guard are checked once, when it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wayfare_engine.errors import USAGE, SaidToPeople


@dataclass(eq=False)
class BadLimit(SaidToPeople):
    """A bound that cannot work: which field of which guard, what it was, and what it must be."""

    exit_code = USAGE

    guard: str
    field: str
    found: object
    wanted: str

    def __str__(self) -> str:
        return f"{self.guard}: {self.field} is {self.found}, and must be {self.wanted}"


@dataclass(frozen=True)
class Checking:
    """Checks the bounds of one guard; each method raises BadLimit."""

    guard: str

    def count(self, field: str, found: int, *, least: int, most: int) -> None:
        """A whole number from `least` to `most`."""
        whole = isinstance(found, int) and not isinstance(found, bool)
        if not whole or not least <= found <= most:
            raise BadLimit(self.guard, field, found, f"a whole number from {least:,} to {most:,}")

    def seconds(self, field: str, found: float, *, most: float, zero: bool = False) -> None:
        """A time above zero (or zero, where that means something), at most `most` seconds."""
        enough = found >= 0 if zero else found > 0
        if not (math.isfinite(found) and enough and found <= most):
            floor = "not below 0" if zero else "above 0"
            raise BadLimit(self.guard, field, found, f"{floor} and at most {most:,.0f} seconds")

    def number(self, field: str, found: float, *, least: float, most: float) -> None:
        """A number from `least` to `most`."""
        if not (math.isfinite(found) and least <= found <= most):
            raise BadLimit(self.guard, field, found, f"from {least:g} to {most:,g}")

    def that(self, holds: bool, field: str, found: object, wanted: str) -> None:
        """Two fields that must fit together."""
        if not holds:
            raise BadLimit(self.guard, field, found, wanted)
