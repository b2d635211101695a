"""Ledger, sealing and replay under any interleaving: both databases end with equal digests.

The machine plays a site that writes (several transactions at once, which end in any order), its
sealer (whose session is killed and whose writes to the store fail, before or after they took
effect) and another site that follows (in parts, from snapshots, from nothing, and by a rebuild).
"""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg import Connection

from tests.digests.taking import digests
from tests.journal.making import PLAN, SITE, sealer
from tests.projections.drawing import CUSTOMERS, ORDINARY, draw
from tests.projections.examples import interleavings
from tests.servers.emptying import empty, remember
from tests.servers.postgresql import running_postgresql
from wayfare_engine.clock import new_id, now
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.positions import by_name
from wayfare_engine.journal.rebuilding import rebuild
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.journal.snapshot import take
from wayfare_engine.journal.verify import verify
from wayfare_engine.ledger import Kind, LedgerRow, append_rows
from wayfare_engine.ledger.fence import raise_epoch
from wayfare_engine.objectstore import ObjectStore, StoreUnavailable, open_store
from wayfare_engine.objectstore.marker import claim
from wayfare_engine.projections import apply_rows
from wayfare_engine.store.postgresql import Away

KINDS = (*ORDINARY, Kind.ERASURE, Kind.RETENTION, Kind.MERGED)
SLOTS = st.integers(0, len(CUSTOMERS) - 1)


class FailingStore(ObjectStore):
    """A real store whose next put-if-absent fails, before or after it took effect."""

    failing: str | None = None

    def put_if_absent(self, path: str, body: bytes) -> bool:
        how, self.failing = self.failing, None
        if how == "before":
            raise StoreUnavailable(self.url, "the test has cut the line")
        done = super().put_if_absent(path, body)
        if how == "after":
            raise StoreUnavailable(self.url, "the test has cut the line after the write")
        return done


