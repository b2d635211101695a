"""A row of the ledger, as this process makes it."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a row says happened."""

    DECISION = "decision"
    LOAD = "load"
    SEGMENT_REFRESH = "segment_refresh"


class LedgerRow(NamedTuple):
    """One fact. `body` is JSON text; `id` is a UUIDv7; PostgreSQL adds the transaction."""

    id: uuid.UUID
    site: str
    epoch: int
    kind: str
    key: str | None
    version: int | None
    customer_id: str | None
    at: datetime
    body: str
