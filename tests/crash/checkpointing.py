"""A site that takes checkpoints while it is sealed; another one verifies against the newest."""

from __future__ import annotations

import threading
from typing import ClassVar

from tests.catchup.databases import scalar
from tests.crash.scenario import Scenario, write
from tests.crash.sealing import some_rows
from tests.journal.making import PLAN, SITE, seal_all, sealer
from tests.servers.emptying import empty
from wayfare_engine.clock import new_id, now
from wayfare_engine.journal.checking import verify
from wayfare_engine.journal.checkpoint import take


class Checkpointing(Scenario):
    """One that was begun and not ended is none: the newest whole one counts; sealing goes on."""

    points: ClassVar = {
        "journal.checkpoint.cut": (1, 2, 2),
        "journal.checkpoint.put": (1, 2, 2),
        "journal.checkpoint.row": (1, 2, 2),
    }

    def run(self, rounds: int) -> None:
        stop = threading.Event()
        made = sealer(self.place.live, self.place.store, seconds=0.01)
        thread = threading.Thread(target=made.run, args=(stop,), daemon=True)
        thread.start()
        try:
            with self.place.connect() as connection:
                for _ in range(rounds):
                    write(connection, some_rows(), self.said)
                    take(self.place.live, self.place.store, site=SITE, ids=new_id, clock=now)
                    self.said("taken")
        finally:
            stop.set()
            thread.join()

    def killed(self) -> None:
        seal_all(self.place.live, self.place.store)
        empty(self.place.dr)
        found = verify(self.place.dr, self.place.store, plan=PLAN, site="west", clock=now)
        assert found.answer == "equal" or (found.answer == "unknown" and not self.said.all("taken"))

    def check(self) -> None:
        self.killed()
        assert self.said.all("taken")
        assert scalar(self.place.live, "SELECT count(*) FROM wayfare.seal_cuts") == 0
