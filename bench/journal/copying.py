"""Appending rows: binary COPY by `append_rows` against executemany of the same rows.

Both write into the ledger as it is (its partition, primary key, index on the transaction and
triggers), in transactions of as many rows as a writer takes at most, after entering the epoch; in
turns, so that what else the machine does meets both. psycopg's executemany is the fastest way of
inserting row by row that it has: prepared, and in pipeline mode. `small_transactions` is the same
with 1,000 rows in each, where beginning, fence and commit weigh more.
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
from wayfare_engine.ledger.append import BATCH

ROWS = 200_000
SMALL = 1_000
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
    """Rows a second of each in its median transaction, over `scale` of 200,000 decisions a way."""
    return _compare(scale, BATCH) | {"small_transactions": _compare(scale / 4, SMALL)}


def _compare(scale: float, transaction: int) -> dict[str, Any]:
    count = max(10, int(ROWS * scale) // transaction) * transaction
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
        for number, start in enumerate(range(0, 2 * count, transaction)):
            way = ways[number % 2]
            some = made[start : start + transaction]
            began = time.perf_counter()
            way(connection, some)
            seconds[way].append(time.perf_counter() - began)
        found = connection.execute("SELECT count(*) FROM wayfare.ledger").fetchone()
        assert found == (2 * count,)
    copy, insert = (statistics.median(seconds[way]) for way in ways)
    return {
        "rows_a_transaction": transaction,
        "copy_rows_s": round(transaction / copy),
        "executemany_rows_s": round(transaction / insert),
        "copy_vs_executemany": round(insert / copy, 2),
    }


def _of_today(row_id: uuid.UUID) -> uuid.UUID:
    milliseconds = int(time.time() * 1000).to_bytes(6, "big")
    return uuid.UUID(bytes=milliseconds + row_id.bytes[6:])
