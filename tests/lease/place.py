"""A store and west's database, with the environment that the commands are given."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.lease.clocks import AT
from tests.servers.command import arguments, clean_environment, wayfare
from wayfare_engine.clock import new_id
from wayfare_engine.lease.beats import BeatWriter, Figures
from wayfare_engine.ledger import Kind, LedgerRow
from wayfare_engine.objectstore import ObjectStore

PLAN = "retail"
WORD = "the power is off in east, I stand in the room"


@dataclass
class Place:
    """A store, west's database, and the environment that names both."""

    store: ObjectStore
    dsn: str
    environment: dict[str, str]

    def lease(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """`wayfare lease WORDS`."""
        return wayfare("lease", *words, **(self.environment | more))

    def take(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """On a statement, by a script."""
        return self.lease("take", "--statement", WORD, "--by", "ana", "--yes", *words, **more)


def event(site: str, epoch: int) -> LedgerRow:
    """A row of the ledger."""
    body = '{"customer":"anna","name":"login"}'
    return LedgerRow(new_id(), site, epoch, Kind.EVENT, None, None, "anna", AT, body)


def beat(store: ObjectStore, *, number: int = 1, unsealed: int = 12) -> None:
    """East's newest beat."""
    figures = Figures(sealed_seq=3, unsealed=unsealed, oldest_unsealed_at=AT if unsealed else None)
    writer = BeatWriter(
        store,
        plan=PLAN,
        site="east",
        epoch=1,
        figures=lambda: figures,
        now=lambda: AT,
        writer=f"w{number}",
    )
    writer.beat()


@contextmanager
def stopped(place: Place, point: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A taking on a statement that has stopped at a point, and goes on at SIGCONT."""
    more |= {"WAYFARE_CRASH": f"{point}!stop"}
    with subprocess.Popen(
        arguments("lease", "take", "--statement", WORD, "--yes"),
        env=clean_environment(place.environment | more),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        try:
            yield process
        finally:
            process.kill()
