"""What the worker's routes and tasks share."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from datetime import datetime
from functools import cached_property

from wayfare_engine.ledger.standing import lease_site_async
from wayfare_engine.metrics import WorkerMetrics
from wayfare_engine.objectstore import ObjectStore, open_store
from wayfare_engine.plan import Plan
from wayfare_engine.privacy import MasterKeys
from wayfare_engine.settings import Settings
from wayfare_engine.store.postgresql import Postgresql
from wayfare_engine.store.valkey import Valkey
from wayfare_engine.worker.following import Following
from wayfare_engine.worker.keeping import Keeping
from wayfare_engine.worker.standing import Standing
from wayfare_engine.worker.tokens import TokenVerifier


class WorkerState:
    """One process's connections and facts. `tokens` None: the control API asks for none, which
    only `wayfare dev` and tests on loopback do."""

    def __init__(
        self, settings: Settings, *, tokens: TokenVerifier | None, clock: Callable[[], datetime]
    ) -> None:
        self.settings = settings
        self.tokens = tokens
        self.clock = clock
        self.metrics = WorkerMetrics()
        # Where there is an object store, nothing is written before the database knows of it.
        opened = lease_site_async if settings.object_store_url is not None else None
        self.postgresql = Postgresql(settings.dsn, application="wayfare-worker", opened=opened)
        self.valkey = Valkey(settings.valkey)
        self.standing = Standing(settings, clock=clock, halted=self.metrics.journal.halted.set)
        self.following = Following(settings, self.standing, self.metrics.standby, clock=clock)
        self.keeping = Keeping(settings, self.standing, self.metrics.keeping, clock=clock)
        self.plan: Plan | None = None
        self.reached = False
        self.postgresql_ok = False
        self.ending = False
        #: Addresses of the plan to those that are asked instead: `wayfare dev` has its own sink.
        self.addresses: dict[str, str] = {}
        self.receipts_all_tried_at: datetime | None = None
        self._awake = asyncio.Event()

    @property
    def holds(self) -> bool:
        """Whether this site writes, as of the last look at its database."""
        view = self.standing.view
        return view is not None and view.holds

    @cached_property
    def object_store(self) -> ObjectStore | None:
        """The object store, when one is configured. No call is made yet. Raises StoreProblem."""
        url = self.settings.object_store_url
        return open_store(url) if url is not None else None

    @cached_property
    def master_keys(self) -> MasterKeys | None:
        """The keys for sensitive fields, when there are some. Raises MasterKeyProblem."""
        file = self.settings.master_key_file
        return MasterKeys.read(file, random=secrets.token_bytes) if file is not None else None

    def wake(self) -> None:
        """There may be something to compute."""
        self._awake.set()

    async def sleep(self, seconds: float) -> None:
        """Until `wake`, or for the time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._awake.wait(), seconds)
        self._awake.clear()
