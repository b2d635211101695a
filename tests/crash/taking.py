"""A site that takes one epoch after the other, and the chains that end with each of them."""

from __future__ import annotations

import uuid
from typing import ClassVar

import psycopg
import pytest

from tests.crash.scenario import (
    Place,
    Scenario,
    chains_are_whole,
    equal_to_a_rebuild,
    flat,
    in_chains,
    in_ledger,
    seal,
    write,
)
from tests.crash.sealing import some_rows
from tests.journal.making import PLAN, SITE, chain, sealing
from tests.lease.clocks import Boottime
from wayfare_engine.clock import now
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.problems import EpochOver
from wayfare_engine.journal.segment import Closed
from wayfare_engine.lease import Quiesced, Standing, TakeEpoch, Terms
from wayfare_engine.lease.epochs import history, put_acting, read, take
from wayfare_engine.lease.holder import Holder
from wayfare_engine.lease.take_epoch import next_epoch
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.objectstore.marker import claim

WEST = "west"
TERMS = Terms(ttl=0.9, clock_error=0.001, hand_over=0.3)


class Taking(Scenario):
    """East is lost with rows that it never sealed; west takes over, and then takes on and on."""

    points: ClassVar = dict.fromkeys(
        (
            "lease.take.before_remember",
            "lease.take.remembered",
            "lease.take.before_put",
            "lease.take.put",
            "lease.take.before_close",
            "lease.take.closed_one",
            "journal.close.before",
            "journal.close.put",
            "lease.take.before_raise",
            "lease.take.raised",
            "lease.take.waiting",
            "lease.take.waited",
            "lease.take.before_act",
            "lease.take.acting",
        ),
        (1, 1, 2, 3, 1, 2),
    )

    def prepare(self) -> None:
        first_holder(self.place.store)
        with self.place.connect() as connection, sealing(self.place.live, self.place.store) as own:
            seal(own, connection, write(connection, some_rows(), self.said))
            self.said("journaled", in_ledger(self.place.live))
            write(connection, some_rows(), self.said)

    def run(self, rounds: int) -> None:
        dr, store = self.place.dr, self.place.store
        with psycopg.connect(dr, autocommit=True) as connection:
            begun = read(store, PLAN, next_epoch(connection, store, PLAN)) is not None
            for _ in range(rounds + begun):
                epoch = take_next(connection, self.place)
                rows = [row._replace(site=WEST, epoch=epoch) for row in some_rows()]
                tx = write(connection, rows, self.said)
                with sealing(dr, store, site=WEST) as own:
                    seal(own, connection, tx)
                self.said("journaled", [str(row.id) for row in rows])

    def killed(self) -> None:
        sealed = set(in_chains(self.place.store))
        assert flat(self.said.all("journaled")) <= sealed, "journaled, and not in the store"

    def check(self) -> None:
        self.killed()
        store = self.place.store
        ids = set(chains_are_whole(self.place))
        kept = ids | set(in_ledger(self.place.live)) | set(in_ledger(self.place.dr))
        assert flat(self.said.all("committed")) <= kept, "committed, and nowhere"
        held = history(store, PLAN)
        assert [one.lease.epoch for one in held] == list(range(1, len(held) + 1))
        assert [one.lease.site for one in held] == [SITE] + [WEST] * (len(held) - 1)
        for one in held[:-1]:
            end = chain(store, one.lease.epoch, one.lease.site)[-1]
            assert isinstance(end, Closed), f"the chain of epoch {one.lease.epoch} is open"
        assert held[-1].acting_since is not None
        with psycopg.connect(self.place.dr, autocommit=True) as connection:
            assert site_epoch(connection).epoch == len(held)
            taken = connection.execute(
                "SELECT epoch, nonce FROM wayfare.epochs_taken WHERE plan = %s", (PLAN,)
            ).fetchall()
        nonces = {one.lease.epoch: one.lease.nonce for one in held[1:]}
        assert nonces.items() <= dict(taken).items(), "an epoch that this taker did not take"
        # East comes back: what it had not sealed is stranded, and its chain ends where it ended.
        ended = chain(store, 1, SITE)
        with sealing(self.place.live, store) as own, pytest.raises(EpochOver):
            own.seal_once()
        assert chain(store, 1, SITE) == ended
        east = Holder(store, plan=PLAN, site=SITE, epoch=1, ttl=60)
        assert not east.check()
        assert east.last.standing is Standing.OVER
        equal_to_a_rebuild(
            Place(self.place.dr, self.place.live, self.place.store_url, self.place.folder)
        )


def first_holder(store: ObjectStore) -> None:
    """East has epoch 1 and may act."""
    claim(store, PLAN)
    found = take(store, plan=PLAN, site=SITE, epoch=1, nonce="east-1", reason="first", at=now())
    put_acting(store, found.lease, at=now())


def take_next(connection: psycopg.Connection[object], place: Place) -> int:
    """West takes the next epoch, or goes on with the one that it began; the epoch. The
    clock goes on only while it waits, so that it always has to."""
    clock = Boottime()
    taking = TakeEpoch(
        connection,
        place.store,
        plan=PLAN,
        site=WEST,
        epoch=next_epoch(connection, place.store, PLAN),
        reason="a test",
        terms=TERMS,
        now=now,
        new_nonce=lambda: uuid.uuid4().hex,
        sleep=clock.sleep,
        boottime=clock,
        grounds=Quiesced(),
    )
    taking.take()
    catch_up(place.dr, place.store, plan=PLAN)
    taking.wait()
    taking.act()
    return taking.epoch
