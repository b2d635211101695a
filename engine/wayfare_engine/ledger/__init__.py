"""The append-only table of facts: rows, the batched writer, and reading a decision back."""

from wayfare_engine.ledger.read import StoredRow, find
from wayfare_engine.ledger.row import Kind, LedgerRow
from wayfare_engine.ledger.writer import LedgerWriter, append

__all__ = ["Kind", "LedgerRow", "LedgerWriter", "StoredRow", "append", "find"]
