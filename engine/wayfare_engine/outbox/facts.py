"""Rows of the outbox: written to the ledger and to its projections in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection

from wayfare_engine.ledger import Kind, LedgerRow, append_rows
from wayfare_engine.ledger.bodies import Body
from wayfare_engine.projections import apply_rows

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


def record(connection: Connection[Any], rows: Sequence[LedgerRow]) -> int:
    """Write the rows and what follows from them, in the transaction that is open (or their own).

    Returns the transaction's id, by which the journal can be asked whether they are in the store.
    Raises StaleEpoch when the epoch is over at this database, and psycopg.Error.
    """
    with connection.transaction():
        append_rows(connection, rows)
        apply_rows(connection, rows)
        found = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
        assert found is not None
        return int(found[0])
