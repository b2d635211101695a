"""Two sites on one machine: a PostgreSQL and a Valkey each, one S3 server behind a fault proxy,
engine processes, and receivers outside. No cluster.

    with two_sites() as sites:                      # once: servers take seconds to start
        with sites.run(folder, seed=1) as run:      # each time: schemas and store prefix are empty
            run.take_over("east"); run.start_site("east")
            run.kill_site("east"); run.take_over("west"); run.start_site("west")
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import psycopg

from tests.harness.processes import SiteProcess
from tests.harness.site import FAST, PLAN, Broken, Pace, Role, Settings
from tests.servers.emptying import empty, remember
from tests.servers.faultstore import FaultStore, running_faults
from tests.servers.objects import ObjectServer, running_objects
from tests.servers.postgresql import PostgresqlServer, running_postgresql
from tests.servers.receivers import Dedupe, Receiver, running_receivers
from tests.servers.valkey import running_valkey
from wayfare_engine.lease import highest
from wayfare_engine.objectstore import ObjectStore, open_store
from wayfare_engine.objectstore.marker import claim
from wayfare_engine.store.embedded import EmbeddedValkey

SITES = ("east", "west")
ROLES: tuple[tuple[str, Role], ...] = (
    ("writer", "writer"),
    ("sealer", "sealer"),
    ("sender-1", "sender"),
    ("sender-2", "sender"),
)

#: How wrong a writer's wall clock may be, in seconds: times in its rows, and when its sends expire.
JUMPS = (0.0, 0.0, -900.0, 900.0, 7200.0)


@dataclass
class TwoSites:
    """The servers, for as many runs as one likes. `spare` is a PostgreSQL for rebuilds."""

    postgresql: dict[str, PostgresqlServer]
    valkey: dict[str, EmbeddedValkey]
    objects: ObjectServer
    spare: PostgresqlServer

    @contextmanager
    def run(
        self,
        folder: Path,
        *,
        seed: int = 0,
        broken: Broken = "",
        plan: str = PLAN,
        pace: Pace = FAST,
    ) -> Iterator[Run]:
        """Emptied servers, and processes that are all gone afterwards. `broken` is a safeguard
        that is taken out; `pace`: how often the processes do something."""
        for server in (*self.postgresql.values(), self.spare):
            server.start_again()
            empty(server.dsn)
        for valkey in self.valkey.values():
            _start_again(valkey)
        folder.mkdir(parents=True, exist_ok=True)
        settings = Settings("", "", "", {}, {}, folder, seed)
        with ExitStack() as stack:
            faults = stack.enter_context(running_faults(self.objects, seed=seed))
            limit = 60.0 if broken == "window" else settings.hand_over
            receivers = stack.enter_context(running_receivers(folder / "receivers", limit=limit))
            url = self.objects.url()
            run = Run(self, folder, seed, faults, receivers, url, broken, plan, pace)
            claim(run.store, plan)
            try:
                yield run
            finally:
                run.end()


@dataclass
class Run:
    """One run: what is where, and what can be done to it."""

    sites: TwoSites
    folder: Path
    seed: int
    faults: FaultStore
    receivers: dict[Dedupe, Receiver]
    store_url: str
    broken: Broken = ""
    plan: str = PLAN
    pace: Pace = FAST
    processes: dict[tuple[str, str], SiteProcess] = field(default_factory=dict)
    _started: int = 0

    @cached_property
    def store(self) -> ObjectStore:
        """The store, past all faults."""
        return open_store(self.store_url, options=self.sites.objects.options)

    @property
    def epoch(self) -> int:
        """The highest epoch that was taken."""
        lease = highest(self.store, self.plan)
        return lease.epoch if lease else 0

    @property
    def acting(self) -> str:
        """The site that took it."""
        lease = highest(self.store, self.plan)
        assert lease is not None, "no site took an epoch yet"
        return lease.site

    def dsn(self, site: str) -> str:
        """The address of a site's PostgreSQL."""
        return self.sites.postgresql[site].dsn

    def settings(self, site: str, epoch: int = 0) -> Settings:
        """What a process of the site is told."""
        return Settings(
            site=site,
            dsn=self.dsn(site),
            store_url=self.store_url,
            store_options=self.faults.options(site),
            hosts={kind: receiver.url for kind, receiver in self.receivers.items()},
            folder=self.folder,
            seed=self.seed,
            epoch=epoch,
            broken=self.broken,
            plan=self.plan,
            pace=self.pace,
        )

    def start(
        self, site: str, name: str, *, epoch: int | None = None, crash: str | None = None
    ) -> SiteProcess:
        """Start a process of a site, in place of one with this name that is gone."""
        old = self.processes.get((site, name))
        if old is not None:
            old.kill()
        role = dict(ROLES).get(name, "taker")
        if epoch is None:
            epoch = old.settings.epoch if old is not None else self.epoch
        self._started += 1
        settings = self.settings(site, epoch)
        if role == "writer":
            dice = random.Random(f"{self.seed} {self._started}")
            settings = replace(settings, jump=dice.choice(JUMPS))
        process = SiteProcess(
            role,
            settings,
            crash=crash,
            log=self.folder / f"{self._started:03d}-{site}-{name}.log",
        )
        self.processes[site, name] = process
        return process

    def start_site(self, site: str, *, epoch: int | None = None) -> None:
        """Start all processes of a site, in its present epoch."""
        epoch = epoch or self.epoch
        for name, _ in ROLES:
            self.start(site, name, epoch=epoch)

    def of(self, site: str) -> list[SiteProcess]:
        """The site's processes that are there."""
        return [p for (where, _), p in self.processes.items() if where == site and p.alive]

    def kill_site(self, site: str) -> None:
        """The whole site at once, its servers too."""
        for process in self.of(site):
            process.suspend()
        self.sites.postgresql[site].kill()
        self.sites.valkey[site].kill()
        for process in self.of(site):
            process.kill()

    def restore_servers(self, site: str) -> None:
        """The site's servers come back with what is on their disks; its processes do not."""
        self.sites.postgresql[site].start_again()
        _start_again(self.sites.valkey[site])

    def replace_disk(self, site: str) -> None:
        """The site comes back with empty servers."""
        self.restore_servers(site)
        empty(self.dsn(site))

    def take_over(self, site: str, *, crash: str | None = None) -> SiteProcess:
        """Start to take the next epoch; the process ends when the site may act."""
        return self.start(site, "taker", epoch=0, crash=crash)

    def end(self) -> None:
        """Kill every process of the run."""
        for process in self.processes.values():
            process.kill()


def _start_again(valkey: EmbeddedValkey) -> None:
    if valkey.process is None or valkey.process.process.poll() is not None:
        valkey.start(log=Path(os.devnull))


@contextmanager
def two_sites() -> Iterator[TwoSites]:
    """Start the servers."""
    with ExitStack() as stack:
        postgresql = {site: stack.enter_context(running_postgresql()) for site in SITES}
        spare = stack.enter_context(running_postgresql())
        for server in (*postgresql.values(), spare):
            with psycopg.connect(server.database(), autocommit=True) as connection:
                remember(connection)
        valkey = {site: stack.enter_context(running_valkey()) for site in SITES}
        yield TwoSites(postgresql, valkey, stack.enter_context(running_objects()), spare)


__all__ = ["ROLES", "SITES", "Run", "TwoSites", "two_sites"]
