"""What a site does that holds its epoch, loses it, gets it, or never had it: two with real pods."""

from __future__ import annotations

import httpx
import psycopg

from tests.engine.plans import bank_plan
from tests.servers import epochs
from tests.standing.conftest import PLAN, TERMS, Site, Sites, traffic, until
from wayfare_engine.clock import now
from wayfare_engine.customers import applying
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.journal.chain import chains
from wayfare_engine.journal.rebuilding import rebuild
from wayfare_engine.journal.snapshots import snapshots
from wayfare_engine.lease import history
from wayfare_engine.lease.beats import read_beat
from wayfare_engine.reconcile.stranded import recover

_PRIMARY = {"WAYFARE_LEASE_TAKE_FIRST": "true"}
_STAND = "SELECT epoch, held, own, state FROM wayfare.site_epoch"
_LEDGER = "SELECT count(*) FROM wayfare.ledger"
_SPOOL = "SELECT count(*) FROM wayfare.spooled_rows"


def decided(site: Site) -> list[str]:
    """Ids of decisions in the ledger or put aside, however often they are there."""
    found = site.ask(
        "SELECT id::text FROM wayfare.ledger WHERE kind = 'decision' UNION ALL "
        "SELECT id::text FROM wayfare.spooled_rows WHERE kind = 'decision'"
    )
    return [row_id for (row_id,) in found]


def test_a_site_that_took_no_epoch_holds_none_and_writes_nothing(sites: Sites) -> None:
    west = sites.west.start()
    west.publish()
    told = west.is_active(False, reason="NotHeld")
    assert (told["site"], told["epoch"], told["sends"]) == ("west", 1, "held")
    assert west.ask(_STAND) == [(1, False, 0, "Normal")]
    sites.act_in_east().event(1)
    # It follows: customers, plan and memberships are the acting site's.
    until(lambda: west.get("/readyz").status_code == 200, what="west has a plan and customers")
    assert west.is_active(False, holder="east")["why"].startswith("site east holds epoch 1")
    refused = west.decide()
    assert refused.status_code == 503
    assert refused.json()["type"] == "urn:wayfare:problem:not-acting"
    refused = west.event(1)
    assert refused.status_code == 503, refused.text
    assert "does not hold the right to act" in refused.text
    until(
        lambda: west.ask("SELECT count(*) FROM wayfare.segment_memberships")[0][0] == 2,
        what="east's memberships came",
    )
    # The decisions came as history or not at all: nothing of the ledger here is of west.
    assert west.ask("SELECT count(*) FROM wayfare.ledger WHERE site = 'west'") == [(0,)]
    assert west.ask(_SPOOL) == [(0,)]
    assert west.ask("SELECT count(*) FROM wayfare.seal_intents") == [(0,)]
    assert list(chains(sites.store)) == [("east", 1)]
    assert read_beat(sites.store, PLAN, "west") is None
    assert west.metric("wayfare_site_holds_epoch") == 0
    assert west.standing()["follow"]["problem"] is None


def test_a_standby_follows_and_snapshots_what_it_applied(sites: Sites) -> None:
    sites.act_in_east(WAYFARE_CHECKPOINT_SECONDS="2", WAYFARE_CHECKPOINT_KEEP="1")
    east, west = sites.east, sites.west
    west.start(WAYFARE_SNAPSHOT_SECONDS="1", WAYFARE_SNAPSHOT_KEEP="2")
    until(lambda: east.metric("wayfare_kept_total", what="checkpoint") >= 2, what="checkpoints")
    assert west.metric("wayfare_kept_total", what="checkpoint") == 0
    for number in range(20):
        assert east.event(number).status_code == 200

    def applied() -> bool:
        (sealed,) = east.ask(
            "SELECT max(last) FROM wayfare.seal_intents WHERE sealed_at IS NOT NULL"
        )
        found = west.ask("SELECT seq FROM wayfare.chain_positions WHERE site = 'east'")
        return bool(found) and found[0] >= sealed

    until(applied, what="all is applied")
    until(lambda: west.metric("wayfare_standby_lag_rows") == 0, what="the lag is told")
    assert west.metric("wayfare_standby_following") == 1
    assert west.metric("wayfare_standby_position", site="east", epoch="1") > 20
    until(lambda: west.metric("wayfare_kept_total", what="snapshot") >= 3, what="snapshots")
    assert east.metric("wayfare_kept_total", what="snapshot") == 0
    kept = [one for one in snapshots(sites.store) if one.manifest is not None]
    assert 1 <= len(kept) <= 3, "old ones are removed"
    until(lambda: east.metric("wayfare_kept_total", what="checkpoint") >= 4, what="checkpoints")
    assert 1 <= len(list(sites.store.list("digests/checkpoint/east/"))) <= 2, "old ones are removed"

    # The store is gone: the lag grows, and is worked off afterwards.
    sites.faults.partition("west", how="refused")
    until(lambda: west.metric("wayfare_standby_problem") == 1, what="the problem is told")
    east.event(100)
    until(lambda: west.metric("wayfare_standby_lag_seconds") > 1, what="the lag is told")
    sites.faults.heal()
    until(lambda: west.metric("wayfare_standby_problem") == 0, what="it goes on")
    until(lambda: west.metric("wayfare_standby_lag_seconds") < 1, what="the lag is over")


def test_a_command_has_its_turn_beside_a_worker_that_follows(sites: Sites) -> None:
    sites.act_in_east()
    sites.west.start()
    until(lambda: sites.west.metric("wayfare_standby_rows_total") > 0, what="it follows")
    for _ in range(3):
        done = sites.west.processes.run("journal", "catch-up", "--json")
        assert done.returncode == 0, done.stderr.decode()


