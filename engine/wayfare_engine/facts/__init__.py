"""Writing facts: rows of the ledger together with what follows from them, in one transaction."""

from wayfare_engine.facts.committed import (
    Ack,
    Acknowledged,
    CommittedWriter,
    NotAcknowledged,
    Why,
)
from wayfare_engine.facts.fact import Fact
from wayfare_engine.facts.journaled import JournalWatch
from wayfare_engine.facts.record import record, record_async
from wayfare_engine.facts.transaction import Draft, Written, write, write_async
from wayfare_engine.facts.writer import LedgerWriter

__all__ = [
    "Ack",
    "Acknowledged",
    "CommittedWriter",
    "Draft",
    "Fact",
    "JournalWatch",
    "LedgerWriter",
    "NotAcknowledged",
    "Why",
    "Written",
    "record",
    "record_async",
    "write",
    "write_async",
]
