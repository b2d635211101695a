"""A database that had everything is emptied and filled again from the chains alone."""

from __future__ import annotations

import time
from typing import ClassVar

from tests.catchup.databases import random_rows, scalar, tables, write_and_seal
from tests.crash.scenario import Scenario
from tests.journal.making import PLAN, SITE
from wayfare_engine.clock import now
from wayfare_engine.journal import reading_ahead
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.positions import AlreadyRunning
from wayfare_engine.journal.rebuilding import rebuild
from wayfare_engine.journal.rebuilding_problems import SealerAtWork


class Rebuilding(Scenario):
    """Of the site that sealed the rows itself; whatever the moment, nobody writes to half of it."""

    points: ClassVar = {
        "journal.rebuild.fenced": (1, 1, 1),
        "journal.rebuild.emptied": (1, 1, 1),
        "journal.catch_up.committed": (1, 2, 2),
        "journal.rebuild.filled": (1, 1, 1),
        "journal.rebuild.released": (1, 1, 1),
    }

    def prepare(self) -> None:
        write_and_seal(self.place.live, self.place.store, random_rows(120, 1), segments=6)
        catch_up(self.place.dr, self.place.store, plan=PLAN)

    def run(self, rounds: int) -> None:
        reading_ahead.BATCH_OBJECTS = 1
        for _ in range(rounds + self._under_way()):
            self._rebuild()

    def _under_way(self) -> int:
        return int(scalar(self.place.live, "SELECT count(*) FROM wayfare.rebuild"))

    def _rebuild(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                rebuild(self.place.live, self.place.store, plan=PLAN, site=SITE, clock=now)
                return
            except (AlreadyRunning, SealerAtWork):  # a killed one's session may take a moment
                assert time.monotonic() < deadline
                time.sleep(0.002)

    def killed(self) -> None:
        under_way = self._under_way()
        held = scalar(self.place.live, "SELECT held FROM wayfare.site_epoch")
        assert held == (under_way == 0)
        assert under_way or tables(self.place.live) == tables(self.place.dr)

    def check(self) -> None:
        self.killed()
        assert not self._under_way()
