"""What a site's engine runs while it acts: a writer, a sealer and a sender, and its beats.

As an engine's pods do, they follow the epoch that the site's database holds; they are processes of
the harness, with real sends to real receivers.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

import psycopg

from tests.harness.site import now
from tests.harness.sites import SITES, Run
from wayfare_engine.lease import highest
from wayfare_engine.lease.beats import BeatWriter
from wayfare_engine.ledger.standing import stand
from wayfare_engine.worker.beating import figures

_LOOK_SECONDS = 0.5


class Pods:
    """Of both sites. `gone`: sites that are lost, or cut off: nothing is started or ended there."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._writers: dict[tuple[str, int], BeatWriter] = {}
        self._connections: dict[str, psycopg.Connection[Any]] = {}
        self._looked = 0.0
        self.gone: set[str] = set()

    def look(self) -> None:
        """Start what a site should run by now, and end what it should not."""
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        for site in SITES:
            if site not in self.gone:
                # A database that is away keeps what runs there waiting.
                with contextlib.suppress(psycopg.OperationalError):
                    self._look(site, self._connected(site))
        self._looked = time.monotonic()

    def end(self) -> None:
        """Start nothing more."""
        for connection in self._connections.values():
            connection.close()

    def _connected(self, site: str) -> psycopg.Connection[Any]:
        found = self._connections.get(site)
        if found is None or found.closed:
            found = psycopg.connect(self._run.dsn(site), autocommit=True, connect_timeout=2)
            self._connections[site] = found
        return found

    def _look(self, site: str, connection: psycopg.Connection[Any]) -> None:
        at = stand(connection)
        last = highest(self._run.store, self._run.plan)
        acts = at.held and last is not None and (last.site, last.epoch) == (site, at.epoch)
        self._keep(site, "sealer", at.epoch, at.seals)
        self._keep(site, "sender-1", at.epoch, acts)
        self._keep(site, "writer", at.epoch, acts and at.sends)
        if acts:
            self._beat(site, at.epoch)

    def _keep(self, site: str, name: str, epoch: int, wanted: bool) -> None:
        process = self._run.processes.get((site, name))
        if not wanted:
            if process is not None:
                process.kill()
        elif process is None or not process.alive or process.settings.epoch != epoch:
            self._run.start(site, name, epoch=epoch)

    def _beat(self, site: str, epoch: int) -> None:
        if (site, epoch) not in self._writers:
            self._writers[site, epoch] = BeatWriter(
                self._run.store,
                plan=self._run.plan,
                site=site,
                epoch=epoch,
                figures=lambda: figures(self._connected(site), site, epoch),
                now=now,
                writer=f"pod-of-{site}",
            )
        self._writers[site, epoch].beat()
