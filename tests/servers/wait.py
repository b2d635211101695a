"""Waiting for a fact instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NeverHappened(AssertionError):
    """The fact did not come true before its deadline; the message says what was last seen."""


def until(
    fact: Callable[[], T | None],
    *,
    seconds: float = 30.0,
    what: str = "the fact",
    every: float = 0.05,
    ignoring: tuple[type[BaseException], ...] = (),
) -> T:
    """Ask `fact` every `every` seconds until its answer is truthy, and return that answer.

    Errors listed in `ignoring` count as "not yet". Raises NeverHappened after `seconds`.
    """
    deadline = time.monotonic() + seconds
    seen: object = None
    while True:
        try:
            seen = fact()
        except ignoring as error:
            seen = error
        else:
            if seen:
                return seen
        if time.monotonic() > deadline:
            raise NeverHappened(f"{what}: not within {seconds:g} s; last seen: {seen!r}")
        time.sleep(every)
