"""`wayfare lease show | history`, on real PostgreSQL and S3, as people and scripts run them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import psycopg

from tests.lease.clocks import AT
from tests.lease.place import PLAN, WORD, Place, beat, event
from tests.lease.test_holder import hold
from wayfare_engine.lease import Statement, take
from wayfare_engine.lease.epochs import put_acting
from wayfare_engine.ledger import append_rows


def test_show_before_any_epoch(place: Place) -> None:
    done = place.lease("show", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["state"], facts["holder"], facts["beats"]) == ("NotTaken", None, [])
    shown = place.lease("show").stdout
    assert "holder    nobody: no epoch was taken yet" in shown
    assert "beats     no site wrote one" in shown
    assert place.lease("history").stdout == "plan retail: no epoch was taken yet\n"


def test_show_says_who_holds_what_and_what_is_sealed(west: Place) -> None:
    beat(west.store)
    done = west.lease("show")
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "holder    site east, epoch 1, taken 2026-03-01 12:00:00 UTC",
        "acting    since 2026-03-01 12:00:00 UTC",
        "east: epoch 1, 3 rows sealed, 12 not, the oldest of 2026-03-01 12:00:00 UTC",
        "its age is unknown without --watch",
        "database  of site west, epoch 1: agrees: nothing is written here while site east holds",
        "WitnessShared=Unknown (NotDeclared)",
    ):
        assert words in done.stdout, done.stdout


def test_a_beats_age_is_told_by_watching(west: Place, beating: None) -> None:
    facts = json.loads(west.lease("show", "--json").stdout)
    assert facts["beats"][0]["ageSeconds"] is None
    facts = json.loads(west.lease("show", "--json", "--watch", "2.5").stdout)
    (seen,) = facts["beats"]
    assert seen["changedWhileWatched"]
    assert 0 <= seen["ageSeconds"] < 2.5


def test_a_beat_that_stands_still_is_as_old_as_it_was_watched(west: Place) -> None:
    beat(west.store)
    done = west.lease("show", "--watch", "1.5")
    assert "no newer one came in 1.5 s of watching" in done.stdout


def test_an_epoch_in_its_wait_is_shown_as_that(west: Place) -> None:
    hold(west.store, 2, "north", acting=False)
    facts = json.loads(west.lease("show", "--json").stdout)
    assert (facts["state"], facts["holder"], facts["actingSince"]) == ("Waiting", "north", None)
    assert "not yet: in its wait of" in west.lease("show").stdout


def test_a_database_that_does_not_agree_fails_the_command(west: Place) -> None:
    with psycopg.connect(west.dsn) as connection:
        append_rows(connection, [event("west", 1)])
    done = west.lease("show")
    assert done.returncode == 1
    assert "DOES NOT AGREE: rows were written here under epoch 1, which site east" in done.stdout
    assert json.loads(west.lease("show", "--json").stdout)["database"]["agrees"] is False


def test_whose_loss_takes_the_store_along(west: Place) -> None:
    domains = ["--site-domain", "east=zone-a", "--site-domain", "west=zone-b"]
    shown = west.lease("show", "--store-domain", "zone-a", *domains).stdout
    assert "WitnessShared=True (SameFailureDomain): the object store is in zone-a, as is east" in (
        shown
    )
    named = {
        "WAYFARE_OBJECT_STORE_FAILURE_DOMAIN": "zone-c",
        "WAYFARE_SITE_FAILURE_DOMAINS": "east=zone-a west=zone-b",
    }
    assert "WitnessShared=False" in west.lease("show", **named).stdout
    done = west.lease("show", "--site-domain", "east")
    assert done.returncode == 2
    assert "SITE=DOMAIN" in done.stderr


def test_what_cannot_be_asked_is_unknown(west: Place) -> None:
    away = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    done = west.lease("show", **away)
    assert done.returncode == 3
    assert "holder    unknown" in done.stdout
    assert "beats     unknown" in done.stdout
    assert "epoch 1: not compared: who holds the highest epoch is unknown" in done.stdout
    assert "nothing listens at http://127.0.0.1:1" in done.stdout
    facts = json.loads(west.lease("show", "--json", **away).stdout)
    assert (facts["state"], facts["holder"], facts["database"]["agrees"]) == ("Unknown", None, None)

    done = west.lease("show", WAYFARE_POSTGRESQL_DSN="postgresql://nobody@127.0.0.1:1/x")
    assert done.returncode == 3
    assert "holder    site east" in done.stdout
    assert "database  unknown" in done.stdout


def test_a_store_that_lacks_a_lease_is_believed_by_nobody(west: Place) -> None:
    with psycopg.connect(west.dsn, autocommit=True) as connection:
        connection.execute("SELECT wayfare.saw_epoch(3)")
    done = west.lease("show")
    assert done.returncode == 3
    assert "holder    unknown" in done.stdout
    assert "epoch 3 of plan retail was taken, and the store knows none above 1" in done.stdout
    done = west.take()
    assert done.returncode == 3
    assert "nobody may act on its word" in done.stderr


def test_history_is_who_held_what_and_on_whose_word(west: Place) -> None:
    said = Statement(text=WORD, by="ana", read=("a figure",))
    lease = take(
        west.store,
        plan=PLAN,
        site="west",
        epoch=2,
        nonce="n",
        reason="fire",
        at=datetime(2026, 3, 2, tzinfo=UTC),
        statement=said,
    ).lease
    found = json.loads(west.lease("history", "--json").stdout)
    assert [one["epoch"] for one in found] == [1, 2]
    assert found[0]["until"] == found[1]["takenAt"] == "2026-03-02T00:00:00+00:00"
    assert found[1]["statement"] == {"text": WORD, "by": "ana", "read": ["a figure"]}
    assert found[1]["actingSince"] is None
    put_acting(west.store, lease, at=AT)
    shown = west.lease("history", COLUMNS="300").stdout
    assert f"ana: {WORD}" in shown
    assert "fire" in shown
