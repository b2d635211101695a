"""SIGSTOP for longer than TTL + H, in the middle of a step: what wakes up has no right to act, and
its step, which it goes on with, does nothing that the other site does not know."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest

from tests.crash.children import Child, Children
from tests.crash.scenario import Place, chains_are_whole, in_chains, in_ledger
from tests.crash.sealing import some_rows
from tests.crash.sending import WINDOW, worker
from tests.crash.taking import WEST, first_holder
from tests.journal.making import PLAN, SITE, chain, seal_all, sealer, sealing
from tests.outbox.conftest import in_thread
from tests.servers.receivers import Dedupe, Fault, Receiver
from tests.servers.wait import until
from wayfare_engine.clock import new_id, now
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.problems import EpochOver
from wayfare_engine.journal.segment import Closed
from wayfare_engine.lease import Holder, Quiesced, Standing, TakeEpoch, Terms
from wayfare_engine.lease.epochs import history
from wayfare_engine.outbox import Origin, PlannedSend, plan_send
from wayfare_engine.outbox.facts import record

TERMS = Terms(ttl=0.5, clock_error=0.001, hand_over=WINDOW)


@dataclass(frozen=True)
class Sender:
    """In a child: a worker of a site that holds an epoch as a pod does."""

    place: Place
    site: str
    epoch: int

    def __call__(self) -> None:
        self.run(threading.Event())

    def run(self, stop: threading.Event) -> None:
        own = holder(self.place, self.site, self.epoch)
        threading.Thread(target=own.run, args=(stop,), daemon=True).start()
        origin = Origin(self.site, self.epoch, new_id, now)
        dsn = self.place.live if self.site == SITE else self.place.dr
        worker(dsn, self.place.hosts, origin, own.guard).run(stop)


@dataclass(frozen=True)
class EastsSealer:
    """In a child: east's sealer, until its epoch is over."""

    place: Place

    def __call__(self) -> None:
        with sealing(self.place.live, self.place.store) as own:
            try:
                while True:
                    own.seal_once()
            except EpochOver:
                return


@dataclass(frozen=True)
class Taker:
    """In a child: a site takes an epoch; real clocks, a real wait."""

    place: Place
    site: str
    epoch: int

    def __call__(self) -> None:
        place = self.place
        dsn = place.live if self.site == SITE else place.dr
        with psycopg.connect(dsn, autocommit=True) as connection:
            taking = TakeEpoch(
                connection,
                place.store,
                plan=PLAN,
                site=self.site,
                epoch=self.epoch,
                reason="a test",
                terms=TERMS,
                now=now,
                new_nonce=lambda: uuid.uuid4().hex,
                sleep=time.sleep,
                grounds=Quiesced(),
            )
            taking.take()
            catch_up(dsn, place.store, plan=PLAN)
            taking.wait()
            taking.act()


def holder(place: Place, site: str, epoch: int) -> Holder:
    """A pod's hold on an epoch, unchecked."""
    return Holder(
        place.store,
        plan=PLAN,
        site=site,
        epoch=epoch,
        ttl=TERMS.ttl,
        clock_error=TERMS.clock_error,
        hand_over=TERMS.hand_over,
    )


@contextmanager
def sealing_on(dsn: str, place: Place, site: str) -> Iterator[None]:
    """A sealer at work."""
    with in_thread(sealer(dsn, place.store, site=site, seconds=0.01).run):
        yield


def planned(place: Place, kind: Dedupe) -> PlannedSend:
    """A send of east's, planned and in the journal."""
    send = PlannedSend(
        journey="welcome",
        customer="anna",
        entry_key="",
        node="hello",
        visit=1,
        channel=kind,
        due=now() - timedelta(seconds=1),
    )
    with place.connect() as connection:
        plan_send(connection, [send], Origin(SITE, 1, new_id, now))
    seal_all(place.live, place.store)
    return send


def journaled(place: Place) -> bool:
    """Whether all of east's rows are in the store."""
    return set(in_ledger(place.live)) <= set(in_chains(place.store))


