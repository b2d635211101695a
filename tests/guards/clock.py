"""A clock that stands still until the test moves it."""

from __future__ import annotations


class Clock:
    """Call it for its seconds; `pass_` moves it on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds
