"""The whole way back: recover, rebuild, merge, and both sites have the same."""

from __future__ import annotations

import random

import psycopg
import pytest

from tests.catchup.databases import KINDS, random_rows, tables
from tests.crash.scenario import Place
from tests.journal.making import PLAN, SITE
from tests.projections.drawing import draw
from tests.reconcile.lost import (
    WEST,
    lose_east,
    merge_at_west,
    one,
    recover_east,
    seal_west,
    write_at_west,
)
from wayfare_engine.clock import new_id, now
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.problems import StrandedHere
from wayfare_engine.journal.rebuilding import rebuild
from wayfare_engine.journal.rebuilding_problems import RowsUnsealed
from wayfare_engine.lease.take_epoch import next_epoch
from wayfare_engine.ledger.fence import site_epoch


def rebuild_east(place: Place) -> int:
    """The rows that were given up, because they are in the store."""
    return rebuild(place.live, place.store, plan=PLAN, site=SITE, clock=now).discarded


def test_a_database_with_a_stranded_tail_does_not_catch_up_as_if_it_had_none(
    place: Place,
) -> None:
    lose_east(place, sealed=random_rows(20, 1), stranded=random_rows(30, 2))
    with pytest.raises(StrandedHere, match=r"30 rows of east, epoch 1.*reconcile recover"):
        catch_up(place.live, place.store, plan=PLAN)
    with pytest.raises(RowsUnsealed, match="`wayfare reconcile recover`"):
        rebuild_east(place)


@pytest.mark.parametrize("seed", range(3))
def test_after_recovering_rebuilding_and_merging_both_sites_are_equal(
    place: Place, seed: int
) -> None:
    lose_east(place, sealed=random_rows(60, seed), stranded=random_rows(90, seed + 50))
    source = random.Random(seed)
    rows = [draw(source, KINDS)._replace(id=new_id(), site=WEST, epoch=2) for _ in range(60)]
    write_at_west(place, *rows)

    [tail] = recover_east(place)
    assert rebuild_east(place) == 0, "nothing is given up: the tail is in the store"
    catch_up(place.live, place.store, plan=PLAN)
    merge_at_west(place, tail)
    seal_west(place)
    catch_up(place.live, place.store, plan=PLAN)

    assert tables(place.live) == tables(place.dr)
    assert one(place.live, "SELECT count(*) FROM wayfare.merged_rows")[0] >= 90
    # Recovering again after all that finds the same tail, and nothing has to be rebuilt.
    assert recover_east(place) == [tail]
    assert rebuild_east(place) == 0
    with psycopg.connect(place.live, autocommit=True) as east:
        assert not site_epoch(east).held


def test_a_site_that_came_back_may_act_again(place: Place) -> None:
    lose_east(place, sealed=random_rows(20, 1), stranded=random_rows(30, 2))
    [tail] = recover_east(place)
    rebuild_east(place)
    merge_at_west(place, tail)
    seal_west(place)
    catch_up(place.live, place.store, plan=PLAN)
    with psycopg.connect(place.live, autocommit=True) as east:
        assert next_epoch(east, place.store, PLAN) == 3
