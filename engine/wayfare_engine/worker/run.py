"""Running a worker: the control API and the tasks beside it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import psycopg
import structlog

from wayfare_engine.clock import new_id, now
from wayfare_engine.facts import repeats
from wayfare_engine.facts.spool import put_back
from wayfare_engine.ledger import StaleEpoch, fence
from wayfare_engine.objectstore import StoreProblem
from wayfare_engine.privacy import batches
from wayfare_engine.receipts import matching
from wayfare_engine.settings import MissingSetting, Settings
from wayfare_engine.store import blobs, channels, memberships
from wayfare_engine.store import plans as plans_sql
from wayfare_engine.store.postgresql import Away, listen, probe
from wayfare_engine.tasks import storage as tasks
from wayfare_engine.web.server import http_server, run_until_signal
from wayfare_engine.worker.beating import beat
from wayfare_engine.worker.compute import SegmentComputer
from wayfare_engine.worker.control import make_app
from wayfare_engine.worker.following import Following
from wayfare_engine.worker.keeping import Keeping
from wayfare_engine.worker.sealing import seal
from wayfare_engine.worker.sending.run import Sending
from wayfare_engine.worker.state import WorkerState
from wayfare_engine.worker.tokens import TokenVerifier

log = structlog.get_logger(__name__)

PORT = 8081
_CLEAN_SECONDS = 600.0
_RECEIPT_SECONDS = 5.0
_TASK_SECONDS = 5.0
_SPOOL_SECONDS = 2.0
#: Receipts that came within this are tried again each time; older ones once in so long.
_RECEIPTS_ARE_NEW = timedelta(hours=1)
_MEMBERSHIP_RETENTION_SECONDS = 3600.0
#: A local copy that nothing refers to: longer than a load takes from its blob to its row.
_BLOB_SECONDS = 3600.0
_PARTITION_DAYS = 15


def verifier(settings: Settings) -> TokenVerifier:
    """The check of tokens that the settings describe; raises MissingSetting."""
    if settings.control_jwks_file is None:
        raise MissingSetting("WAYFARE_CONTROL_JWKS_FILE", "is not set")
    if not settings.control_issuer:
        raise MissingSetting("WAYFARE_CONTROL_ISSUER", "is not set")
    if not settings.control_subjects:
        raise MissingSetting("WAYFARE_CONTROL_SUBJECT", "is not set")
    return TokenVerifier(
        settings.control_jwks_file,
        issuer=settings.control_issuer,
        subjects=settings.control_subjects,
        clock=now,
    )


async def work(settings: Settings, *, port: int = PORT) -> int:
    """Work until SIGTERM or SIGINT; returns the exit code."""
    state = WorkerState(settings, tokens=verifier(settings), clock=now)
    server = http_server(make_app(state), host=settings.listen_host, port=port)
    tasks = await start_tasks(state)

    def end() -> None:
        state.ending = True

    log.info("worker.starting", port=port, engine=settings.engine, site=settings.site)
    await run_until_signal(server, before_end=end)
    await stop_tasks(state, tasks)
    log.info("worker.ended")
    return 0


async def start_tasks(state: WorkerState) -> list[asyncio.Task[None]]:
    """Begin the worker's tasks; used by `wayfare dev` as well."""
    await state.postgresql.open()
    state.standing.on_change(lambda: tell_standing(state))
    state.standing.start()
    computer = SegmentComputer(state)

    async def compute() -> None:
        while True:
            pause = state.settings.poll_seconds
            try:
                if state.holds:
                    await computer.cycle()
            except StaleEpoch as error:
                log.info("segments.not_held", error=str(error))
            except Away as error:
                log.info("segments.store_away", error=type(error).__name__)
            except Exception:
                state.metrics.failures.labels("segments").inc()
                log.exception("segments.failed")
            await state.sleep(pause)

    wanted = (channels.PLAN, channels.CUSTOMERS)
    return [
        asyncio.create_task(compute(), name="segments"),
        asyncio.create_task(
            listen(state.settings.direct_dsn, wanted, lambda *_: state.wake()), name="listen"
        ),
        asyncio.create_task(_follow_health(state), name="health"),
        asyncio.create_task(
            _regularly(state, "clean", _CLEAN_SECONDS, lambda: clean(state)), name="clean"
        ),
        asyncio.create_task(
            _regularly(state, "receipts", _RECEIPT_SECONDS, lambda: match_receipts(state)),
            name="receipts",
        ),
        asyncio.create_task(
            _regularly(state, "tasks", _TASK_SECONDS, lambda: end_tasks(state)), name="tasks"
        ),
        asyncio.create_task(
            seal(state.settings, state.metrics.journal, state.standing, clock=state.clock),
            name="seal",
        ),
        asyncio.create_task(beat(state.settings, state.standing, clock=state.clock), name="beat"),
        asyncio.create_task(_in_a_thread(state, state.following), name="follow"),
        asyncio.create_task(_in_a_thread(state, state.keeping), name="keep"),
        asyncio.create_task(_put_back(state), name="spool"),
        asyncio.create_task(_send(state), name="send"),
    ]