def test_an_epoch_that_another_site_takes_under_traffic(sites: Sites) -> None:
    east, west = sites.east, sites.west
    sites.act_in_east()
    west.start().publish()
    until(lambda: west.get("/readyz").status_code == 200, what="west follows")
    with traffic(east) as answers:
        until(lambda: len(answers) > 50, what="traffic")
        epochs.take(west.dsn, sites.store, plan=PLAN, site="west", epoch=2, terms=TERMS)
        until(lambda: east.ask(_STAND) == [(2, False, 1, "Normal")], what="east has heard of it")
        written = east.ask(_LEDGER)
        told = east.is_active(False, holder="west")
        assert told["sends"] == "held"
        spooled = east.ask(_SPOOL)[0][0]
        until(lambda: east.ask(_SPOOL)[0][0] > spooled + 20, what="answers go on, put aside")
        # Without a restart, the pods of the taker write under the epoch that it took.
        west.is_active(sends="open")
        assert west.activez()[1]["epoch"] == 2
        at_west = [west.decide() for _ in range(20)]
        assert east.ask(_LEDGER) == written, (
            "nothing is written under the old epoch after the raise"
        )
    assert {status for status, _ in answers} == {200}, "inline answers did not stop"
    assert "epoch" in east.decide().json()["degraded"]
    until(lambda: sorted(decided(east))[:1] and set(decided(east)) >= {i for _, i in answers})
    everywhere = decided(east)
    assert len(everywhere) == len(set(everywhere)), "each is in one place"
    assert east.ask("SELECT DISTINCT epoch FROM wayfare.ledger") == [(1,)]
    assert east.ask("SELECT DISTINCT site, epoch FROM wayfare.spooled_rows") == [("east", 1)]
    ids = {answer.json()["decision_id"] for answer in at_west}
    until(lambda: ids <= set(decided(west)), what="west wrote")
    assert west.ask(
        "SELECT DISTINCT epoch FROM wayfare.ledger WHERE site = 'west' AND kind = 'decision'"
    ) == [(2,)]
    assert west.event(1).status_code == 200
    assert east.event(2).status_code == 503
    until(lambda: ("west", 2) in set(chains(sites.store)), what="west seals its own chain")
    # Memberships are computed under the new epoch too.
    refreshed = "SELECT max(epoch) FROM wayfare.segment_memberships"
    west.publish(bank_plan(savers="customer.age >= 65"))
    until(lambda: west.ask(refreshed) == [(2,)], what="memberships under the new epoch")
    # Everything of east that is in no segment is found again, what was put aside too.
    with psycopg.connect(east.dsn, autocommit=True) as connection:
        (tail,) = recover(connection, sites.store, plan=PLAN, site="east")
    assert tail.manifest.rows >= east.ask(_SPOOL)[0][0]
    beat = read_beat(sites.store, PLAN, "west")
    assert beat is not None
    assert beat.epoch == 2
    # What it wrote and did not seal is in its tables: once they are made again, east follows west.
    applying.register()
    rebuild(east.dsn, sites.store, plan=PLAN, site="east", clock=now)
    until(
        lambda: (
            east.ask("SELECT count(*) FROM wayfare.chain_positions WHERE site = 'west'") == [(1,)]
        ),
        what="east follows",
    )
    assert [held.lease.site for held in history(sites.store, PLAN)] == ["east", "west"]


def test_a_store_that_is_away_holds_sends_and_nothing_else(sites: Sites) -> None:
    east = sites.east
    sites.act_in_east()
    sites.faults.partition("east", how="refused")
    told = east.is_active(True, sends="held", reason="StoreAway")
    assert told["holder"] == "east"
    until(lambda: "lease" in east.decide().json()["degraded"], what="answers say so")
    assert east.event(1).status_code == 200
    # A pod that starts now has the database's word that the epoch was taken here.
    assert east.serve is not None
    east.serve.stop()
    east.serve = east.processes.start("serve", WAYFARE_AUTHENTICATION="None").wait_ready()
    east.is_active(True, sends="held")
    sites.faults.heal()
    east.is_active(True, sends="open")
    until(lambda: east.decide().json()["degraded"] == [], what="answers say nothing any more")


def test_a_site_that_returns_does_not_act_although_its_database_says_so(sites: Sites) -> None:
    east, west = sites.east, sites.west
    sites.act_in_east()
    for process in (east.worker, east.serve):
        assert process is not None
        process.kill()
    catch_up(west.dsn, sites.store, plan=PLAN)
    epochs.take(west.dsn, sites.store, plan=PLAN, site="west", epoch=2, terms=TERMS)
    assert east.ask(_STAND) == [(1, True, 1, "Normal")]
    east.serve = east.processes.start("serve", WAYFARE_AUTHENTICATION="None")
    seen = set()

    def over() -> bool:
        try:
            status, body = east.activez()
        except httpx.HTTPError:
            return False
        seen.add(status)
        return body.get("holder") == "west"

    until(over, what="it says who holds the epoch")
    assert seen == {503}, "not active for a moment either"
    until(lambda: east.ask(_STAND) == [(2, False, 1, "Normal")], what="its database is fenced")


def test_a_new_database_of_the_primary_does_not_take_up_its_epoch(sites: Sites) -> None:
    sites.act_in_east()
    # West's database with east's name: what a lost disk that was replaced looks like.
    lost = sites.west
    lost.start(**_PRIMARY, WAYFARE_SITE="east")
    until(lambda: lost.metric("wayfare_standby_rows_total") > 0, what="it catches up")
    assert lost.ask(_STAND)[0][1:3] == (False, 0)
    assert lost.ask("SELECT count(*) FROM wayfare.ledger WHERE epoch = 1") == [(0,)]
