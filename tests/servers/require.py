"""What a test needs from the machine: skipped with its reason on a laptop, a failure in CI."""

from __future__ import annotations

import os

import pytest


def need(available: object, reason: str) -> None:
    """Go on when `available` is truthy; otherwise skip, or fail when CI=true."""
    if available:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have this: {reason}", pytrace=False)
    pytest.skip(reason)
