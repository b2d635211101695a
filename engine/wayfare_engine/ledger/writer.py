"""Writing rows in batches by binary COPY, through outages, from a bounded buffer.

A row is in memory only until the next flush (50 ms by default): a killed process loses that, and
nothing that was flushed. While PostgreSQL is away rows wait, up to the buffer's capacity; beyond
it new rows are dropped and counted, and the answers that they belong to say so.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import deque
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from wayfare_engine.ledger.append import BATCH, append
from wayfare_engine.ledger.row import LedgerRow
from wayfare_engine.metrics import LedgerMetrics
from wayfare_engine.store.postgresql import Away, patient

log = structlog.get_logger(__name__)


class LedgerWriter:
    """The buffer of one process and the task that empties it. Used from one event loop."""

    def __init__(
        self, dsn: str, *, metrics: LedgerMetrics, flush_seconds: float, capacity: int
    ) -> None:
        self._dsn = patient(dsn, "wayfare-ledger")
        self._metrics = metrics
        self._flush_seconds = flush_seconds
        self._capacity = capacity
        self._waiting: deque[LedgerRow] = deque()
        self._writing: list[LedgerRow] = []
        self._arrived = asyncio.Event()
        self._connection: AsyncConnection[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self.dropped = 0
        self.written = 0
        #: True from a failed attempt to the next that succeeds.
        self.failing = False
        metrics.queue.set_function(lambda: float(self.backlog))

    @property
    def backlog(self) -> int:
        """Rows that are not known to be in PostgreSQL."""
        return len(self._waiting) + len(self._writing)

    @property
    def full(self) -> bool:
        """Whether the next row would be dropped."""
        return self.backlog >= self._capacity

    def put(self, row: LedgerRow) -> bool:
        """Take a row; False when the buffer is full and it was dropped."""
        if self.full:
            self.dropped += 1
            self._metrics.dropped.labels("full").inc()
            return False
        self._waiting.append(row)
        if not self._arrived.is_set():
            self._arrived.set()
        return True

    def pending(self, row_id: uuid.UUID) -> LedgerRow | None:
        """A row that is still here."""
        for rows in (self._writing, self._waiting):
            for row in rows:
                if row.id == row_id:
                    return row
        return None

    def start(self) -> None:
        """Start the task that writes."""
        self._task = asyncio.create_task(self._run(), name="ledger")

    async def stop(self, *, seconds: float = 10.0) -> int:
        """Write what is left within the time; returns how many rows could not be written."""
        self._stopping = True
        self._arrived.set()
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._task), seconds)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._disconnect()
        if self.backlog:
            log.error("ledger.lost", rows=self.backlog)
        return self.backlog

    async def _run(self) -> None:
        pause = 0.05
        while True:
            await self._arrived.wait()
            if not self._stopping:
                await asyncio.sleep(self._flush_seconds)
            if not self.backlog:
                self._arrived.clear()
                if self._stopping:
                    return
                continue
            try:
                await self._flush()
                pause = 0.05
                self.failing = False
            except Away as error:
                self.failing = True
                self._metrics.failures.inc()
                await self._disconnect()
                log.warning("ledger.waiting", rows=self.backlog, error=type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)
            except psycopg.Error as error:
                self.failing = True
                self._metrics.failures.inc()
                log.error("ledger.refused", error=str(error).splitlines()[0])
                try:
                    await self._write_one_by_one()
                except psycopg.Error:  # lost meanwhile, or the table is not there yet
                    await self._disconnect()
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 1.0)

    async def _flush(self) -> None:
        if not self._writing:
            count = min(len(self._waiting), BATCH)
            self._writing = [self._waiting.popleft() for _ in range(count)]
        async with asyncio.timeout(15):
            connection = await self._connect()
            try:
                await append(connection, self._writing)
            except psycopg.errors.UniqueViolation:
                # The last attempt's commit succeeded and its answer was lost on the way.
                await self._write_missing(connection)
        self._done(len(self._writing))

    async def _write_missing(self, connection: AsyncConnection[Any]) -> None:
        cursor = await connection.execute(
            "SELECT id FROM wayfare.ledger WHERE id = ANY(%s)", ([r.id for r in self._writing],)
        )
        present = {row[0] for row in await cursor.fetchall()}
        missing = [row for row in self._writing if row.id not in present]
        if missing:
            await append(connection, missing)

    async def _write_one_by_one(self) -> None:
        """Find the rows that PostgreSQL refuses: they are dropped, the others are written."""
        connection = await self._connect()
        while self._writing:
            row = self._writing[0]
            try:
                await append(connection, [row])
            except psycopg.errors.UniqueViolation:
                pass
            except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded):
                log.error("ledger.dropped", id=str(row.id), kind=row.kind)
                self.dropped += 1
                self._metrics.dropped.labels("refused").inc()
                self._writing.pop(0)
                continue
            self._writing.pop(0)
            self.written += 1
            self._metrics.written.inc()

    def _done(self, count: int) -> None:
        self.written += count
        self._metrics.written.inc(count)
        self._writing = []

    async def _connect(self) -> AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = await AsyncConnection.connect(self._dsn, autocommit=True)
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close()
