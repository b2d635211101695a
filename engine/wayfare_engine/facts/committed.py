"""Facts that are answered for when they are committed: many callers, one transaction at a time.

What arrives while a transaction is on its way is the next one (group commit), and each caller is
answered after the commit of its own facts. Nothing is acknowledged that is not committed. When it
cannot be told whether a commit took effect, because the connection was lost under it, it is tried
again with the same ids until the caller's time is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.errors import SaidToPeople
from wayfare_engine.facts.fact import Fact
from wayfare_engine.facts.journaled import JournalWatch
from wayfare_engine.facts.record import REFUSALS
from wayfare_engine.facts.transaction import Draft, Written, write_async
from wayfare_engine.ledger import StaleEpoch
from wayfare_engine.metrics import FactMetrics
from wayfare_engine.store.postgresql import Away, Opened, end_with_client_async, patient

log = structlog.get_logger(__name__)

_writing = crash_point("facts.committed.writing", "facts have arrived, nothing is written")
_written = crash_point("facts.committed.written", "facts are committed, nobody was answered yet")

#: A transaction that takes longer is given up, in seconds; ordinary ones take a hundredth of one.
_PATIENCE = 10.0
_PAUSE = 0.05


class Ack(StrEnum):
    """When a caller is answered: its rows are committed at this site, or are in the store."""

    COMMITTED = "committed"
    JOURNALED = "journaled"


class Why(StrEnum):
    """Why facts are not acknowledged."""

    BUSY = "too many facts wait to be written"
    AWAY = "PostgreSQL is away"
    TIME = "PostgreSQL did not confirm in time"
    EPOCH = "this site does not hold the right to act"
    REFUSED = "PostgreSQL refuses the facts"
    FAILED = "PostgreSQL cannot write now"


@dataclass(eq=False)
class NotAcknowledged(SaidToPeople):
    """Facts that are not known to be committed. `maybe`: they may be committed all the same."""

    why: Why
    maybe: bool = False
    detail: str = ""

    def __str__(self) -> str:
        told = f"{self.why}{': ' + self.detail if self.detail else ''}; "
        if self.maybe:
            return (
                told + "it is not known whether the facts were written: send them again with the "
                "same client ids"
            )
        return told + "nothing was written"


@dataclass(frozen=True)
class Acknowledged:
    """What became of each fact, in their order; and how far they are known to have come, which is
    less than was asked for when the journal did not have them in time."""

    written: list[Written]
    ack: Ack


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]


class _Request:
    def __init__(self, drafts: list[Draft], deadline: float) -> None:
        self.drafts = drafts
        self.deadline = deadline
        #: A commit was asked for and not answered.
        self.in_doubt = False
        #: An attempt is on its way, and goes on when its caller's time is over.
        self.trying = False
        self.told: asyncio.Future[list[Written]] = asyncio.get_running_loop().create_future()

    def fail(self, why: Why, detail: str = "", *, maybe: bool = False) -> None:
        if not self.told.done():
            self.told.set_exception(NotAcknowledged(why, maybe, detail))

    def answer(self, written: list[Written]) -> None:
        if not self.told.done():
            self.told.set_result(written)


class CommittedWriter:
    """The requests of one process, and the task that writes them. Used from one event loop.

    `capacity` facts may wait at a time; one transaction has `batch` of them or one request.
    `opened` is called with each new connection.
    """

    def __init__(
        self,
        dsn: str,
        *,
        site: str,
        ids: Callable[[], uuid.UUID],
        watch: JournalWatch,
        metrics: FactMetrics,
        capacity: int = 10_000,
        batch: int = 500,
        opened: Opened | None = None,
    ) -> None:
        self._dsn = patient(dsn, "wayfare-facts")
        self._opened = opened
        self._site = site
        self._ids = ids
        self._watch = watch
        self._metrics = metrics
        self._capacity = capacity
        self._batch = batch
        self._requests: deque[_Request] = deque()
        self._waiting = 0
        self._arrived = asyncio.Event()
        self._connection: AsyncConnection[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        metrics.waiting.set_function(lambda: float(self._waiting))

    def start(self) -> None:
        """Start the task that writes."""
        self._task = asyncio.create_task(self._run(), name="facts")

    async def stop(self) -> None:
        """End it. Requests that are open then are answered as not acknowledged."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for request in self._requests:
            request.fail(Why.TIME, maybe=request.in_doubt)
        await self._disconnect()

    async def write(
        self,
        facts: Sequence[Fact],
        *,
        ack: Ack = Ack.COMMITTED,
        commit_seconds: float = 5.0,
        journal_seconds: float = 5.0,
    ) -> Acknowledged:
        """Write facts of one transaction, and return when they are committed.

        With `ack` JOURNALED it then waits until they are in the store, at most `journal_seconds`:
        afterwards the answer says that they are committed, which is all that is known. Facts of a
        repeat count with the row of the first. Raises NotAcknowledged.
        """
        if self._waiting + len(facts) > self._capacity:
            raise self._refused(NotAcknowledged(Why.BUSY))
        loop = asyncio.get_running_loop()
        drafts = [Draft(self._ids(), fact) for fact in facts]
        request = _Request(drafts, loop.time() + commit_seconds)
        self._requests.append(request)
        self._waiting += len(facts)
        self._arrived.set()
        try:
            written = await asyncio.wait_for(request.told, commit_seconds)
        except TimeoutError:
            maybe = request.in_doubt or request.trying
            raise self._refused(NotAcknowledged(Why.TIME, maybe)) from None
        except NotAcknowledged as error:
            raise self._refused(error) from None
        self._metrics.facts.labels("repeat").inc(sum(one.repeat for one in written))
        self._metrics.facts.labels("written").inc(sum(not one.repeat for one in written))
        if ack is Ack.JOURNALED:
            places = [(one.tx, one.epoch) for one in written if one.tx is not None]
            if await self._watch.wait(places, journal_seconds):
                return Acknowledged(written, Ack.JOURNALED)
        return Acknowledged(written, Ack.COMMITTED)

    def _refused(self, error: NotAcknowledged) -> NotAcknowledged:
        self._metrics.refused.labels(error.why.name.lower()).inc()
        return error

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            requests = self._take()
            if not requests:
                self._arrived.clear()
                continue
            try:
                await self._write(requests)
            except Exception as error:
                log.exception("facts.failed")
                await self._disconnect()
                for request in requests:
                    request.fail(Why.FAILED, type(error).__name__, maybe=request.in_doubt)
            finally:
                for request in requests:
                    request.fail(Why.TIME, maybe=request.in_doubt)

    def _take(self) -> list[_Request]:
        taken: list[_Request] = []
        count = 0
        while self._requests and (
            not taken or count + len(self._requests[0].drafts) <= self._batch
        ):
            request = self._requests.popleft()
            self._waiting -= len(request.drafts)
            if not request.told.done():  # nobody waits for it any more, and nothing was written
                taken.append(request)
                count += len(request.drafts)
        return taken

    async def _write(self, requests: list[_Request]) -> None:
        """Write requests as one transaction, as often as it takes; every one is answered."""
        while left := [one for one in requests if not one.told.done()]:
            try:
                connection = await self._connect()
            except Away as error:
                log.info("facts.store_away", error=type(error).__name__)
                for request in left:
                    if not request.in_doubt:
                        request.fail(Why.AWAY)
                await asyncio.sleep(_PAUSE)
                continue
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._transaction(connection, left)
            except Away as error:
                log.info("facts.interrupted", error=type(error).__name__)
                await self._disconnect()
                await asyncio.sleep(_PAUSE)
            except psycopg.errors.UniqueViolation:
                # An earlier attempt is committed after all, and is found the next time.
                for request in left:
                    request.in_doubt = True
            except StaleEpoch as error:
                for request in left:
                    request.fail(Why.EPOCH, str(error))
            except REFUSALS as error:
                if len(left) == 1:
                    left[0].fail(Why.REFUSED, _line(error))
                for request in left:
                    await self._write([request])
            except psycopg.Error as error:  # read-only, not migrated yet, no right to write
                log.error("facts.failed", error=_line(error))
                for request in left:
                    request.fail(Why.FAILED, _line(error))
            finally:
                for request in left:
                    request.trying = False

    async def _transaction(
        self, connection: AsyncConnection[Any], requests: list[_Request]
    ) -> None:
        def committing() -> None:
            for request in requests:
                request.in_doubt = True

        for request in requests:
            request.trying = True
        drafts = [draft for request in requests for draft in request.drafts]
        again = any(request.in_doubt for request in requests)
        _writing()
        written = await write_async(
            connection, drafts, site=self._site, again=again, committing=committing
        )
        _written()
        self._metrics.transactions.inc()
        answers = iter(written)
        for request in requests:
            request.answer([next(answers) for _ in request.drafts])

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
