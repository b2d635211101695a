"""`wayfare lease take`: what it asks and says, killed and run again, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import psycopg
import pytest

from tests.lease.place import PLAN, WORD, Place, beat, stopped
from tests.lease.test_holder import hold
from tests.servers.command import arguments, clean_environment, wayfare
from tests.servers.faultstore import FaultStore
from tests.servers.pooler import pooled
from tests.servers.postgresql import rows
from wayfare_engine.journal.chain import read as read_chain
from wayfare_engine.journal.segment import Closed
from wayfare_engine.lease import Holder, highest
from wayfare_engine.lease.epochs import read_acting
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.objectstore import paths

POINTS = (
    "lease.take.remembered",
    "lease.take.put",
    "lease.take.closed_one",
    "lease.take.raised",
    "lease.take.waiting",
    "lease.take.before_act",
    "lease.take.acting",
)


def test_the_first_epoch_is_taken_without_a_word(place: Place) -> None:
    done = place.lease("take", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["site"], facts["epoch"], facts["statement"]) == ("west", 1, None)
    assert json.loads(place.lease("show", "--json").stdout)["state"] == "Acting"


def test_taking_over_on_a_statement(west: Place) -> None:
    beat(west.store)
    done = west.take("--reason", "fire in east", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["epoch"], facts["closed"], facts["resumed"]) == (2, ["east/1"], False)
    assert facts["actingSince"] is not None
    # The figures that were shown are in the statement, and what was caught up is there.
    read = facts["statement"]["read"]
    assert any("east had sealed 3 rows, and 12 were not in the store" in line for line in read)
    assert any("Nobody sends for 0.90 s" in line for line in read)
    assert all(line in done.stderr for line in read)
    assert facts["caughtUp"]["watermark"] == {"east/1": 3}
    (_, end) = read_chain(west.store, "east", 1, plan=PLAN)
    assert isinstance(end, Closed)
    with psycopg.connect(west.dsn) as connection:
        assert site_epoch(connection).active
        assert site_epoch(connection).epoch == 2
    assert Holder(west.store, plan=PLAN, site="west", epoch=2, ttl=30).check()
    assert not Holder(west.store, plan=PLAN, site="east", epoch=1, ttl=30).check()
    shown = west.lease("show")
    assert shown.returncode == 0
    assert f'ana stated: "{WORD}"' in shown.stdout
    assert "agrees: it writes under epoch 2, which this site holds" in shown.stdout


def test_under_takeover_statement_it_says_what_may_go_wrong(west: Place) -> None:
    done = west.lease("take", "--takeover", "Statement", "--yes")
    assert done.returncode == 2
    assert "has takeover: Statement" in done.stderr
    done = west.take("--takeover", "Statement")
    assert done.returncode == 0, done.stderr
    for words in (
        "a store that is away does not stop site east",
        "a customer may be contacted twice on a channel without a dedupe key",
        "how many of its rows are not in the store is unknown",
    ):
        assert words in done.stderr


def test_it_is_not_taken_while_the_other_site_beats(west: Place, beating: None) -> None:
    done = west.lease("take", "--stale-after", "5", "--yes")
    assert done.returncode == 1
    assert "site east still holds the lease: its newest beat is" in done.stderr
    assert highest(west.store, PLAN).epoch == 1  # type: ignore[union-attr]


def test_it_is_taken_when_no_beat_came_for_long_enough(west: Place) -> None:
    beat(west.store)
    done = west.lease("take", "--stale-after", "1.5", "--yes")
    assert done.returncode == 0, done.stderr
    assert "no new beat of east for 1.5 s" in done.stderr
    assert "site west may act under epoch 2 of plan retail" in done.stdout


def test_a_site_that_never_beat_is_not_stale(west: Place) -> None:
    done = west.lease("take", "--yes")
    assert done.returncode == 1
    assert "its newest beat was never seen" in done.stderr
    assert '--statement "…"' in done.stderr


def test_without_a_terminal_it_wants_to_be_told_that_it_is_meant(west: Place) -> None:
    done = west.lease("take", "--statement", WORD)
    assert done.returncode == 2
    assert "nobody is there to confirm this; --yes" in done.stderr
    assert highest(west.store, PLAN).epoch == 1  # type: ignore[union-attr]
    done = west.lease("take", "--statement", "off", "--yes")
    assert done.returncode == 2
    assert "say how you know" in done.stderr


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_the_same_command_goes_on(west: Place, point: str) -> None:
    done = west.take(WAYFARE_CRASH=point)
    assert done.returncode == -signal.SIGKILL, done.stderr
    known = rows(west.dsn, "SELECT nonce FROM wayfare.epochs_taken")
    done = west.take("--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["epoch"], facts["site"]) == (2, "west")
    last = highest(west.store, PLAN)
    assert last is not None
    assert known == [(last.nonce,)]
    assert rows(west.dsn, "SELECT step FROM wayfare.epochs_taken") == [("Acting",)]
    assert Holder(west.store, plan=PLAN, site="west", epoch=2, ttl=30).check()
    again = west.take()
    assert again.returncode == 0
    assert "as before: nothing was done" in again.stdout
    assert highest(west.store, PLAN) == last


def test_an_epoch_that_another_took_meanwhile(west: Place) -> None:
    """North takes epoch 2 while west is between its look and its create."""
    with stopped(west, "lease.take.remembered") as process:
        hold(west.store, 2, "north")
        process.send_signal(signal.SIGCONT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "epoch 2 of plan retail was taken by site north" in said
    assert "`wayfare lease show`" in said
    assert "Traceback" not in said


def test_a_store_that_goes_away_in_the_wait_is_waited_for(west: Place, faults: FaultStore) -> None:
    endpoint = {"AWS_ENDPOINT_URL": faults.endpoint("w")}
    with stopped(west, "lease.take.before_act", **endpoint) as process:
        faults.partition("w", how="refused")
        process.send_signal(signal.SIGCONT)
        assert process.stderr is not None
        said = ""
        while "trying again until Ctrl-C" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        assert read_acting(west.store, PLAN, 2) is None
        faults.heal("w")
        process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert read_acting(west.store, PLAN, 2) is not None


def test_what_is_interrupted_says_that_it_goes_on(west: Place) -> None:
    with stopped(west, "lease.take.waiting", WAYFARE_LEASE_TTL_SECONDS="60") as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "epoch 2 is taken and nobody acts under it yet: run the same command again" in said
    assert json.loads(west.lease("show", "--json").stdout)["state"] == "Waiting"


@pytest.mark.parametrize(("answer", "code", "epoch"), [("n", 1, 1), ("y", 0, 2)])
def test_a_person_at_a_terminal_is_asked(west: Place, answer: str, code: int, epoch: int) -> None:
    terminal, end = os.openpty()
    with subprocess.Popen(
        arguments("lease", "take", "--statement", WORD),
        env=clean_environment(west.environment),
        stdin=end,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(end)
        os.write(terminal, f"{answer}\n".encode())
        _, said = process.communicate(timeout=60)
    os.close(terminal)
    assert process.returncode == code, said
    assert "There is no way back" in said
    assert "Take the epoch for site west?" in said
    assert highest(west.store, PLAN).epoch == epoch  # type: ignore[union-attr]


def test_another_plans_store(west: Place) -> None:
    for words in (("show",), ("history",), ("take", "--statement", WORD, "--yes")):
        done = west.lease(*words, "--plan", "wholesale")
        assert done.returncode == 3
        said = done.stdout + done.stderr
        assert "it belongs to plan 'retail', and this site is of plan 'wholesale'" in said
    west.store.delete(paths.MARKER)
    done = west.take()
    assert done.returncode == 3
    assert "holds journal/ and no wayfare.json" in done.stderr


def test_the_database_of_another_site(east: Place) -> None:
    """East's database, given by mistake."""
    done = east.take()
    assert done.returncode == 2
    assert "the database given is site east's, and site west was asked for" in done.stderr
    assert highest(east.store, PLAN).epoch == 1  # type: ignore[union-attr]


