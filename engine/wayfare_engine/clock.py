"""The real clock and the real source of ids; everything else gets them as arguments."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from uuid_utils.compat import uuid7


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def new_id() -> uuid.UUID:
    """A UUIDv7."""
    return uuid7()
