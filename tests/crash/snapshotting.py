"""Snapshots that are taken and pruned at the site that follows."""

from __future__ import annotations

import uuid
from typing import ClassVar

from tests.catchup.databases import random_rows, tables, write_and_seal
from tests.crash.scenario import Scenario
from tests.journal.making import PLAN
from tests.servers.emptying import empty
from wayfare_engine.clock import now
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.snapshot import take
from wayfare_engine.journal.snapshots import prune, snapshots


class Snapshotting(Scenario):
    """At every moment a snapshot is whole or none, and the last whole one can be restored."""

    points: ClassVar = {
        "journal.snapshot.chunk": (1, 2, 9, 17, 30),
        "journal.snapshot.whole": (1, 2, 3),
        "journal.snapshot.manifest": (1, 2, 3),
        "journal.snapshot.unlisted": (1, 2, 3),
    }

    def prepare(self) -> None:
        write_and_seal(self.place.live, self.place.store, random_rows(80, 1), segments=3)
        catch_up(self.place.dr, self.place.store, plan=PLAN)
        self._take()

    def run(self, rounds: int) -> None:
        for _ in range(rounds):
            self._take()
            prune(self.place.store, keep=1)

    def killed(self) -> None:
        empty(self.place.dr)
        assert catch_up(self.place.dr, self.place.store, plan=PLAN).snapshot is not None
        assert tables(self.place.dr) == tables(self.place.live)

    def check(self) -> None:
        assert [found.manifest is None for found in snapshots(self.place.store)] == [False]
        self.killed()

    def _take(self) -> None:
        # `snapshot_id` has whole seconds, and here several are taken in one.
        name = f"{now():%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"
        take(self.place.dr, self.place.store, plan=PLAN, snapshot=name, clock=now)
