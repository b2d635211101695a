"""What a returned site has that is in no segment of its closed chains."""

from __future__ import annotations

import psycopg
import pytest

from tests.catchup.databases import random_rows
from tests.crash.scenario import Place, in_chains, in_ledger
from tests.crash.taking import first_holder
from tests.journal.making import PLAN, SITE, seal_all
from tests.reconcile.lost import fact, lose_east, recover_east
from wayfare_engine.clock import now
from wayfare_engine.facts import record
from wayfare_engine.journal.closing import close_chain
from wayfare_engine.lease.epochs import take
from wayfare_engine.ledger import Kind, LedgerRow, StaleEpoch
from wayfare_engine.ledger.append import COPY_SPOOLED, TYPES
from wayfare_engine.ledger.bodies import Event
from wayfare_engine.objectstore import ForeignStore, paths
from wayfare_engine.reconcile import ChainOpen, TailDamaged, recover, stranded, tails
from wayfare_engine.reconcile.tail import rows as rows_of


def event(name: str = "visit") -> LedgerRow:
    return fact(Kind.EVENT, Event(customer="ada", name=name))


def test_the_tail_is_what_the_ledger_has_and_the_closed_chain_has_not(place: Place) -> None:
    lose_east(place, sealed=random_rows(60, 1), stranded=random_rows(40, 2))
    [tail] = recover_east(place)
    found = {row.id for some in rows_of(place.store, tail) for row in some}
    assert {str(i) for i in found} == set(in_ledger(place.live)) - set(in_chains(place.store))
    assert tail.manifest.rows == len(found) == 40
    assert (tail.manifest.closed_by, tail.manifest.at_seq) == (2, 60)
    assert tails(place.store) == [tail]


def test_recovering_again_gives_the_same_tail(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stranded, "PART_ROWS", 7)
    lose_east(place, sealed=[event()], stranded=random_rows(40, 3))
    first = recover_east(place)
    objects = [entry.path for entry in place.store.list(paths.STRANDED)]
    assert len(objects) == 7, "six parts and a manifest"
    assert recover_east(place) == first
    assert [entry.path for entry in place.store.list(paths.STRANDED)] == objects


def test_nothing_stranded_is_a_tail_without_rows(place: Place) -> None:
    lose_east(place, sealed=[event()])
    [tail] = recover_east(place)
    assert tail.manifest.rows == 0
    assert list(rows_of(place.store, tail)) == []


def test_what_the_site_noted_about_sealing_is_not_asked(place: Place) -> None:
    lose_east(place, sealed=[event()], stranded=[event(), event()])
    with psycopg.connect(place.live, autocommit=True) as east:
        east.execute("TRUNCATE wayfare.seal_intents, wayfare.sealed_epochs")
    [tail] = recover_east(place)
    assert tail.manifest.rows == 2


def test_from_then_on_nobody_writes_under_the_lost_epoch(place: Place) -> None:
    lose_east(place, stranded=[event()])
    with psycopg.connect(place.live, autocommit=True) as east:
        record(east, [event()])  # it does not know yet that it was replaced
        [tail] = recover(east, place.store, plan=PLAN, site=SITE)
        assert tail.manifest.rows == 2
        with pytest.raises(StaleEpoch, match="another site holds"):
            record(east, [event()])


def test_rows_that_were_answered_for_afterwards_are_in_it(place: Place) -> None:
    lose_east(place, stranded=[event()])
    late = event("late")
    with (
        psycopg.connect(place.live, autocommit=True) as east,
        east.cursor().copy(COPY_SPOOLED.encode()) as copy,
    ):
        copy.set_types(TYPES)
        copy.write_row(late)
    [tail] = recover_east(place)
    assert tail.facts()["spooled"] == 1
    assert [row.id for some in rows_of(place.store, tail) for row in some][-1] == late.id


def test_a_site_that_still_acts_has_no_tail(place: Place) -> None:
    first_holder(place.store)
    with psycopg.connect(place.live, autocommit=True) as east:
        record(east, [event()])
        seal_all(place.live, place.store)
        record(east, [event()])
        assert recover(east, place.store, plan=PLAN, site=SITE) == []
        record(east, [event()])


def test_a_chain_that_nobody_closed_yet_is_not_called_stranded(place: Place) -> None:
    first_holder(place.store)
    with psycopg.connect(place.live, autocommit=True) as east:
        record(east, [event()])
        seal_all(place.live, place.store)
        take(place.store, plan=PLAN, site="west", epoch=2, nonce="w", reason="r", at=now())
        with pytest.raises(ChainOpen, match="is not closed, although epoch 2 was taken"):
            recover(east, place.store, plan=PLAN, site=SITE)
        close_chain(place.store, SITE, 1, plan=PLAN, by=2, clock=now)
        assert [t.manifest.rows for t in recover(east, place.store, plan=PLAN, site=SITE)] == [0]


def test_another_plans_store_is_refused(place: Place) -> None:
    lose_east(place, stranded=[event()])
    with psycopg.connect(place.live, autocommit=True) as east, pytest.raises(ForeignStore):
        recover(east, place.store, plan="somebody-elses", site=SITE)


@pytest.mark.parametrize("harm", ["flipped", "gone", "manifest"])
def test_a_damaged_tail_is_named(place: Place, harm: str) -> None:
    lose_east(place, stranded=random_rows(5, 4))
    [tail] = recover_east(place)
    part = paths.stranded_part(SITE, 1, tail.manifest.parts[0].digest)
    manifest = paths.stranded_manifest(SITE, 1, tail.digest)
    path = manifest if harm == "manifest" else part
    data = bytearray(place.store.get(path) or b"")
    data[len(data) // 2] ^= 1
    place.store.delete(path) if harm == "gone" else place.store.put(path, bytes(data))
    with pytest.raises(TailDamaged, match=path):
        [list(rows_of(place.store, found)) for found in tails(place.store)]
