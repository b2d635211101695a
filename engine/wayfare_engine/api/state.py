"""A serving pod's state and the tasks that keep it: plan, keys, health, heartbeat."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

import psycopg
import structlog

from wayfare_engine.api.acting import Acting
from wayfare_engine.api.plan_channels import PlanChannels
from wayfare_engine.api.preview import Outgoing
from wayfare_engine.api.snapshot import SnapshotLoader
from wayfare_engine.facts import CommittedWriter, JournalWatch, LedgerWriter
from wayfare_engine.identity import Authenticator, storage
from wayfare_engine.ledger.standing import lease_site_async
from wayfare_engine.metrics import ServeMetrics
from wayfare_engine.plan import Plan
from wayfare_engine.receipts.callbacks import Callbacks
from wayfare_engine.settings import Settings
from wayfare_engine.store import channel_reports, channels
from wayfare_engine.store import plans as plans_sql
from wayfare_engine.store.postgresql import Away, Health, Postgresql, listen, probe
from wayfare_engine.store.valkey import Valkey

log = structlog.get_logger(__name__)

_PROBE_SECONDS = 1.0
_HEARTBEAT_SECONDS = 4.0
_KEYS_SECONDS = 3.0
_CHANNELS_SECONDS = 3.0


class ServeState:
    """Everything that the routes read. Lives in one event loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime],
        ids: Callable[[], uuid.UUID],
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.ids = ids
        self.metrics = ServeMetrics()
        # Where there is an object store, nothing is written before the database knows of it.
        opened = lease_site_async if settings.object_store_url is not None else None
        self.postgresql = Postgresql(settings.dsn, application="wayfare-serve", opened=opened)
        self.valkey = Valkey(settings.valkey)
        self.loader = SnapshotLoader(self.postgresql)
        self.authenticator = Authenticator(enabled=settings.authentication == "APIKey", clock=clock)
        self.ledger = LedgerWriter(
            settings.dsn,
            metrics=self.metrics.ledger,
            flush_seconds=settings.ledger_flush_seconds,
            capacity=settings.ledger_capacity,
            opened=opened,
        )
        self.watch = JournalWatch(self.postgresql)
        self.facts = CommittedWriter(
            settings.dsn,
            site=settings.site,
            ids=ids,
            watch=self.watch,
            metrics=self.metrics.facts,
            opened=opened,
        )
        self.channels = PlanChannels(settings, self._plan)
        self.callbacks = Callbacks(self.channels.host, seconds=settings.callback_seconds)
        self.outgoing = Outgoing(self.channels.names, self.channels.renderer)
        self.acting = Acting(settings, self.postgresql, told=self._epoch_changed)
        self._written_under = 0
        self._write_under: Callable[[int], None] = lambda epoch: None
        self.draining = False
        self._away: tuple[str, ...] = ()
        self._without: tuple[str, ...] = ()
        self._open_channels: frozenset[str] = frozenset()
        self._channels_wanted = asyncio.Event()
        self._reached: set[str] = set()
        self._keys_read = False
        self._keys_wanted = asyncio.Event()
        self._plan_wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to connect, load and listen; returns at once."""
        await self.postgresql.open()
        self.channels.start()
        self.ledger.start()
        self.watch.start()
        self.facts.start()
        self._plan_wanted.set()
        self._keys_wanted.set()
        self._spawn("plan", self._follow_plan())
        self._spawn("keys", self._follow_keys())
        self._spawn("health", self._follow_health())
        self._spawn("heartbeat", self._beat())
        self._spawn("acting", self.acting.follow())
        plan = (channels.PLAN, channels.SEGMENTS, channels.CUSTOMERS)
        wanted = (*plan, channels.KEYS, channels.SEALED, channels.BREAKERS, channels.EPOCH)
        self._spawn("channels", self._follow_channels())
        self._spawn("listen", listen(self.settings.direct_dsn, wanted, self._heard))

    async def stop(self) -> int:
        """End the tasks, write the ledger, close; returns the rows that were lost."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.callbacks.close()
        await self.facts.stop()
        await self.watch.stop()
        lost = await self.ledger.stop()
        with contextlib.suppress(*Away, psycopg.Error):
            async with self.postgresql.connection(1.0) as connection:
                await plans_sql.withdraw(connection, self.settings.pod_uid)
        await asyncio.to_thread(self.channels.stop)
        await self.postgresql.close()
        await self.valkey.close()
        return lost

    def degraded(self) -> tuple[str, ...]:
        """Names of what decisions do without now."""
        if self.ledger.failing and "postgresql" not in self._away:
            return ("postgresql", *self._without)
        return self._without

    def activity(self) -> tuple[bool, dict[str, object]]:
        """Whether this site acts, and what is told of it."""
        found = self.acting.answer()
        told: dict[str, object] = {
            "active": found.active,
            "site": self.settings.site,
            "epoch": self.acting.epoch,
            "sends": found.sends,
        }
        more = {"holder": found.holder, "reason": found.reason, "why": found.why}
        return found.active, told | {name: text for name, text in more.items() if text}

    def open_channels(self) -> frozenset[str]:
        """Channels through which nothing leaves, as workers reported last."""
        return self._open_channels

    def readiness(self, *, stores_required: bool = False) -> tuple[bool, dict[str, object]]:
        """Whether to send requests here, and why (not). Stores count once they were reached."""
        present = self.loader.present
        reasons = []
        if self.draining:
            reasons.append("ending")
        if present is None:
            reasons.append(f"no plan is loaded: {self.loader.waiting_for}")
        if not self._keys_read and self.settings.authentication == "APIKey":
            reasons.append("API keys were not read yet")
        stores = {"postgresql"} | ({"valkey"} if self.valkey.configured else set())
        never = sorted(stores - self._reached)
        reasons.extend(f"{store} was not reached yet" for store in never)
        degraded = self.degraded()
        if stores_required:
            reasons.extend(f"{store} is away" for store in degraded if store not in never)
        return not reasons, {
            "ready": not reasons,
            "reasons": reasons,
            "plan": present.plan.digest if present else None,
            "degraded": list(degraded),
        }

    def _plan(self) -> Plan | None:
        present = self.loader.present
        return None if present is None else present.plan

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    def _heard(self, channel: str, _payload: str) -> None:
        if channel == channels.SEALED:
            self.watch.heard()
        elif channel == channels.EPOCH:
            self.acting.heard()
        elif channel == channels.BREAKERS:
            self._channels_wanted.set()
        else:
            (self._keys_wanted if channel == channels.KEYS else self._plan_wanted).set()

    def tell_epoch(self, told: Callable[[int], None]) -> None:
        """`told` hears under which epoch rows are made, now and with each change; 0: under none."""
        self._write_under = told
        told(self._written_under)

    def _epoch_changed(self, epoch: int) -> None:
        self._written_under = epoch
        self._write_under(epoch)

    async def _follow_plan(self) -> None:
        # No decision is made before it is known under which epoch it is written.
        await self.acting.known()
        while True:
            await _set_or_timeout(self._plan_wanted, self.settings.poll_seconds)
            try:
                if await self.loader.refresh():
                    self._tell_plan()
                    await self._acknowledge()
            except Away as error:
                log.info("plan.store_away", error=type(error).__name__)
            except psycopg.Error as error:
                log.warning("plan.not_loaded", error=str(error).splitlines()[0])
            except Exception:
                log.exception("plan.not_loaded")

    def _tell_plan(self) -> None:
        present = self.loader.present
        assert present is not None
        self.metrics.plan.clear()
        self.metrics.plan.labels(present.plan.digest).set(1)
        self.metrics.customers.set(present.count)

    async def _acknowledge(self) -> None:
        present = self.loader.present
        if present is None or self.draining:
            return
        async with self.postgresql.connection() as connection:
            await plans_sql.acknowledge(
                connection,
                pod_uid=self.settings.pod_uid,
                pod=self.settings.pod_name,
                plan=present.plan.digest,
            )

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            with contextlib.suppress(*Away, psycopg.Error):
                await self._acknowledge()

    async def _follow_channels(self) -> None:
        while True:
            with contextlib.suppress(*Away, psycopg.Error):
                async with self.postgresql.connection() as connection:
                    found = await channel_reports.open_channels(connection)
                if found != self._open_channels:
                    log.warning("channels.open", channels=sorted(found))
                self._open_channels = found
            await _set_or_timeout(self._channels_wanted, _CHANNELS_SECONDS)

    async def _follow_keys(self) -> None:
        while True:
            await _set_or_timeout(self._keys_wanted, _KEYS_SECONDS)
            with contextlib.suppress(*Away, psycopg.Error):
                async with self.postgresql.connection() as connection:
                    self.authenticator.replace(await storage.everything(connection))
                self._keys_read = True

    async def _follow_health(self) -> None:
        while True:
            found: dict[str, Health] = {}
            found["postgresql"] = await probe(self.postgresql)
            if self.valkey.configured:
                found["valkey"] = await self.valkey.probe()
            away = tuple(store for store, health in found.items() if not health.ok)
            if away != self._away:
                log.warning("stores.changed", away=away)
            self._away = away
            self._without = (*away, *self.acting.degraded)
            self._reached |= found.keys() - set(away)
            for store, health in found.items():
                self.metrics.store_up.labels(store).set(1 if health.ok else 0)
            await asyncio.sleep(_PROBE_SECONDS)


async def _set_or_timeout(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    event.clear()
