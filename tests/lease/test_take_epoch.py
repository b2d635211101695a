"""TakeEpoch: take, close, raise, wait, act; killed anywhere it goes on as the same taker."""

from __future__ import annotations

import itertools
import signal
import uuid
from collections import Counter
from typing import Any

import psycopg
import pytest

from tests.lease.clocks import AT, Boottime, JumpingWall
from tests.lease.processes import exit_code
from tests.lease.test_holder import hold, holder
from tests.servers.postgresql import rows
from wayfare_engine import crashpoints
from wayfare_engine.clock import new_id
from wayfare_engine.journal.chain import last_object
from wayfare_engine.journal.chain import read as read_chain
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.journal.segment import Closed
from wayfare_engine.lease import (
    EpochTaken,
    Quiesced,
    Stale,
    Statement,
    TakeEpoch,
    Takeover,
    Terms,
    highest,
    wait_seconds,
)
from wayfare_engine.lease.beats import Beat, BeatWatch
from wayfare_engine.lease.epochs import read_acting
from wayfare_engine.lease.problems import EndDamaged, NotStale, StatementNeeded
from wayfare_engine.lease.take_epoch import next_epoch, remembered
from wayfare_engine.ledger import Kind, LedgerRow, append_rows
from wayfare_engine.ledger.fence import StaleEpoch, site_epoch
from wayfare_engine.objectstore import ObjectStore, open_store, paths

PLAN = "retail"
TERMS = Terms(ttl=30.0, clock_error=0.001, hand_over=5.0)
SAID = Statement(text="the site is off", by="ana")


