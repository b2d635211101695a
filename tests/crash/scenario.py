"""What a scenario is, where it takes place, and what must be true after every one.

A scenario is killed again and again in one history: each run goes on with what the killed one left
and adds to it, so that recoveries are killed too. What a child was told to be done it notes at
once; nothing of that may be missing at the end, and nothing may be there twice.
"""

from __future__ import annotations

import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import psycopg

from tests.catchup.databases import tables
from tests.journal.making import PLAN, chained_ids
from tests.servers.emptying import empty
from tests.servers.receivers import Dedupe, Receiver
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.chain import chains
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.journal.verify import verify
from wayfare_engine.journal.waiting import journaled
from wayfare_engine.ledger import LedgerRow
from wayfare_engine.objectstore import ObjectStore, open_store
from wayfare_engine.outbox.facts import record


@dataclass(frozen=True)
class Place:
    """Two databases and a store, and a folder for what children note. `hosts` are the addresses
    of receivers, by their class."""

    live: str
    dr: str
    store_url: str
    folder: Path
    hosts: Mapping[Dedupe, str] = field(default_factory=dict)

    @cached_property
    def store(self) -> ObjectStore:
        """A client of this process."""
        return open_store(self.store_url)

    def connect(self) -> psycopg.Connection[Any]:
        """To the live database, in autocommit mode."""
        return psycopg.connect(self.live, autocommit=True)


class Said:
    """What children were told to be done, a line each; it survives them."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "said.jsonl"

    def __call__(self, what: str, *values: Any) -> None:
        """Note it: written when this returns."""
        line = json.dumps([what, *values], default=str) + "\n"
        out = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(out, line.encode())
        os.close(out)

    def all(self, what: str) -> list[Any]:
        """The values of every line of this kind, in their order; one value is not in a list."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        found = [values for kind, *values in map(json.loads, lines) if kind == what]
        return [values[0] if len(values) == 1 else values for values in found]


class Scenario(ABC):
    """`points`: where it is killed, and at which passes, one kill after the other. Each round of
    `run` passes each of the points at least once."""

    points: ClassVar[Mapping[str, Sequence[int]]]

    def __init__(self, place: Place) -> None:
        self.place = place
        self.said = Said(place.folder)

    def prepare(self) -> None:  # noqa: B027 - most have nothing to do here
        """In the test, before the first run; both databases and the store are empty."""

    @contextmanager
    def beside(self, receivers: Mapping[Dedupe, Receiver]) -> Iterator[None]:
        """In the test, around all runs: what goes on and is not killed."""
        yield

    def before(self, number: int) -> None:  # noqa: B027 - most have nothing to do here
        """In the test, before run number `number`, counted from 0."""

    @abstractmethod
    def run(self, rounds: int) -> None:
        """In a child: go on with what is there, and then do so many rounds of new work."""

    def killed(self) -> None:  # noqa: B027 - most have nothing to do here
        """In the test, after each kill and before anything is repaired."""

    @abstractmethod
    def check(self) -> None:
        """In the test, after a run that was not killed."""


@dataclass(frozen=True)
class Run:
    """A scenario's run, as it goes to a child."""

    scenario: type[Scenario]
    place: Place
    rounds: int

    def __call__(self) -> None:
        self.scenario(self.place).run(self.rounds)


def write(connection: psycopg.Connection[Any], rows: Sequence[LedgerRow], said: Said) -> int:
    """Write rows and what follows from them, and note them as committed; the transaction."""
    tx = record(connection, rows)
    said("committed", [str(row.id) for row in rows])
    return tx


def seal(sealer: Sealer, connection: psycopg.Connection[Any], tx: int) -> None:
    """Seal until the transaction is in the store. A killed process's session may take a moment to
    be gone, with the sealer's lock or an open transaction."""
    deadline = time.monotonic() + 30
    while not journaled(connection, tx):
        if not sealer.seal_once():
            assert time.monotonic() < deadline, f"transaction {tx} is not sealed"
            time.sleep(0.002)


def flat(lists: Sequence[Sequence[str]]) -> set[str]:
    """All ids of notes."""
    return {one for some in lists for one in some}


def in_chains(store: ObjectStore) -> list[str]:
    """The ids of all rows of all chains; reading checks their links."""
    found = []
    for site, epoch in chains(store):
        found += [str(i) for i in chained_ids(store, epoch, site)]
    return found


def in_ledger(dsn: str) -> list[str]:
    """The ids of all rows of a ledger."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return [i for (i,) in connection.execute("SELECT id::text FROM wayfare.ledger").fetchall()]


def chains_are_whole(place: Place) -> list[str]:
    """Every chain verifies and has no row twice; the ids."""
    found = verify(place.store, plan=PLAN)
    assert found.ok, found.findings
    ids = in_chains(place.store)
    assert len(ids) == len(set(ids)), "a row is in the chains twice"
    return ids


def equal_to_a_rebuild(place: Place, *, but: Sequence[str] = ()) -> None:
    """The live projections are what the chains alone give: applied once, and all of it."""
    empty(place.dr)
    catch_up(place.dr, place.store, plan=PLAN, from_snapshot=False)
    here, there = tables(place.live), tables(place.dr)
    for table in here:
        assert table in but or here[table] == there[table], f"{table} is not what the chains give"
