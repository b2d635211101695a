"""A tail is put back at the site that acts, row by row, once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.catchup.databases import KINDS, random_rows, tables
from tests.crash.scenario import Place, chains_are_whole
from tests.crash.taking import take_next
from tests.journal.making import PLAN, SITE
from tests.projections.drawing import draw
from tests.reconcile.lost import (
    START,
    WEST,
    fact,
    ids_of,
    lose_east,
    merge_at_west,
    one,
    rebuilt,
    recover_east,
    seal_west,
    write_at_west,
)
from wayfare_engine.clock import new_id, now
from wayfare_engine.ledger import Kind, LedgerRow, StaleEpoch, append_rows, bodies
from wayfare_engine.ledger.fence import raise_epoch
from wayfare_engine.objectstore import ForeignStore, paths
from wayfare_engine.reconcile import (
    NotCaughtUp,
    NotRebuilt,
    TailDamaged,
    entries,
    merge,
    recover,
    stranded,
    summary,
)


def west_rows(count: int, seed: int) -> list[LedgerRow]:
    source = random.Random(seed)
    return [draw(source, KINDS)._replace(id=new_id(), site=WEST, epoch=2) for _ in range(count)]


def the_entries(place: Place, tail: Any) -> Sequence[Any]:
    with psycopg.connect(place.dr, autocommit=True) as west:
        return list(entries(west, place.store, tail))


@pytest.mark.parametrize("seed", range(6))
def test_every_row_is_accounted_for_by_id_and_the_chains_alone_give_the_same(
    place: Place, spare: str, seed: int
) -> None:
    lost = random_rows(120, seed + 100)
    lose_east(place, sealed=random_rows(80, seed), stranded=lost)
    write_at_west(place, *west_rows(80, seed + 200))
    [tail] = recover_east(place)
    done = merge_at_west(place, tail, batch=17)
    assert (done.rows, done.before, done.again) == (120, 0, False)

    told = the_entries(place, tail)
    assert [entry.id for entry in told] == [row.id for row in sorted_as_sealed(lost)]
    assert all(entry.resolution is not None for entry in told)
    with psycopg.connect(place.dr, autocommit=True) as west:
        found = summary(west, place.store, tail)
    assert found.accounted_for
    assert found.rows == sum(found.rules.values()) == 120
    assert sum(done.resolutions.values()) == 120

    seal_west(place)
    chains_are_whole(place)
    assert tables(rebuilt(spare, place)) == tables(place.dr)


def sorted_as_sealed(rows: Sequence[LedgerRow]) -> Sequence[LedgerRow]:
    """All were written in one transaction: the order is that of their ids."""
    return sorted(rows, key=lambda row: row.id)


def test_merging_again_changes_nothing(place: Place) -> None:
    lose_east(place, stranded=random_rows(60, 11))
    [tail] = recover_east(place)
    first = merge_at_west(place, tail)
    before, told = tables(place.dr), the_entries(place, tail)
    second = merge_at_west(place, tail)
    assert (second.rows, second.before, second.again) == (0, 60, True)
    assert second.resolutions == first.resolutions
    assert tables(place.dr) == before
    assert the_entries(place, tail) == told
    assert one(place.dr, "SELECT count(*) FROM wayfare.ledger WHERE kind = 'merge'") == (1,)


def test_a_merge_that_stopped_in_between_ends_as_one_that_did_not(place: Place, spare: str) -> None:
    lose_east(place, sealed=random_rows(30, 5), stranded=random_rows(90, 12))
    [tail] = recover_east(place)

    class Stop(Exception):
        pass

    decided = 0

    def stop(done: int, total: int) -> None:
        nonlocal decided
        decided = done
        if done >= 40:
            raise Stop

    with pytest.raises(Stop):
        merge_at_west(place, tail, batch=20, progress=stop)
    with psycopg.connect(place.dr, autocommit=True) as west:
        half = summary(west, place.store, tail)
    assert 40 <= decided < 90
    assert (half.undecided, half.merged_in, half.accounted_for) == (90 - decided, None, False)
    done = merge_at_west(place, tail, batch=20)
    assert (done.rows, done.before) == (90 - decided, decided)
    interrupted = the_entries(place, tail)

    # The same tail, merged in one go by another database that has the same.
    rebuilt(spare, place)
    with psycopg.connect(spare, autocommit=True) as other:
        raise_epoch(other, 2)
        merge(other, place.store, tail, plan=PLAN, site=WEST, ids=new_id, clock=now)
        assert list(entries(other, place.store, tail)) == interrupted
    assert contents_but_ids(spare) == contents_but_ids(place.dr)


def contents_but_ids(dsn: str) -> Any:
    """All projections, without the ids that a merging row gets by itself."""
    found = tables(dsn)
    del found["wayfare.merged_rows"], found["wayfare.merges"]
    return found


def test_a_journaled_dispatch_that_was_never_shipped_leaves_its_send_its_turn(
    place: Place,
) -> None:
    intent = fact(
        Kind.INTENT,
        bodies.Intent(
            send_key="s1",
            instance="i1",
            journey="j",
            node="n",
            visit=1,
            channel="sms",
            due=START,
        ),
    )
    dispatch = fact(Kind.DISPATCH, bodies.Dispatch(send_key="s1", attempt=1, channel="sms"))
    lose_east(place, sealed=[intent], stranded=[dispatch])
    [tail] = recover_east(place)
    merge_at_west(place, tail)
    assert [e.rule for e in the_entries(place, tail)] == ["dispatch-never-left"]
    assert one(place.dr, "SELECT attempt, outcome FROM wayfare.outbox") == (0, None)
    assert one(place.dr, "SELECT count(*) FROM wayfare.contacts") == (0,)


def test_a_stranded_erasure_erases_at_the_acting_site(place: Place) -> None:
    visit = fact(Kind.EVENT, bodies.Event(customer="ada", name="visit"))
    gone = fact(Kind.ERASURE, bodies.Erasure(customer="ada", reason="asked"))
    lose_east(place, sealed=[visit], stranded=[gone])
    assert one(place.dr, "SELECT count(*) FROM wayfare.event_windows") == (1,)
    [tail] = recover_east(place)
    merge_at_west(place, tail)
    assert one(place.dr, "SELECT count(*) FROM wayfare.event_windows") == (0,)
    assert one(place.dr, "SELECT customer_id FROM wayfare.erased") == ("ada",)


def test_an_opt_out_is_put_back_although_the_customer_has_a_higher_version_here(
    place: Place,
) -> None:
    def said(out: bool, version: int, at: int = 0) -> LedgerRow:
        return fact(
            Kind.OPT_OUT,
            bodies.OptOut(customer="ada", channel="sms", out=out),
            key="ada/sms",
            version=version,
            at=START + timedelta(seconds=at),
        )

    lose_east(place, sealed=[said(False, 1)], stranded=[said(True, 2)])
    write_at_west(place, said(False, 2), said(False, 3))
    [tail] = recover_east(place)
    merge_at_west(place, tail)
    assert one(place.dr, "SELECT out, version, epoch FROM wayfare.opt_outs") == (True, 4, 1)
    [told] = the_entries(place, tail)
    assert (told.resolution, told.rule) == ("applied", "opt-out-stands")
    with psycopg.connect(place.dr, autocommit=True) as west:
        assert list(summary(west, place.store, tail).attention) == ["opt-out-stands"]


def test_an_event_that_its_sender_repeated_here_counts_once(place: Place) -> None:
    event = fact(Kind.EVENT, bodies.Event(customer="ada", name="buy", client_id="order-1"))
    other = fact(Kind.EVENT, bodies.Event(customer="ada", name="buy", client_id="order-2"))
    lose_east(place, stranded=[event, other])
    repeat = event._replace(id=new_id())
    write_at_west(place, repeat)
    with psycopg.connect(place.dr, autocommit=True) as west:
        west.execute(
            "INSERT INTO wayfare.event_repeats (client_id, row_id, at) VALUES ('order-1', %s, %s)",
            (repeat.id, START),
        )
    [tail] = recover_east(place)
    merge_at_west(place, tail)
    assert {e.id: e.rule for e in the_entries(place, tail)} == {
        event.id: "event-repeated",
        other.id: "fact",
    }
    assert one(place.dr, "SELECT sum(events)::int FROM wayfare.event_windows") == (2,)
    # The other's sender may still repeat it, and then it is known here.
    assert one(
        place.dr, "SELECT row_id FROM wayfare.event_repeats WHERE client_id = 'order-2'"
    ) == (other.id,)


def test_a_merged_row_that_was_stranded_itself_is_put_back_under_its_own_origin(
    place: Place, spare: str
) -> None:
    lost = random_rows(25, 21, kinds=(Kind.EVENT, Kind.DECISION))
    lose_east(place, stranded=lost)
    [tail] = recover_east(place)
    merge_at_west(place, tail)  # and west is lost before it seals any of it
    events = tables(place.dr)["wayfare.event_windows"]
    with psycopg.connect(spare, autocommit=True) as third:
        take_next(third, Place(place.live, spare, place.store_url, place.folder))
    with psycopg.connect(place.dr, autocommit=True) as west:
        west.execute("UPDATE wayfare.site_epoch SET highest_seen = 3 WHERE highest_seen < 3")
        found = recover(west, place.store, plan=PLAN, site=WEST)
    wests = [t for t in found if t.manifest.epoch == 2]
    assert [t.manifest.kinds for t in wests] == [{"merge": 1, "merged": 25}]
    with psycopg.connect(spare, autocommit=True) as third:
        done = merge(third, place.store, wests[0], plan=PLAN, site=WEST, ids=new_id, clock=now)
        assert done.rows == 26 + 25
        again = merge(third, place.store, tail, plan=PLAN, site=WEST, ids=new_id, clock=now)
        assert (again.rows, again.before) == (0, 25)
    assert tables(spare)["wayfare.event_windows"] == events
    assert ids_of(lost) == {
        row[0]
        for row in _all(spare, "SELECT origin_id FROM wayfare.merged_rows WHERE kind <> 'merged'")
        if row[0] in ids_of(lost)
    }


def _all(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def test_only_the_site_that_acts_merges(place: Place) -> None:
    lose_east(place, stranded=random_rows(5, 1))
    [tail] = recover_east(place)
    with psycopg.connect(place.live, autocommit=True) as east:
        with pytest.raises(NotRebuilt, match="`wayfare ledger rebuild` first"):
            merge(east, place.store, tail, plan=PLAN, site=SITE, ids=new_id, clock=now)
        east.execute("UPDATE wayfare.recovered_tails SET rebuilt = true")
        east.execute(
            "INSERT INTO wayfare.chain_positions VALUES ('east', 1, 0, '', 2) "
            "ON CONFLICT (site, epoch) DO UPDATE SET closed_by = 2"
        )
        with pytest.raises(StaleEpoch):
            merge(east, place.store, tail, plan=PLAN, site=SITE, ids=new_id, clock=now)
    assert one(place.live, "SELECT count(*) FROM wayfare.merged_rows") == (0,)


def test_the_lost_chain_is_applied_first(place: Place) -> None:
    lose_east(place, stranded=random_rows(5, 1))
    [tail] = recover_east(place)
    with psycopg.connect(place.dr, autocommit=True) as west:
        west.execute("UPDATE wayfare.chain_positions SET closed_by = NULL")
    with pytest.raises(NotCaughtUp, match="journal catch-up"):
        merge_at_west(place, tail)


def test_a_damaged_part_is_found_before_anything_is_written(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stranded, "PART_ROWS", 10)
    lose_east(place, stranded=random_rows(30, 1))
    [tail] = recover_east(place)
    last = paths.stranded_part(SITE, 1, tail.manifest.parts[-1].digest)
    place.store.put(last, (place.store.get(last) or b"")[:-3])
    with pytest.raises(TailDamaged):
        merge_at_west(place, tail)
    assert one(place.dr, "SELECT count(*) FROM wayfare.merged_rows") == (0,)


def test_a_body_of_a_newer_version_is_refused_before_anything_is_written(place: Place) -> None:
    newer = fact(Kind.EVENT, bodies.Event(customer="ada", name="x"))
    newer = newer._replace(body=newer.body[:-1] + ',"v":99}')
    fine = random_rows(8, 1)
    lose_east(place, stranded=[])
    with psycopg.connect(place.live, autocommit=True) as east:
        append_rows(east, [*fine, newer])
    [tail] = recover_east(place)
    with pytest.raises(bodies.NewerBody):
        merge_at_west(place, tail)
    assert one(place.dr, "SELECT count(*) FROM wayfare.merged_rows") == (0,)


def test_another_plans_store_is_refused(place: Place) -> None:
    lose_east(place, stranded=random_rows(2, 1))
    [tail] = recover_east(place)
    with pytest.raises(ForeignStore):
        merge_at_west(place, tail, plan="somebody-elses")
