"""Writing facts: rows of the ledger together with what follows from them, in one transaction."""

from wayfare_engine.facts.record import record, record_async
from wayfare_engine.facts.writer import LedgerWriter

__all__ = ["LedgerWriter", "record", "record_async"]
