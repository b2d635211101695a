"""Sealing a backlog of decisions, and what a decision row takes in a segment.

`seal_rows_s`: rows a second from PostgreSQL to a store (read, digest, encode, put, mark), by the
sealer itself. `seal_vs_jsonl_size`: bytes of the same rows as JSON lines (one object a row, every
column, the body inside) compressed by zstd of the same level in one stream, over the bytes of the
segments.
"""

from __future__ import annotations

import random
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pyarrow as pa

from tests.servers.postgresql import running_postgresql
from wayfare_engine.clock import now
from wayfare_engine.journal.chain import read
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.journal.segment import ZSTD_LEVEL, Segment
from wayfare_engine.journal.verify import verify
from wayfare_engine.ledger import LedgerRow, append_rows
from wayfare_engine.ledger.bodies import Decision, Winner
from wayfare_engine.objectstore import open_store

ROWS = 500_000
_PLAN, _SITE = "bench", "east"
_TRANSACTION = 500
_BEGAN = datetime(2026, 11, 23, 8, tzinfo=UTC)


def decisions(count: int, *, customers: int, seed: int = 1) -> list[LedgerRow]:
    """Decisions of one epoch as a bank's branches and web pages ask for them: 800 journeys a
    membership row of 100 bytes a customer, four fifths of it zero."""
    source = random.Random(seed)  # noqa: S311 - a workload
    plan = "sha256:" + source.randbytes(32).hex()
    memberships = [
        bytes(source.choice((0, 0, 0, 0, source.randrange(256))) for _ in range(100)).hex()
        for _ in range(min(customers, 20_000))
    ]
    rows = []
    for i in range(count):
        at = _BEGAN + timedelta(microseconds=i * 700 + source.randrange(700))
        number = source.randrange(customers)
        customer = f"C{number:08d}"
        journey = source.randrange(60)
        body = Decision(
            customer=customer,
            slot=source.choice(("home-banner", "branch-screen", "app-top", "atm")),
            context=msgspec.Raw(
                b'{"channel":"%s","page":"/p/%d","amount":%d}'
                % (
                    source.choice((b"web", b"app", b"branch")),
                    source.randrange(40),
                    source.randrange(100, 90_000),
                )
            ),
            at=at,
            plan=plan,
            customers_version=41,
            winner=Winner(f"retail/journey-{journey}", "offer") if journey < 40 else None,
            reason="won" if journey < 40 else "none-eligible",
            degraded=(),
            row=memberships[number % len(memberships)],
        )
        milliseconds = int(at.timestamp() * 1000).to_bytes(6, "big")
        row_id = uuid.UUID(bytes=milliseconds + b"\x70" + source.randbytes(9))
        text = msgspec.json.encode(body).decode()
        rows.append(LedgerRow(row_id, _SITE, 1, "decision", None, None, customer, at, text))
    return rows


def json_lines(rows: list[dict[str, Any]]) -> bytes:
    """One object a row, with every column; the body is an object inside it."""
    return b"\n".join(
        msgspec.json.encode(
            {
                "id": str(uuid.UUID(bytes=row["id"])),
                "tx": row["tx"],
                "site": _SITE,
                "epoch": 1,
                "kind": row["kind"],
                "key": row["key"],
                "version": row["version"],
                "customer_id": row["customer_id"],
                "at": row["at"],
                "body": msgspec.Raw(row["body"].encode()),
            }
        )
        for row in rows
    )


def measure(scale: float) -> dict[str, Any]:
    """The figures, over `scale` of 500,000 decisions of a million customers."""
    # The first segment, of up to 50,000 rows, is not measured.
    count = max(100_000, int(ROWS * scale))
    with running_postgresql() as server, tempfile.TemporaryDirectory() as folder:
        dsn = server.database()
        made = decisions(count, customers=1_000_000)
        with psycopg.connect(dsn, autocommit=True) as connection:
            for start in range(0, count, _TRANSACTION):
                append_rows(connection, made[start : start + _TRANSACTION])
            connection.execute("ANALYZE wayfare.ledger")
        store = open_store(f"file://{folder}")
        sealer = Sealer(dsn, store, plan=_PLAN, site=_SITE, clock=now)
        sealer.seal_once()  # connecting, and the first segment, are not what is measured
        began, before = time.perf_counter(), sealer.rows
        while sealer.seal_once():
            pass
        seconds = time.perf_counter() - began
        measured = sealer.rows - before
        sealer.close()
        checked = verify(store, plan=_PLAN)
        assert checked.ok
        assert checked.chains[0].rows == count
        lines = size = 0
        compressor = pa.Codec("zstd", compression_level=ZSTD_LEVEL)
        texts = []
        for found in read(store, _SITE, 1, plan=_PLAN):
            assert isinstance(found, Segment)
            texts.append(json_lines(found.rows.to_pylist()))
            lines += found.rows.num_rows
        size = checked.chains[0].size
        compressed = len(compressor.compress(b"\n".join(texts), asbytes=True))
    return {
        "seal_rows_s": round(measured / seconds) if measured else None,
        "seal_vs_jsonl_size": round(compressed / size, 2),
        "bytes_a_decision_row": round(size / lines, 1),
        "jsonl_bytes_a_decision_row": round(compressed / lines, 1),
    }
