"""What is left out when the time for the tests is over.

On a slow machine not every test of a kind may fit. Those marked `more` show once more what others
of their kind show: none of them begins after WAYFARE_TEST_MINUTES. Each is then counted as skipped,
with its reason, at the end of the run. Without that variable all of them run.
"""

from __future__ import annotations

import os
import time

import pytest

MINUTES = "WAYFARE_TEST_MINUTES"
#: Of the first of several runs, in seconds since 1970, where a script makes more than one.
BEGAN = "WAYFARE_TEST_BEGAN"
_IMPORTED = time.time()


def left_out(minutes: str | None, since_start: float) -> str:
    """Why a test marked `more` does not begin `since_start` seconds after the start; "" if it does.

    Raises ValueError for minutes that are no number.
    """
    try:
        limit = float(minutes or "inf")
    except ValueError:
        raise ValueError(f"{MINUTES} is {minutes!r}: give minutes, such as 50") from None
    if since_start <= limit * 60:
        return ""
    return f"LEFT OUT: {MINUTES}={minutes} are over; without it this runs, too"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what is marked when the time is over."""
    if item.get_closest_marker("more") is not None:
        began = float(os.environ.get(BEGAN) or _IMPORTED)
        why = left_out(os.environ.get(MINUTES), time.time() - began)
        if why:
            pytest.skip(f"{item.nodeid}: {why}")
