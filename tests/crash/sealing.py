"""A site that writes and seals, on its own disk or on a new one."""

from __future__ import annotations

import random
import uuid
from typing import Any, ClassVar

import psycopg

from tests.catchup.databases import random_rows
from tests.crash.scenario import (
    Scenario,
    chains_are_whole,
    equal_to_a_rebuild,
    flat,
    in_chains,
    in_ledger,
    seal,
    write,
)
from tests.journal.making import sealing
from tests.servers.emptying import empty


def some_rows() -> list[Any]:
    """A few rows of all kinds, different in each process."""
    seed = uuid.uuid4().int
    return random_rows(random.Random(seed).randrange(2, 6), seed)


class Sealing(Scenario):
    """Rows are written, sealed, and acknowledged as committed and as journaled."""

    points: ClassVar = dict.fromkeys(
        (
            "journal.seal.intending",
            "journal.seal.intended",
            "journal.seal.putting",
            "journal.seal.put",
            "journal.seal.marked",
        ),
        (1, 2, 3, 4, 5, 1, 1, 1),
    )

    def run(self, rounds: int) -> None:
        with self.place.connect() as connection, sealing(self.place.live, self.place.store) as own:
            for _ in range(rounds):
                rows = some_rows()
                write(connection, some_rows(), self.said)
                tx = write(connection, rows, self.said)
                seal(own, connection, tx)
                self.said("journaled", [str(row.id) for row in rows])

    def killed(self) -> None:
        journaled = flat(self.said.all("journaled"))
        assert journaled <= set(in_chains(self.place.store)), "journaled, and not in the store"
        committed = flat(self.said.all("committed"))
        assert committed <= set(in_ledger(self.place.live)), "committed, and not in the ledger"

    def check(self) -> None:
        self.killed()
        ids = chains_are_whole(self.place)
        assert sorted(ids) == sorted(in_ledger(self.place.live))
        assert flat(self.said.all("committed")) <= set(ids)
        equal_to_a_rebuild(self.place)


class NewDisk(Scenario):
    """The site's database is new before each run: what was journaled comes back from the chain.

    A promotion in between makes the sealer look again.
    """

    points: ClassVar = {
        "journal.instance.imported": (1, 2, 3, 4, 5, 3, 7, 1),
        "journal.instance.sealed": (1, 2, 3, 4),
        "journal.instance.settled": (1, 2, 3, 4, 1),
        "journal.seal.putting": (1, 2, 3),
        "journal.seal.put": (1, 2, 3),
    }

    def prepare(self) -> None:
        self.run(8)

    def before(self, number: int) -> None:
        # Every second run goes on with what the killed one left of its import.
        if number % 2 == 0:
            empty(self.place.live)

    def run(self, rounds: int) -> None:
        with self.place.connect() as connection:
            for _ in range(rounds):
                rows = some_rows()
                tx = write(connection, rows, self.said)
                _promote(connection)
                with sealing(self.place.live, self.place.store) as own:
                    seal(own, connection, tx)
                self.said("journaled", [str(row.id) for row in rows])

    def killed(self) -> None:
        journaled = flat(self.said.all("journaled"))
        assert journaled <= set(in_chains(self.place.store)), "journaled, and not in the store"

    def check(self) -> None:
        self.killed()
        assert sorted(chains_are_whole(self.place)) == sorted(in_ledger(self.place.live))
        equal_to_a_rebuild(self.place)


def _promote(connection: psycopg.Connection[Any]) -> None:
    """As the database looks after a standby took over: another timeline than the one noted."""
    connection.execute("UPDATE wayfare.sealed_instance SET timeline = timeline + 1000")