def test_a_database_behind_a_pooler(west: Place) -> None:
    with pooled(west.dsn) as address:
        done = west.take(WAYFARE_POSTGRESQL_DSN=address)
        assert done.returncode == 3
        assert "taking an epoch needs a direct connection" in done.stderr
        done = west.take(WAYFARE_POSTGRESQL_DSN=address, WAYFARE_POSTGRESQL_DIRECT_DSN=west.dsn)
        assert done.returncode == 0, done.stderr


def test_a_store_that_is_an_asynchronous_copy(west: Place) -> None:
    done = west.take("--replication", "Asynchronous")
    assert done.returncode == 2
    assert "two sites could each take the same epoch" in done.stderr


def test_a_catch_up_that_runs_already_is_named_before_anything_is_taken(west: Place) -> None:
    from wayfare_engine.journal.catch_up import CatchUp

    with CatchUp.opened(west.dsn, west.store, plan=PLAN):
        done = west.take()
    assert done.returncode == 1
    assert "another" in done.stderr
    assert highest(west.store, PLAN).epoch == 1  # type: ignore[union-attr]


def test_without_what_it_needs_it_says_what_to_set(west: Place) -> None:
    for name in ("WAYFARE_SITE", "WAYFARE_POSTGRESQL_DSN", "WAYFARE_OBJECT_STORE_URL"):
        environment = {k: v for k, v in west.environment.items() if k != name}
        done = wayfare("lease", "take", "--statement", WORD, "--yes", **environment)
        assert done.returncode == 3
        assert f"{name}: is not set" in done.stderr
