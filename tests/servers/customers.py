"""What customers PostgreSQL's blobs hold, read apart from the engine's own readers, for SQL too."""

from __future__ import annotations

import io
import json
from datetime import datetime
from typing import Any

import psycopg
import pyarrow.parquet as pq

from tests.servers.postgresql import rows


def stored(dsn: str) -> dict[str, tuple[int, dict[str, Any]]]:
    """Customer to (dense id, attributes as JSON has them; envelopes as they are)."""
    found = rows(
        dsn,
        "SELECT b.data FROM wayfare.blobs b JOIN wayfare.customer_version v ON v.blob = b.digest "
        "ORDER BY b.part",
    )
    if not found:
        return {}
    table = pq.read_table(io.BytesIO(b"".join(part for (part,) in found)))
    return {
        row.pop("id"): (
            row.pop("dense"),
            {name[2:]: _json(value) for name, value in row.items() if name.startswith("a:")},
        )
        for row in table.to_pylist()
    }


def ask_customers(dsn: str, query: str) -> list[tuple[Any, ...]]:
    """The answer of a query over a table `customers (dense, customer_id, attributes jsonb)`."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE TEMP TABLE customers (dense bigint, customer_id text, attributes jsonb)"
        )
        with connection.cursor().copy("COPY customers FROM STDIN") as copy:
            for customer, (dense, attributes) in stored(dsn).items():
                copy.write_row((dense, customer, json.dumps(attributes)))
        return connection.execute(query.encode()).fetchall()


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value
