"""A database that follows a site's journal: applied in batches, restored, and given its history."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from tests.catchup.databases import random_rows, tables, write_and_seal
from tests.catchup.test_history import ledger
from tests.crash.scenario import Scenario, seal, write
from tests.crash.sealing import some_rows
from tests.journal.making import PLAN, sealing
from tests.servers.emptying import empty
from wayfare_engine.clock import now
from wayfare_engine.journal import reading_ahead
from wayfare_engine.journal.catch_up import CatchUp, catch_up
from wayfare_engine.journal.history import bring_history
from wayfare_engine.journal.positions import AlreadyRunning
from wayfare_engine.journal.snapshot import take


class CatchingUp(Scenario):
    """The site writes and seals; the other follows, rows of history included."""

    points: ClassVar = dict.fromkeys(
        (
            "journal.catch_up.begun",
            "journal.catch_up.applied",
            "journal.catch_up.committed",
            "journal.history.restored",
            "journal.history.committed",
        ),
        (1, 2, 3, 4, 5, 1, 2),
    )

    def run(self, rounds: int) -> None:
        reading_ahead.BATCH_OBJECTS = 1
        live, store = self.place.live, self.place.store
        with self.place.connect() as connection, sealing(live, store) as own:
            for _ in range(rounds):
                for _ in range(2):
                    seal(own, connection, write(connection, some_rows(), self.said))
                follow(self)

    def check(self) -> None:
        assert tables(self.place.dr) == tables(self.place.live)
        assert ledger(self.place.dr) == ledger(self.place.live)


class Restoring(Scenario):
    """An empty database, a snapshot and what came after it."""

    points: ClassVar = {
        "journal.restore.begun": (1, 1),
        "journal.restore.table": (1, 2, 5, 9, 13),
        "journal.restore.filled": (1, 1),
        "journal.restore.committed": (1, 1, 1),
        "journal.catch_up.committed": (1, 2, 3),
    }

    def prepare(self) -> None:
        write_and_seal(self.place.live, self.place.store, random_rows(80, 1), segments=3)
        catch_up(self.place.dr, self.place.store, plan=PLAN)
        take(self.place.dr, self.place.store, plan=PLAN, snapshot="s1", clock=now)
        write_and_seal(self.place.live, self.place.store, random_rows(80, 2), segments=4)

    def before(self, number: int) -> None:
        empty(self.place.dr)

    def run(self, rounds: int) -> None:
        reading_ahead.BATCH_OBJECTS = 1
        follow(self)

    def check(self) -> None:
        assert tables(self.place.dr) == tables(self.place.live)
        assert ledger(self.place.dr) == ledger(self.place.live)


def follow(scenario: Scenario) -> Any:
    """One catch-up with history. A killed one's session may take a moment to be gone."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with CatchUp.opened(scenario.place.dr, scenario.place.store, plan=PLAN) as session:
                session.restore()
                session.once()
                return bring_history(session)
        except AlreadyRunning:
            assert time.monotonic() < deadline
            time.sleep(0.002)
