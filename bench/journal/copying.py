"""Appending rows: binary COPY by `append_rows` against executemany of the same rows.

Both write into the ledger as it is (its partition, primary key, index on the transaction and
triggers), in transactions of 1,000 rows, after entering the epoch; in turns, so that what else the
machine does meets both. psycopg's executemany is the fastest way of inserting row by row that it
has: prepared, and in pipeline mode.
"""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import psycopg

from bench.journal.seal import decisions
from tests.servers.postgresql import running_postgresql
from wayfare_engine.ledger import LedgerRow, append_rows, fence

ROWS = 100_000
TRANSACTION = 1_000
_INSERT = (
    "INSERT INTO wayfare.ledger (id, site, epoch, kind, key, version, customer_id, at, body) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s::json)"
)
Write = Callable[[psycopg.Connection[Any], Sequence[LedgerRow]], None]


def by_executemany(connection: psycopg.Connection[Any], rows: Sequence[LedgerRow]) -> None:
    """What `append_rows` does, row by row."""
    with connection.transaction(), connection.cursor() as cursor:
        fence.enter(connection, rows[0].epoch)
        cursor.executemany(_INSERT, rows)


def measure(scale: float) -> dict[str, Any]:
    """Rows a second of each in its median transaction, over `scale` of 100,000 decisions a way."""
    count = max(10 * TRANSACTION, int(ROWS * scale) // TRANSACTION * TRANSACTION)
    made = [
        # Of today, so that they come into a partition of a day as they do in production.
        row._replace(id=_of_today(row.id), at=row.at + timedelta(days=1))
        for row in decisions(2 * count, customers=1_000_000)
    ]
    seconds: dict[Write, list[float]] = {append_rows: [], by_executemany: []}
    ways: tuple[Write, ...] = (append_rows, by_executemany)
    with (
        running_postgresql() as server,
        psycopg.connect(server.database(), autocommit=True) as connection,
    ):
        for start in range(0, 2 * count, TRANSACTION):
            way = ways[start // TRANSACTION % 2]
            some = made[start : start + TRANSACTION]
            began = time.perf_counter()
            way(connection, some)
            seconds[way].append(time.perf_counter() - began)
        found = connection.execute("SELECT count(*) FROM wayfare.ledger").fetchone()
        assert found == (2 * count,)
    copy, insert = (statistics.median(seconds[way]) for way in ways)
    return {
        "copy_rows_s": round(TRANSACTION / copy),
        "executemany_rows_s": round(TRANSACTION / insert),
        "copy_vs_executemany": round(insert / copy, 2),
    }


def _of_today(row_id: uuid.UUID) -> uuid.UUID:
    milliseconds = int(time.time() * 1000).to_bytes(6, "big")
    return uuid.UUID(bytes=milliseconds + row_id.bytes[6:])