class Counting(ObjectStore):
    """Notes how often each object is read."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store.url, store._client)
        self.read: Counter[str] = Counter()

    def get(self, path: str, *, most: int | None = None) -> bytes | None:
        self.read[path] += 1
        return super().get(path, most=most)


def taking(dsn: str, store: ObjectStore, clock: Boottime, **other: Any) -> TakeEpoch:
    """West takes epoch 2 on a statement."""
    given: dict[str, Any] = {
        "plan": PLAN,
        "site": "west",
        "epoch": 2,
        "reason": "a test",
        "terms": TERMS,
        "now": lambda: AT,
        "new_nonce": lambda: uuid.uuid4().hex,
        "sleep": clock.sleep,
        "boottime": clock,
        "grounds": SAID,
    }
    connection = psycopg.connect(dsn, autocommit=True)
    return TakeEpoch(connection, store, **(given | other))


def test_the_wait_is_ttl_stretched_by_the_clocks_and_h() -> None:
    assert wait_seconds(30, 0.001, 5) == pytest.approx(35.06, abs=0.001)
    assert wait_seconds(10, 0, 2) == 12
    assert TERMS.wait == wait_seconds(30, 0.001, 5)
    assert "35.06 s" in TERMS.arithmetic()
    # A slow clock of the old site and a fast one of ours: what is left covers H.
    slow, fast = 1 - TERMS.clock_error, 1 + TERMS.clock_error
    assert TERMS.wait / fast >= TERMS.ttl / slow + TERMS.carried / slow - 1e-9


def test_the_first_epoch_waits_for_nobody(dsn: str, store: ObjectStore) -> None:
    clock = Boottime()
    taking(dsn, store, clock, epoch=1, site="east", grounds=None).run()
    assert clock.now == 1000.0
    assert holder(store, clock).check()


def test_taken_first_and_then_waited(dsn: str, store: ObjectStore) -> None:
    hold(store)
    clock = Boottime()
    east = holder(store, clock)
    east.check()
    west = holder(store, clock, site="west", epoch=2)
    left: list[float] = []
    acted: list[float] = []

    def told(seconds: float) -> None:
        left.append(seconds)
        assert highest(store, PLAN).epoch == 2  # type: ignore[union-attr]
        assert not east.check()
        if seconds > 0:
            assert not west.check()
            acted.append(east.guard.may_send() + west.guard.may_send())

    lease = taking(dsn, store, clock).run(told)
    assert lease.statement == SAID
    assert clock.now == pytest.approx(1000 + TERMS.wait)
    assert left[0] == pytest.approx(TERMS.wait)
    assert left[-1] == 0.0
    assert set(acted) == {0.0}
    assert west.check()
    with psycopg.connect(dsn) as connection:
        assert site_epoch(connection).epoch == 2
        assert remembered(connection, PLAN, 2)
        assert next_epoch(connection, store, PLAN) == 3


def test_it_does_not_act_before_the_wait_is_over(dsn: str, store: ObjectStore) -> None:
    hold(store)
    clock = Boottime()
    step = taking(dsn, store, clock)
    step.take()
    clock.now += TERMS.wait - 0.01
    with pytest.raises(RuntimeError, match="the wait is not over"):
        step.act()
    assert read_acting(store, PLAN, 2) is None
    clock.now += 0.02
    step.act()
    assert read_acting(store, PLAN, 2) is not None


def test_a_jumping_wall_clock_changes_nothing(dsn: str, store: ObjectStore) -> None:
    hold(store)
    clock = Boottime()
    taking(dsn, store, clock, now=JumpingWall()).run()
    assert clock.now == pytest.approx(1000 + TERMS.wait)
    assert holder(store, clock, site="west", epoch=2).check()


def row(site: str, epoch: int, text: str) -> LedgerRow:
    return LedgerRow(
        id=new_id(),
        site=site,
        epoch=epoch,
        kind=Kind.EVENT,
        key=None,
        version=None,
        customer_id="1",
        at=AT,
        body='{"customer":"1","name":"' + text + '"}',
    )


def hold_and_seal(dsn: str, store: ObjectStore) -> None:
    """East holds epoch 1 and has a segment of one row."""
    hold(store)
    with psycopg.connect(dsn) as connection:
        append_rows(connection, [row("east", 1, "sealed")])
    sealer = Sealer(dsn, store, plan=PLAN, site="east", epoch=1, clock=lambda: AT)
    while not sealer.seal_once():
        pass
    sealer.close()


def test_every_chain_of_a_lower_epoch_is_closed_with_what_it_holds(
    dsn: str, store: ObjectStore
) -> None:
    hold_and_seal(dsn, store)
    step = taking(dsn, store, Boottime())
    step.take()
    assert step.closed == [("east", 1)]
    first, end = read_chain(store, "east", 1, plan=PLAN)
    assert not isinstance(first, Closed)
    assert first.rows.num_rows == 1
    assert isinstance(end, Closed)
    assert end.by == 2
    with psycopg.connect(dsn) as connection, pytest.raises(StaleEpoch):
        append_rows(connection, [row("east", 1, "too late")])


def test_an_epoch_is_not_taken_whose_older_chain_could_not_be_ended(
    dsn: str, store: ObjectStore
) -> None:
    hold_and_seal(dsn, store)
    last = last_object(store, "east", 1)
    assert last is not None
    whole = store.get(last.path)
    assert whole is not None
    store.put(last.path, whole[:-1])
    with pytest.raises(EndDamaged, match="Put that object back") as told:
        taking(dsn, store, Boottime()).run()
    assert last.path in str(told.value)
    assert highest(store, PLAN).epoch == 1  # type: ignore[union-attr]
    # Nothing has changed for the holder.
    assert holder(store, Boottime()).check()
    store.put(last.path, whole)
    assert taking(dsn, store, Boottime()).run().epoch == 2


def test_each_older_chain_is_looked_at_once_however_many_there_are(
    dsn: str, store: ObjectStore
) -> None:
    """A takeover does not become slower than it must be with every epoch that was."""
    hold_and_seal(dsn, store)
    for epoch in range(2, 8):
        taking(dsn, store, Boottime(), epoch=epoch).run()
    counting = Counting(store)
    step = taking(dsn, counting, Boottime(), epoch=8)
    step.take()
    assert len(step.closed) == 7
    # The newest one is also asked whether it is the newest.
    assert [counting.read[paths.lease(PLAN, epoch)] for epoch in range(1, 8)] == [1] * 6 + [2]
    ends = {path: times for path, times in counting.read.items() if path.startswith("journal/")}
    assert sorted(ends.values()) == [1] * 7, ends


def test_a_holder_that_never_sealed_has_a_chain_that_is_closed_too(
    dsn: str, store: ObjectStore
) -> None:
    hold(store)
    step = taking(dsn, store, Boottime())
    step.take()
    assert step.closed == [("east", 1)]
    (end,) = read_chain(store, "east", 1, plan=PLAN)
    assert isinstance(end, Closed)


def beaten(clock: Boottime, age: float) -> BeatWatch:
    watch = BeatWatch(clock)
    watch.saw(
        Beat(
            site="east",
            epoch=1,
            awake=True,
            at=AT,
            writer="w",
            number=1,
            sealed_seq=0,
            unsealed=0,
        )
    )
    clock.now += age
    return watch


def test_nobody_takes_over_from_a_site_that_beats(dsn: str, store: ObjectStore) -> None:
    hold(store)
    clock = Boottime()
    with pytest.raises(NotStale, match=r"site east still holds the lease.*59 s old"):
        taking(dsn, store, clock, grounds=Stale(beaten(clock, 59), 60)).take()
    never = BeatWatch(clock)
    never.saw(None)
    clock.now += 1000
    with pytest.raises(NotStale, match="was never seen"):
        taking(dsn, store, clock, grounds=Stale(never, 60)).take()
    with pytest.raises(StatementNeeded):
        taking(dsn, store, clock, grounds=None).take()
    assert highest(store, PLAN).epoch == 1  # type: ignore[union-attr]
    taking(dsn, store, clock, grounds=Stale(beaten(clock, 60), 60)).take()
    assert highest(store, PLAN).epoch == 2  # type: ignore[union-attr]


def test_under_a_statement_only_a_statement_or_a_planned_move_will_do(
    dsn: str, store: ObjectStore
) -> None:
    hold(store)
    clock = Boottime()
    stale = Stale(beaten(clock, 99), 60)
    only = {"takeover": Takeover.STATEMENT}
    with pytest.raises(StatementNeeded, match="takeover: Statement"):
        taking(dsn, store, clock, grounds=stale, **only).take()
    taking(dsn, store, clock, grounds=SAID, **only).run()
    assert clock.now == pytest.approx(1099 + TERMS.wait), "a statement never shortens the wait"
    taking(dsn, store, clock, grounds=Quiesced(), epoch=3, **only).take()


def test_losing_the_race_says_who_won(dsn: str, store: ObjectStore) -> None:
    hold(store)
    hold(store, 2, "north")
    with pytest.raises(EpochTaken, match="site north"):
        taking(dsn, store, Boottime()).take()
    with psycopg.connect(dsn) as connection:
        assert site_epoch(connection).epoch == 1
        assert next_epoch(connection, store, PLAN) == 3


POINTS = sorted(p for p in crashpoints.registered() if p.startswith("lease.take."))


def test_there_are_points_around_each_side_effect() -> None:
    assert len(POINTS) == 12


def test_killed_at_each_point_it_goes_on_as_the_same_taker(server: Any, tmp_path: Any) -> None:
    dsn = server.database()
    for number, point in enumerate(POINTS):
        url = f"file://{tmp_path}/{number}"
        store = open_store(url)
        hold(store)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("UPDATE wayfare.site_epoch SET epoch = 1, highest_seen = 1")
            connection.execute("DELETE FROM wayfare.epochs_taken")
        assert exit_code(dsn, url, point) == -signal.SIGKILL, point
        nonces = [n for (n,) in rows(dsn, "SELECT nonce FROM wayfare.epochs_taken")]
        assert exit_code(dsn, url) == 0, point
        last = highest(store, PLAN)
        assert last is not None
        # After the last point the epoch was taken whole: the next run takes the one after it.
        whole = point == "lease.take.acting"
        assert last.epoch == (3 if whole else 2), point
        assert whole or nonces in ([], [last.nonce]), point
        for lower in range(1, last.epoch):
            site = "east" if lower == 1 else "west"
            assert isinstance(list(read_chain(store, site, lower, plan=PLAN))[-1], Closed)
        assert rows(dsn, "SELECT epoch FROM wayfare.site_epoch") == [(last.epoch,)]
        assert holder(store, Boottime(), site="west", epoch=last.epoch).check()


def test_two_processes_of_one_site_end_as_one_taker(dsn: str, store: ObjectStore) -> None:
    hold(store)
    clock = Boottime()
    nonces = itertools.count()
    both = [taking(dsn, store, clock, new_nonce=lambda: f"n{next(nonces)}") for _ in range(2)]
    assert both[0].take() == both[1].take()
    assert {step.lease.nonce for step in both if step.lease} == {"n0"}