def outcome(dsn: str) -> str | None:
    """Of the one send, as a site's database has it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute("SELECT outcome FROM wayfare.outbox").fetchone()
    return found[0] if found else None


@contextmanager
def stopped(
    children: Children, counts: Counter[str], work: Callable[[], None], point: str
) -> Iterator[Child]:
    """A child that has stopped at the point; gone at the end."""
    child = children.start(work, crash=f"{point}!stop")
    try:
        child.wait_stopped()
        counts["stopped"] += 1
        yield child
    finally:
        child.kill()


@pytest.mark.parametrize(
    ("point", "kind", "at_west"),
    [
        ("outbox.dispatch.writing", "None", "Accepted"),
        ("outbox.dispatch.written", "None", "Unknown"),
        ("outbox.hand_over.before", "Key", "Accepted"),
        ("outbox.hand_over.before", "Query", "Accepted"),
        ("outbox.hand_over.before", "None", "Unknown"),
        ("outbox.hand_over.after", "Key", "Accepted"),
        ("outbox.hand_over.after", "None", "Unknown"),
        ("outbox.outcome.writing", "Query", "Accepted"),
        ("outbox.in_doubt.asking", "Query", "Accepted"),
    ],
)
def test_a_sender_that_wakes_after_a_takeover_hands_nothing_over(
    point: str,
    kind: Dedupe,
    at_west: str,
    place: Place,
    receivers: dict[Dedupe, Receiver],
    children: Children,
    counts: Counter[str],
) -> None:
    first_holder(place.store)
    send = planned(place, kind)
    receiver = receivers[kind]
    if "in_doubt" in point:
        receiver.fail(Fault("lost"))
    with (
        sealing_on(place.live, place, SITE),
        stopped(children, counts, Sender(place, SITE, 1), point) as east,
    ):
        until(lambda: journaled(place), what="east's rows are in the journal", every=0.01)
        before = receiver.records()
        Taker(place, WEST, 2)()
        with sealing_on(place.dr, place, WEST), in_thread(Sender(place, WEST, 2).run):
            until(lambda: outcome(place.dr) == at_west, what="its end at west", every=0.01)
            by_then = receiver.records()
            east.go_on()
            # The step that it wakes up in ends, and is written, where nobody reads it any more.
            until(lambda: outcome(place.live), what="its end at east", every=0.01)
    after = receiver.records()
    left_late = {r.what for r in after[len(by_then) :]}
    assert left_late <= {"late"}, "it left east after west had taken over"
    if at_west == "Accepted":
        assert receiver.effects() == {send.key: 1}
    else:
        assert [r for r in after if r.what != "late"] == before, "in doubt, and repeated"
    if point == "outbox.hand_over.before":
        assert left_late == {"late"}, "the guard had held: only the host's own clock refuses it"


@pytest.mark.parametrize(
    "point", ["journal.seal.intended", "journal.seal.putting", "journal.seal.put"]
)
def test_a_sealer_that_wakes_after_a_takeover_adds_nothing_to_the_closed_chain(
    point: str, place: Place, children: Children, counts: Counter[str]
) -> None:
    first_holder(place.store)
    with place.connect() as connection:
        record(connection, some_rows())
        rows = in_ledger(place.live)
        with stopped(children, counts, EastsSealer(place), point) as east:
            Taker(place, WEST, 2)()
            ended = chain(place.store)
            record(connection, some_rows())
            east.go_on()
            assert east.wait() == 0, east.said()
    assert isinstance(ended[-1], Closed)
    assert chain(place.store) == ended
    in_time = point == "journal.seal.put"
    assert sorted(chains_are_whole(place)) == (sorted(rows) if in_time else [])


@pytest.mark.parametrize(
    "point", ["lease.take.put", "lease.take.raised", "lease.take.waiting", "lease.take.before_act"]
)
def test_a_taker_that_wakes_after_another_took_on_does_not_act(
    point: str, place: Place, children: Children, counts: Counter[str]
) -> None:
    first_holder(place.store)
    with stopped(children, counts, Taker(place, WEST, 2), point) as west:
        Taker(place, SITE, 3)()
        west.go_on()
        west.wait()
    late, present = holder(place, WEST, 2), holder(place, SITE, 3)
    assert not late.check()
    assert (late.last.standing, late.guard.may_send()) == (Standing.OVER, 0.0)
    assert present.check()


def test_a_taker_that_wakes_after_another_took_its_epoch_takes_none(
    place: Place, children: Children, counts: Counter[str]
) -> None:
    first_holder(place.store)
    with stopped(children, counts, Taker(place, WEST, 2), "lease.take.before_put") as west:
        Taker(place, SITE, 2)()
        west.go_on()
        assert west.wait() == 1
        assert "EpochTaken" in west.said()
    assert [(one.lease.epoch, one.lease.site) for one in history(place.store, PLAN)] == [
        (1, SITE),
        (2, SITE),
    ]
