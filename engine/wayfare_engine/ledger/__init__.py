"""The append-only table of facts: rows, the fence, appending, and reading a row back."""

from wayfare_engine.ledger.append import append, append_rows
from wayfare_engine.ledger.fence import SiteEpoch, StaleEpoch
from wayfare_engine.ledger.read import StoredRow, find
from wayfare_engine.ledger.row import Kind, LedgerRow

__all__ = [
    "Kind",
    "LedgerRow",
    "SiteEpoch",
    "StaleEpoch",
    "StoredRow",
    "append",
    "append_rows",
    "find",
]
