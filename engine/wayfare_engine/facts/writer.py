"""Rows that were answered for before they are on disk (`Async`): written in batches by binary COPY
with what follows from them, through outages, from a bounded buffer.

What a killed process loses is what its buffer holds: rows of the last flush interval (50 ms by
default), of the transaction on its way, and those that came while it was; never more than the
buffer's capacity, and always the newest. While PostgreSQL is away rows wait, up to the capacity;
beyond it new rows are dropped and counted, and the answers that they belong to say so. See
docs/events.md for the bound and its measurement.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import deque
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.facts.record import REFUSALS, record_async
from wayfare_engine.ledger import LedgerRow, StaleEpoch
from wayfare_engine.ledger.append import BATCH, COPY_SPOOLED, copy_rows, present
from wayfare_engine.metrics import LedgerMetrics
from wayfare_engine.store.postgresql import Away, Opened, end_with_client_async, patient

log = structlog.get_logger(__name__)

_writing = crash_point("facts.async.writing", "rows were taken from the buffer, none is written")
_written = crash_point("facts.async.written", "a batch is committed and still in the buffer")

#: A transaction that takes longer than this is given up and tried again, in seconds.
_PATIENCE = 15.0


class LedgerWriter:
    """The buffer of one process and the task that empties it. Used from one event loop. `opened` is
    called with each new connection."""

    def __init__(
        self,
        dsn: str,
        *,
        metrics: LedgerMetrics,
        flush_seconds: float,
        capacity: int,
        opened: Opened | None = None,
    ) -> None:
        self._dsn = patient(dsn, "wayfare-ledger")
        self._opened = opened
        self._metrics = metrics
        self._flush_seconds = flush_seconds
        self._capacity = capacity
        self._waiting: deque[tuple[float, LedgerRow]] = deque()
        self._writing: list[LedgerRow] = []
        self._oldest_at = 0.0
        self._arrived = asyncio.Event()
        self._hurry = asyncio.Event()
        self._awaited: dict[uuid.UUID, asyncio.Future[bool]] = {}
        self._connection: AsyncConnection[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self.dropped = 0
        self.written = 0
        #: Rows that were put aside, because this site does not hold their epoch any more.
        self.spooled = 0
        #: True from a failed attempt to the next that succeeds.
        self.failing = False
        metrics.queue.set_function(lambda: float(self.backlog))
        metrics.oldest.set_function(lambda: self.oldest_seconds)
        metrics.flush_interval.set(flush_seconds)
        metrics.capacity.set(capacity)

    @property
    def backlog(self) -> int:
        """Rows that are not known to be in PostgreSQL: what a kill in this moment may lose."""
        return len(self._waiting) + len(self._writing)

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest row of the backlog has been waiting."""
        if self._writing:
            return time.monotonic() - self._oldest_at
        return time.monotonic() - self._waiting[0][0] if self._waiting else 0.0

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
        self._waiting.append((time.monotonic(), row))
        if not self._arrived.is_set():
            self._arrived.set()
        if len(self._waiting) >= BATCH:
            self._hurry.set()
        return True

    async def committed(self, row_id: uuid.UUID, seconds: float) -> bool:
        """Wait until the row that was just put is committed, at most `seconds`; whether it is.

        It does not wait for the flush interval: the next transaction takes what is there.
        """
        told = asyncio.get_running_loop().create_future()
        self._awaited[row_id] = told
        self._hurry.set()
        try:
            return await asyncio.wait_for(told, seconds)
        except TimeoutError:
            return False
        finally:
            self._awaited.pop(row_id, None)

    def pending(self, row_id: uuid.UUID) -> LedgerRow | None:
        """A row that is still here."""
        for row in self._writing:
            if row.id == row_id:
                return row
        return next((row for _, row in self._waiting if row.id == row_id), None)

    def start(self) -> None:
        """Start the task that writes."""
        self._task = asyncio.create_task(self._run(), name="ledger")

    async def stop(self, *, seconds: float = 10.0) -> int:
        """Write what is left within the time; returns how many rows could not be written."""
        self._stopping = True
        self._arrived.set()
        self._hurry.set()
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
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), self._flush_seconds)
            if not self._stopping:
                self._hurry.clear()
            if not self.backlog:
                self._arrived.clear()
                if self._stopping:
                    return
                continue
            try:
                await self._flush()
                pause = 0.05
                self.failing = False
                continue
            except Away as error:
                log.warning("ledger.waiting", rows=self.backlog, error=type(error).__name__)
            except (psycopg.Error, *REFUSALS) as error:
                log.error("ledger.refused", error=str(error).partition("\n")[0])
                with contextlib.suppress(psycopg.Error, StaleEpoch):
                    await self._write_one_by_one()
            except Exception:
                log.exception("ledger.failed")
            self._metrics.failures.inc()
            self.failing = bool(self._writing)
            if self._writing:  # lost meanwhile, or the table is not there yet
                await self._disconnect()
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)

    def _take(self) -> None:
        """The oldest rows that are of one epoch; those that failed before come again."""
        if self._writing:
            return
        self._oldest_at, first = self._waiting[0]
        while self._waiting and len(self._writing) < BATCH:
            if self._waiting[0][1].epoch != first.epoch:
                break
            self._writing.append(self._waiting.popleft()[1])
        if len(self._waiting) >= BATCH or self._awaited:
            self._hurry.set()

    async def _flush(self) -> None:
        self._take()
        began = time.perf_counter()
        async with asyncio.timeout(_PATIENCE):
            connection = await self._connect()
            _writing()
            try:
                await record_async(connection, self._writing)
            except psycopg.errors.UniqueViolation:
                # The last attempt's commit succeeded and its answer was lost on the way.
                await self._write_missing(connection)
            except StaleEpoch as error:
                await self._spool(connection, error)
                return
        _written()
        self._metrics.flush_seconds.observe(time.perf_counter() - began)
        self._done(self._writing)
        self._writing = []

    async def _write_missing(self, connection: AsyncConnection[Any]) -> None:
        """What is in the ledger was applied by the transaction that wrote it: only the others."""
        there = await present(connection, [row.id for row in self._writing])
        missing = [row for row in self._writing if row.id not in there]
        if missing:
            await record_async(connection, missing)

    async def _spool(self, connection: AsyncConnection[Any], stale: StaleEpoch) -> None:
        """Put rows aside for the merge: they were answered for, and belong to no chain.

        Raising the epoch waited for whoever was writing under it, so nothing of them is on its way.
        """
        ids = [row.id for row in self._writing]
        async with connection.transaction():
            there: set[uuid.UUID] = set(await present(connection, ids))
            cursor = await connection.execute(
                "SELECT id FROM wayfare.spooled_rows WHERE id = ANY(%s)", (ids,)
            )
            there.update(row[0] for row in await cursor.fetchall())
            await copy_rows(
                connection, COPY_SPOOLED, [row for row in self._writing if row.id not in there]
            )
        log.warning("ledger.spooled", rows=len(ids), why=str(stale))
        self.spooled += len(ids)
        self._metrics.spooled.inc(len(ids))
        for row_id in ids:
            self._answer(row_id, in_ledger=False)
        self._writing = []

    async def _write_one_by_one(self) -> None:
        """Find the rows that are refused: they are dropped, the others are written."""
        connection = await self._connect()
        while self._writing:
            row = self._writing[0]
            try:
                await record_async(connection, [row])
            except psycopg.errors.UniqueViolation:
                pass
            except StaleEpoch:
                raise
            except REFUSALS as error:
                log.error("ledger.dropped", id=str(row.id), kind=row.kind, why=type(error).__name__)
                self.dropped += 1
                self._metrics.dropped.labels("refused").inc()
                self._answer(row.id, in_ledger=False)
                self._writing.pop(0)
                continue
            self._writing.pop(0)
            self._done([row])

    def _done(self, rows: list[LedgerRow]) -> None:
        self.written += len(rows)
        self._metrics.written.inc(len(rows))
        if self._awaited:
            for row in rows:
                self._answer(row.id, in_ledger=True)

    def _answer(self, row_id: uuid.UUID, *, in_ledger: bool) -> None:
        told = self._awaited.pop(row_id, None)
        if told is not None and not told.done():
            told.set_result(in_ledger)

    async def _connect(self) -> AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = await AsyncConnection.connect(self._dsn, autocommit=True)
            await end_with_client_async(self._connection)
            if self._opened is not None:
                await self._opened(self._connection)
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close()
