"""A site that is lost again and again with rows that it never shipped; each tail is put back."""

from __future__ import annotations

from typing import ClassVar

import psycopg

from tests.catchup.databases import tables
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
from tests.crash.taking import WEST, first_holder, take_next
from tests.journal.making import PLAN, SITE, sealing
from tests.servers.emptying import empty
from wayfare_engine.clock import new_id, now
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.ledger import Kind, LedgerRow
from wayfare_engine.ledger.bodies import decode
from wayfare_engine.reconcile import entries, merge, recover, stranded, summary, tails


class Reconciling(Scenario):
    """East was lost with a tail; west recovers it from east's disk and merges it, as one process.

    Every further kill finds a tail that is partly in the store, or partly merged.
    """

    points: ClassVar = {
        "reconcile.recover.fenced": (1,),
        "reconcile.recover.part": (1, 2, 3, 2),
        "reconcile.recover.manifest": (1, 1, 1),
        "reconcile.recover.noted": (1, 1, 1),
        "reconcile.merge.deciding": (1, 2, 3, 5),
        "reconcile.merge.decided": (1, 2, 3, 4),
        "reconcile.merge.committed": (1, 2, 3, 2),
        "reconcile.merge.ended": (1, 1),
    }

    def prepare(self) -> None:
        first_holder(self.place.store)
        with self.place.connect() as east, sealing(self.place.live, self.place.store) as own:
            seal(own, east, write(east, some_rows(), self.said))
            for _ in range(40):
                write(east, some_rows(), self.said)
        with psycopg.connect(self.place.dr, autocommit=True) as west:
            take_next(west, self.place)

    def run(self, rounds: int) -> None:
        stranded.PART_ROWS = 25
        place = self.place
        with place.connect() as east:
            [tail] = recover(east, place.store, plan=PLAN, site=SITE)
        with psycopg.connect(place.dr, autocommit=True) as west:
            merge(
                west,
                place.store,
                tail,
                plan=PLAN,
                site=WEST,
                ids=new_id,
                clock=now,
                batch=7,
            )
            with sealing(place.dr, place.store, site=WEST) as own:
                seal(own, west, write(west, _at_west(), self.said))

    def check(self) -> None:
        place = self.place
        chains_are_whole(place)
        lost = set(in_ledger(place.live)) - set(in_chains(place.store))
        [tail] = tails(place.store)
        with psycopg.connect(place.dr, autocommit=True) as west:
            told = {str(entry.id): entry.resolution for entry in entries(west, place.store, tail)}
            assert set(told) == lost, "a stranded row is not accounted for"
            assert summary(west, place.store, tail).accounted_for
            found = west.execute("SELECT body::text FROM wayfare.ledger WHERE kind = 'merged'")
            origins = [decode(Kind.MERGED, body).origin_id for (body,) in found]
            assert sorted(origins) == sorted(lost), "a stranded row was put back twice"
            ends = west.execute(
                "SELECT count(*) FROM wayfare.ledger WHERE kind = 'merge' AND body->>'digest' = %s",
                (tail.digest,),
            )
            assert ends.fetchone() == (1,), "the end of the merge is told once"
        kept = set(in_chains(place.store)) | lost
        assert flat(self.said.all("committed")) <= kept
        # East's projections are made from the chains again, and the site follows.
        merged = tables(place.dr)
        empty(place.live)
        catch_up(place.live, place.store, plan=PLAN)
        assert tables(place.live) == merged
        equal_to_a_rebuild(Place(place.dr, place.live, place.store_url, place.folder))


def _at_west() -> list[LedgerRow]:
    return [row._replace(site=WEST, epoch=2) for row in some_rows()]