class Replay(RuleBasedStateMachine):
    """`live` writes and seals, `dr` follows."""

    live: str
    dr: str

    @initialize()
    def begin(self) -> None:
        empty(self.live)
        empty(self.dr)
        self.folder = tempfile.mkdtemp(prefix="wayfare-store-")
        self.url = f"file://{self.folder}/store"
        opened = open_store(self.url)
        self.store = FailingStore(self.url, opened._client)
        claim(self.store, PLAN)
        self.sealer: Sealer = sealer(self.live, self.store)
        self.open: dict[int, Connection[Any]] = {}
        self.epoch = 1
        self.snapshots = 0
        self.written = 0

    @rule(slot=SLOTS, seeds=st.lists(st.integers(0, 2**40), min_size=1, max_size=6))
    def write(self, slot: int, seeds: list[int]) -> None:
        """Rows in a transaction that stays open. Where it would have to wait for another one it
        is given up, as a writer that meets its timeout does."""
        connection = self.open.get(slot)
        if connection is None:
            connection = self.open[slot] = psycopg.connect(self.live)
            connection.execute("SET LOCAL lock_timeout = '20ms'")
        rows = [self._row(slot, seed) for seed in seeds]
        try:
            append_rows(connection, rows)
            apply_rows(connection, rows)
        except psycopg.errors.LockNotAvailable:
            self._end(slot, commit=False)

    @rule(slot=SLOTS, seeds=st.lists(st.integers(0, 2**40), min_size=1, max_size=9))
    def write_at_once(self, slot: int, seeds: list[int]) -> None:
        """Rows in a transaction that ends before those that are open, if it need not wait."""
        if slot not in self.open:
            self.write(slot, seeds)
            if slot in self.open:
                self._end(slot, commit=True)

    @rule(slot=SLOTS, seeds=st.lists(st.integers(0, 2**40), min_size=1, max_size=9))
    def write_seal_and_follow(self, slot: int, seeds: list[int]) -> None:
        self.write_at_once(slot, seeds)
        self._seal()
        self.follow_to_the_end()

    @precondition(lambda self: self.open)
    @rule(choice=st.integers(0, 10), commit=st.sampled_from([True, True, True, False]))
    def end(self, choice: int, commit: bool) -> None:
        """One of the open transactions ends; which does not follow from when it began."""
        self._end(sorted(self.open)[choice % len(self.open)], commit=commit)

    @rule()
    def seal(self) -> None:
        self._seal()

    @rule(how=st.sampled_from(["before", "after"]))
    def seal_and_fail(self, how: str) -> None:
        """The store fails in the middle; what the sealer said it would put is put later."""
        self.store.failing = how
        with contextlib.suppress(StoreUnavailable, *Away):
            self.sealer.seal_once()
        self.store.failing = None

    @rule()
    def kill_the_sealers_session(self) -> None:
        with psycopg.connect(self.live, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name = 'wayfare-sealer'"
            )

    @rule()
    def start_another_sealer(self) -> None:
        self.sealer.close()
        self.sealer = sealer(self.live, self.store, max_rows=3)

    @precondition(lambda self: not self.open)
    @rule()
    def go_on_in_a_new_epoch(self) -> None:
        with psycopg.connect(self.live) as connection:
            raise_epoch(connection, self.epoch + 1)
        self.epoch += 1

    @rule(share=st.floats(0, 1))
    def follow(self, share: float) -> None:
        """Up to some position of each chain."""
        upto = {(SITE, epoch): int(share * 60) for epoch in range(1, self.epoch + 1)}
        catch_up(self.dr, self.store, plan=PLAN, upto=upto, from_snapshot=False)

    @rule()
    def follow_to_the_end(self) -> None:
        catch_up(self.dr, self.store, plan=PLAN, from_snapshot=False)

    @rule()
    def snapshot(self) -> None:
        if not catch_up(self.dr, self.store, plan=PLAN, from_snapshot=False).watermark:
            return
        self.snapshots += 1
        take(self.dr, self.store, plan=PLAN, snapshot=f"s{self.snapshots:04}", clock=now)

    @rule()
    def lose_the_following_site(self) -> None:
        """Its database is new, and starts from the newest snapshot."""
        empty(self.dr)
        found = catch_up(self.dr, self.store, plan=PLAN)
        assert (found.snapshot is not None) == (self.snapshots > 0)

    @rule()
    def rebuild_the_following_site(self) -> None:
        rebuild(self.dr, self.store, plan=PLAN, site="west", clock=now)

    @precondition(lambda self: not self.open)
    @rule()
    def rebuild_the_writing_site(self) -> None:
        self._seal_all()
        self.sealer.close()
        report = rebuild(self.live, self.store, plan=PLAN, site=SITE, clock=now)
        assert report.different == ()

    @precondition(lambda self: not self.open)
    @rule()
    def compare(self) -> None:
        self._equal()

    @invariant()
    def the_chains_are_whole(self) -> None:
        found = verify(self.store, plan=PLAN)
        assert found.ok, found.findings

    def teardown(self) -> None:
        if not hasattr(self, "folder"):
            return
        try:
            for slot in list(self.open):
                self._end(slot, commit=True)
            self._equal()
        finally:
            for connection in self.open.values():
                connection.close()
            self.sealer.close()
            shutil.rmtree(self.folder)

    def _equal(self) -> None:
        self._seal_all()
        report = catch_up(self.dr, self.store, plan=PLAN, from_snapshot=False)
        assert report.remaining == 0
        here, there = digests(self.live), digests(self.dr)
        assert here.watermark == there.watermark == by_name(dict(report.watermark))
        assert sum(here.watermark.values()) == self.written
        assert here.unsealed == there.unsealed == 0
        assert here.facts()["tables"] == there.facts()["tables"]

    def _seal(self) -> int:
        # A killed session is noticed by the statement after.
        for _ in range(5):
            with contextlib.suppress(*Away):
                return self.sealer.seal_once()
        raise AssertionError("the sealer does not come back")

    def _seal_all(self) -> None:
        while self._seal() or self.sealer.more:
            pass

    def _end(self, slot: int, *, commit: bool) -> None:
        connection = self.open.pop(slot)
        with connection:
            if not commit:
                connection.rollback()
                return
            row = connection.execute(
                "SELECT count(*) FROM wayfare.ledger WHERE tx = pg_current_xact_id()"
            ).fetchone()
            assert row is not None
        self.written += int(row[0])

    def _row(self, slot: int, seed: int) -> LedgerRow:
        """Of the slot's own customer where it is of one, so that few transactions meet."""
        source = random.Random(seed)
        while True:
            row = draw(source, KINDS)
            if row.customer_id in (None, CUSTOMERS[slot]):
                return row._replace(id=new_id(), site=SITE, epoch=self.epoch)


@pytest.fixture(scope="module")
def databases() -> Iterator[tuple[str, str]]:
    with running_postgresql() as live, running_postgresql() as dr:
        for server in (live, dr):
            with psycopg.connect(server.database()) as connection:
                remember(connection)
        yield live.dsn, dr.dsn


def test_any_interleaving_ends_in_equal_digests(databases: tuple[str, str]) -> None:
    class Here(Replay):
        live, dr = databases

    run_state_machine_as_test(Here, settings=settings(interleavings(0.1), stateful_step_count=24))
