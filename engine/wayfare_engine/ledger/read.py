"""Reading a row back by its id."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection


@dataclass(frozen=True)
class StoredRow:
    """A row as it stands in PostgreSQL; `body` is its JSON text, byte for byte."""

    id: uuid.UUID
    site: str
    epoch: int
    kind: str
    customer_id: str | None
    at: datetime
    body: str


async def find(connection: AsyncConnection[Any], row_id: uuid.UUID) -> StoredRow | None:
    """The row with this id; the id's time leads to one partition."""
    cursor = await connection.execute(
        "SELECT id, site, epoch, kind, customer_id, at, body::text "
        "FROM wayfare.ledger WHERE id = %s",
        (row_id,),
    )
    row = await cursor.fetchone()
    return StoredRow(*row) if row else None
