"""Rows that the tests of this folder write."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from wayfare_engine.clock import new_id
from wayfare_engine.ledger import LedgerRow

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def row(
    body: str = "{}",
    *,
    row_id: uuid.UUID | None = None,
    kind: str = "decision",
    epoch: int = 1,
    site: str = "east",
    customer: str | None = "anna",
    key: str | None = None,
    version: int | None = None,
) -> LedgerRow:
    """A row; what is not given is of no matter to the test."""
    return LedgerRow(row_id or new_id(), site, epoch, kind, key, version, customer, NOW, body)


def event(name: str, *, client_id: str | None = None, customer: str = "anna") -> LedgerRow:
    """An event's row, with its sender's id if there is one."""
    told = f',"client_id":"{client_id}"' if client_id else ""
    return row(f'{{"customer":"{customer}","name":"{name}"{told}}}', kind="event")
