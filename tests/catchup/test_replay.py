"""What is rebuilt from the journal is what the site had, row for row."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest

from tests.catchup.databases import (
    put_chain,
    random_rows,
    scalar,
    tables,
    write_and_seal,
    write_live,
)
from tests.journal.making import PLAN, SITE, put_format, reframed, seal_all
from tests.servers.faultstore import Cut, running_faults
from tests.servers.objects import running_objects
from tests.servers.wait import until
from wayfare_engine.clock import now
from wayfare_engine.journal.catch_up import CatchUp, CatchUpReport, catch_up
from wayfare_engine.journal.closing import close_chain
from wayfare_engine.journal.positions import AlreadyRunning
from wayfare_engine.journal.problems import ChainProblem, NewerFormat
from wayfare_engine.ledger import Kind
from wayfare_engine.ledger.fence import raise_epoch
from wayfare_engine.objectstore import (
    ForeignStore,
    ObjectStore,
    StoreUnavailable,
    open_store,
    paths,
)
from wayfare_engine.objectstore.marker import claim

CHAIN = (SITE, 1)


@pytest.mark.parametrize("seed", range(3))
def test_a_replay_gives_what_the_site_has(
    live: str, dr: str, store: ObjectStore, seed: int
) -> None:
    write_and_seal(live, store, random_rows(400, seed), segments=6)
    report = catch_up(dr, store, plan=PLAN)
    assert tables(dr) == tables(live)
    assert report.total == 400
    assert report.watermark == {CHAIN: 400}
    assert report.remaining == 0


def test_again_applies_nothing(live: str, dr: str, store: ObjectStore) -> None:
    write_and_seal(live, store, random_rows(100, 1))
    catch_up(dr, store, plan=PLAN)
    again = catch_up(dr, store, plan=PLAN)
    assert again.total == 0
    assert again.watermark == {CHAIN: 100}
    assert tables(dr) == tables(live)


def test_in_parts_gives_the_same(live: str, dr: str, store: ObjectStore) -> None:
    write_and_seal(live, store, random_rows(300, 2), segments=9)
    reached = []
    for upto in range(0, 330, 30):
        report = catch_up(dr, store, plan=PLAN, upto={CHAIN: upto})
        reached.append(report.watermark.get(CHAIN, 0))
        assert report.remaining == 300 - reached[-1]
    assert reached == sorted(reached)
    assert len(set(reached)) > 5
    assert tables(dr) == tables(live)


def test_chains_of_several_sites_and_epochs(dr: str, live: str, store: ObjectStore) -> None:
    claim(store, PLAN)
    rows = {(site, epoch): random_rows(90, epoch) for site, epoch in (("a", 3), ("b", 2), ("a", 1))}
    for (site, epoch), some in rows.items():
        put_chain(store, [some[:30], some[30:80], some[80:]], site=site, epoch=epoch)
    report = catch_up(dr, store, plan=PLAN)
    assert report.watermark == dict.fromkeys(rows, 90)
    assert scalar(dr, "SELECT highest_seen FROM wayfare.site_epoch") == 3
    one_by_one = {}
    for chain in sorted(rows):
        catch_up(live, store, plan=PLAN, upto={chain: 90})
        one_by_one[chain] = 90
    assert tables(live) == tables(dr), "in whatever order the chains came"


def test_a_closed_chain_ends_there(live: str, dr: str, store: ObjectStore) -> None:
    write_and_seal(live, store, random_rows(50, 1))
    close_chain(store, *CHAIN, plan=PLAN, by=2, clock=now)
    report = catch_up(dr, store, plan=PLAN)
    assert report.closed == {CHAIN: 2}
    assert report.watermark == {CHAIN: 50}
    assert catch_up(dr, store, plan=PLAN).closed == {CHAIN: 2}
    assert tables(dr) == tables(live)


def test_a_chain_that_was_closed_empty(dr: str, store: ObjectStore) -> None:
    claim(store, PLAN)
    close_chain(store, "west", 1, plan=PLAN, by=2, clock=now)
    report = catch_up(dr, store, plan=PLAN)
    assert (report.watermark, report.closed) == ({("west", 1): 0}, {("west", 1): 2})


def test_what_this_database_sealed_is_not_applied_again(live: str, store: ObjectStore) -> None:
    write_and_seal(live, store, random_rows(60, 1))
    before = tables(live)
    # A sealer that died after its put: the intent stands, its mark does not.
    with psycopg.connect(live, autocommit=True) as connection:
        connection.execute("DELETE FROM wayfare.chain_positions")
        connection.execute("UPDATE wayfare.seal_intents SET sealed_at = NULL, object_digest = NULL")
    report = catch_up(live, store, plan=PLAN)
    assert (report.total, report.left_out) == (0, 60)
    assert report.watermark == {CHAIN: 60}
    assert tables(live) == before


def test_two_at_once_exclude_each_other(live: str, dr: str, store: ObjectStore) -> None:
    write_and_seal(live, store, random_rows(20, 1))
    with CatchUp.opened(dr, store, plan=PLAN) as first:
        pid = first.connection.info.backend_pid
        with pytest.raises(AlreadyRunning, match=f"session {pid}, wayfare-catch-up"):
            catch_up(dr, store, plan=PLAN)
        first.once()
    catch_up(dr, store, plan=PLAN)
    assert tables(dr) == tables(live)


def test_a_newer_format_anywhere_is_refused_before_anything_is_applied(
    dr: str, store: ObjectStore
) -> None:
    claim(store, PLAN)
    put_chain(store, [random_rows(30, 1)], site="a", epoch=1)
    last = put_chain(store, [random_rows(30, 2)], site="b", epoch=2)
    store.put(paths.segment("b", 2, last + 1), reframed(put_format(2)))
    with pytest.raises(NewerFormat, match="upgrade this site first, nothing was applied"):
        catch_up(dr, store, plan=PLAN)
    assert scalar(dr, "SELECT count(*) FROM wayfare.chain_positions") == 0
    assert not any(rows for rows in tables(dr).values())


def test_another_plans_store_is_refused(dr: str, store: ObjectStore) -> None:
    claim(store, "wholesale")
    with pytest.raises(ForeignStore, match="belongs to plan 'wholesale'"):
        catch_up(dr, store, plan=PLAN)


def test_damage_is_named_and_what_came_before_it_stays(
    live: str, dr: str, store: ObjectStore, tmp_path: Path
) -> None:
    write_and_seal(live, store, random_rows(200, 3), segments=8)
    objects = [m.path for m in store.list(paths.chain(*CHAIN))]
    path = objects[5]
    good = store.get(path)
    assert good is not None
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 4
    store.put(path, bytes(flipped))
    with pytest.raises(ChainProblem, match=path) as problem:
        catch_up(dr, store, plan=PLAN)
    assert problem.value.problem == ChainProblem.DAMAGED
    store.delete(path)
    with pytest.raises(ChainProblem, match=objects[6]) as problem:
        catch_up(dr, store, plan=PLAN)
    assert problem.value.problem == ChainProblem.MISSING
    store.put(path, good)
    catch_up(dr, store, plan=PLAN)
    assert tables(dr) == tables(live)


def test_a_forked_tail_is_refused(dr: str, store: ObjectStore) -> None:
    claim(store, PLAN)
    put_chain(store, [random_rows(10, 1)], site="a", epoch=1)
    catch_up(dr, store, plan=PLAN)
    store.delete(paths.segment("a", 1, 1))
    put_chain(store, [random_rows(10, 2), random_rows(5, 3)], site="a", epoch=1)
    with pytest.raises(ChainProblem) as problem:
        catch_up(dr, store, plan=PLAN)
    assert problem.value.problem == ChainProblem.FORKED


def test_erased_customers_are_skipped_and_counted(live: str, dr: str, store: ObjectStore) -> None:
    rows = random_rows(80, 5, kinds=(Kind.EVENT, Kind.OPT_OUT))
    erased = rows[0].customer_id
    gone = random_rows(1, 6, kinds=(Kind.ERASURE,))[0]
    body = f'{{"customer":"{erased}"}}'
    rows.append(gone._replace(customer_id=erased, body=body))
    write_and_seal(live, store, rows, segments=1)
    report = catch_up(dr, store, plan=PLAN)
    assert report.facts()["skipped"]["erased"] == sum(r.customer_id == erased for r in rows)
    assert tables(dr) == tables(live)


def test_a_store_that_goes_away_is_gone_on_from(live: str, dr: str) -> None:
    with running_objects() as objects, running_faults(objects) as faults:
        url = objects.url()
        direct = open_store(url, options=objects.options)
        write_and_seal(live, direct, random_rows(200, 7), segments=10)
        store = open_store(url, options=faults.options("dr"), retries=0, timeout_seconds=2)
        # The sixth segment's object is cut off in its middle; what waits before it was applied.
        sixth = [m.path for m in direct.list(paths.chain(*CHAIN))][5]
        faults.rule("dr", Cut(middle=True), methods="GET", path=sixth)
        with pytest.raises(StoreUnavailable):
            catch_up(dr, store, plan=PLAN)
        faults.heal()
        catch_up(dr, store, plan=PLAN)
    assert tables(dr) == tables(live)


def test_following_applies_what_arrives(live: str, dr: str, store: ObjectStore) -> None:
    claim(store, PLAN)
    told: list[CatchUpReport] = []
    stop = threading.Event()

    def follow() -> None:
        with CatchUp.opened(dr, store, plan=PLAN) as session:
            session.follow(stop, seconds=0.02, told=told.append)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        for part in range(3):
            write_live(live, random_rows(30, part))
            seal_all(live, store)
            wanted = 30 * (part + 1)
            until(
                lambda w=wanted: told and told[-1].watermark.get(CHAIN) == w,  # type: ignore[misc]
                what=f"{wanted} rows are applied",
            )
        with psycopg.connect(live, autocommit=True) as connection:
            raise_epoch(connection, 2)
        write_live(live, random_rows(10, 9, epoch=2))
        seal_all(live, store)
        until(lambda: told[-1].watermark.get((SITE, 2)) == 10, what="the next epoch's chain too")
    finally:
        stop.set()
        thread.join()
    assert tables(dr) == tables(live)
