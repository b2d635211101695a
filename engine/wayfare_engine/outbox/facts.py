"""Who writes the rows of the outbox; `record` writes them and what follows from them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from wayfare_engine.facts import record
from wayfare_engine.ledger import Kind, LedgerRow
from wayfare_engine.ledger.bodies import Body

__all__ = ["Origin", "record"]

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True)
class Origin:
    """Who writes: site and epoch, and where ids and the time (UTC) come from."""

    site: str
    epoch: int
    ids: Callable[[], uuid.UUID]
    clock: Callable[[], datetime]

    def row(self, kind: Kind, customer: str, body: Body, at: datetime) -> LedgerRow:
        """A row of this site and epoch."""
        return LedgerRow(
            id=self.ids(),
            site=self.site,
            epoch=self.epoch,
            kind=kind,
            key=None,
            version=None,
            customer_id=customer,
            at=at,
            body=_encoder.encode(body).decode(),
        )
