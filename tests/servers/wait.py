"""Waiting for a fact instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_OFTEN, _RARELY = 0.05, 0.15


class NeverHappened(AssertionError):
    """The fact did not come true before its deadline; the message says what was last seen."""


def until(
    fact: Callable[[], T | None],
    *,
    seconds: float = 30.0,
    what: str = "the fact",
    every: float | None = None,
    ignoring: tuple[type[BaseException], ...] = (),
) -> T:
    """Ask `fact` every `every` seconds until its answer is truthy, and return that answer. By
    default it is asked often for a second and then less: asking takes time from who works on it.

    Errors listed in `ignoring` count as "not yet". Raises NeverHappened after `seconds`.
    """
    began = time.monotonic()
    seen: object = None
    while True:
        try:
            seen = fact()
        except ignoring as error:
            seen = error
        else:
            if seen:
                return seen
        waited = time.monotonic() - began
        if waited > seconds:
            raise NeverHappened(f"{what}: not within {seconds:g} s; last seen: {seen!r}")
        time.sleep(every or (_OFTEN if waited < 1 else _RARELY))