async def stop_tasks(state: WorkerState, tasks: list[asyncio.Task[None]]) -> None:
    """End the tasks and close the stores."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.to_thread(state.standing.stop)
    await state.postgresql.close()
    await state.valkey.close()


def tell_standing(state: WorkerState) -> None:
    """The epoch and whether it is held, as metrics."""
    view = state.standing.view
    if view is not None:
        state.metrics.epoch.set(view.stand.epoch)
        state.metrics.holds.set(1 if view.holds else 0)


async def _in_a_thread(state: WorkerState, work: Following | Keeping) -> None:
    """Run it until cancelled, when there is an object store."""
    if state.settings.object_store_url is None:
        return
    if isinstance(work, Following) and not state.settings.standby_follow:
        return
    stop = threading.Event()
    running = asyncio.create_task(asyncio.to_thread(work.run, stop))
    try:
        await asyncio.shield(running)
    finally:
        stop.set()
        await asyncio.gather(running, return_exceptions=True)


async def _put_back(state: WorkerState) -> None:
    """Rows that were put aside while this site did not hold its epoch, and holds it again, go into
    the ledger. Where another site held one in between, there is a merge for that."""
    while True:
        view = state.standing.view
        if view is not None and view.holds:
            epoch = view.stand.epoch
            try:
                rows = await asyncio.to_thread(put_back, state.settings.direct_dsn, epoch)
                if rows:
                    log.info("spool.put_back", rows=rows, epoch=epoch)
            except (*Away, StaleEpoch) as error:
                log.info("spool.waits", error=type(error).__name__)
            except Exception:
                state.metrics.failures.labels("spool").inc()
                log.exception("spool.failed")
        await asyncio.sleep(_SPOOL_SECONDS)


async def _send(state: WorkerState) -> None:
    """Run the sends until cancelled; returns when hand-overs under way have ended."""
    sending = Sending(
        state.settings,
        standing=state.standing,
        plan=lambda: state.plan,
        store=state.object_store,
        masters=state.master_keys,
        addresses=state.addresses,
        metrics=state.metrics.sends,
        clock=state.clock,
    )
    sending.start()
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.shield(asyncio.to_thread(sending.stop))


async def clean(state: WorkerState) -> None:
    """Make the coming days' partitions; remove plans, memberships, blobs and senders' ids of events
    that nobody needs, and destroyed keys from the store."""
    async with state.postgresql.connection() as connection:
        today = datetime.now(UTC).date()
        await connection.execute(
            "SELECT wayfare.make_ledger_partitions(%s::date, %s)", (today, _PARTITION_DAYS)
        )
        await plans_sql.clean(connection, retention_seconds=state.settings.plan_retention_seconds)
        plan = state.plan
        # Where another site acts, memberships are what its chain says.
        if state.holds and plan is not None and await plans_sql.wanted(connection) == plan.digest:
            keep = sorted({segment.key for segment in plan.segments})
            await memberships.clean(
                connection, keep, older_than_seconds=_MEMBERSHIP_RETENTION_SECONDS
            )
        await connection.execute(blobs.COLLECT, (_BLOB_SECONDS,))
        await repeats.forget(
            connection, now=state.clock(), seconds=state.settings.event_repeat_seconds
        )
    await asyncio.to_thread(_purge_keys, state)


async def match_receipts(state: WorkerState) -> None:
    """Try receipts again that matched no send when they came. Where another site acts they wait."""
    at, before = state.clock(), state.receipts_all_tried_at
    all_of_them = before is None or at - before >= _RECEIPTS_ARE_NEW
    async with state.postgresql.connection() as connection:
        with contextlib.suppress(StaleEpoch):
            matched = await matching.match_again(
                connection,
                site=state.settings.site,
                ids=new_id,
                now=at,
                since=None if all_of_them else at - _RECEIPTS_ARE_NEW,
            )
            if all_of_them:
                state.receipts_all_tried_at = at
            if matched:
                log.info("receipts.matched", receipts=matched)
        waiting = await matching.waiting(connection)
    state.metrics.unmatched_receipts.clear()
    for channel, count in waiting.items():
        state.metrics.unmatched_receipts.labels(channel).set(count)


async def end_tasks(state: WorkerState) -> None:
    """Expire and hand back the tasks that are due. Where another site acts, that one does it."""
    async with state.postgresql.connection() as connection:
        with contextlib.suppress(StaleEpoch):
            ended = await tasks.end_due(
                connection, site=state.settings.site, ids=new_id, now=state.clock()
            )
            if ended:
                log.info("tasks.due", tasks=ended)
        found = await tasks.counts(connection)
    for name in ("Open", "Taken"):
        state.metrics.tasks.labels(name).set(found.get(name, 0))


def _purge_keys(state: WorkerState) -> None:
    store = state.object_store
    if store is None:
        return
    with psycopg.connect(state.settings.direct_dsn, autocommit=True) as connection:
        if not fence.site_epoch(connection).active:
            return  # the site that may act does it
        try:
            purged = batches.purge(connection, store)
        except StoreProblem as error:
            log.warning("keys.purge_waits", error=str(error))
            return
    if purged:
        log.info("keys.purged", objects=purged)


async def _follow_health(state: WorkerState) -> None:
    while True:
        postgresql = await probe(state.postgresql)
        state.postgresql_ok = postgresql.ok
        state.reached = state.reached or postgresql.ok
        state.metrics.store_up.labels("postgresql").set(1 if postgresql.ok else 0)
        if state.valkey.configured:
            valkey = await state.valkey.probe()
            state.metrics.store_up.labels("valkey").set(1 if valkey.ok else 0)
        await asyncio.sleep(1.0)


async def _regularly(
    state: WorkerState, task: str, seconds: float, do: Callable[[], Awaitable[None]]
) -> None:
    due = time.monotonic()
    while True:
        with contextlib.suppress(*Away):
            try:
                await do()
                due = time.monotonic() + seconds
            except psycopg.Error as error:
                state.metrics.failures.labels(task).inc()
                log.warning("task.failed", task=task, error=str(error).splitlines()[0])
        await asyncio.sleep(max(5.0, due - time.monotonic()))
