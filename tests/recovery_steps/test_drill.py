"""The copy of a drill, made by the step as a Job's pod makes it, over real databases."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.catchup.databases import tables
from tests.drill.test_sinks import PRODUCTION, SINK
from tests.journal.making import PLAN
from tests.recovery_steps.place import Sites
from tests.servers.command import wayfare
from wayfare_engine.clock import new_id, now
from wayfare_engine.facts import record
from wayfare_engine.identity import new_key
from wayfare_engine.lease import highest
from wayfare_engine.lease.epochs import read_acting
from wayfare_engine.ledger import Kind, LedgerRow
from wayfare_engine.ledger.bodies import Dispatch, Guard, Intent, Outcome
from wayfare_engine.ledger.fence import site_epoch
from wayfare_engine.objectstore import open_store
from wayfare_engine.outbox.facts import Origin
from wayfare_engine.recovery.drill.sinks import wanted
from wayfare_engine.recovery.report.rehearsed import rehearsed
from wayfare_engine.resources import RunKind
from wayfare_engine.runs import LostPart, Run

KEY = new_key(
    name="a test",
    scopes=(),
    now=now(),
    expires_at=None,
    random_id=lambda: "0123456789abcdef",
    random_secret=lambda: "s" * 43,
)


def at_copy(spare: str, **more: str) -> dict[str, str]:
    """What the Job of a drill is told of its copy."""
    return {
        "WAYFARE_FORK_DSN": spare,
        "WAYFARE_FORK_SINK_URL": SINK,
        "WAYFARE_FORK_API_KEY": KEY.text,
        **more,
    }


def publish(sites: Sites) -> None:
    """West's operator has published a plan."""
    with sites.connect("west") as west:
        west.execute(
            "INSERT INTO wayfare.plans (digest, body) VALUES (%s, %s)",
            (PRODUCTION.digest, PRODUCTION.to_bytes()),
        )
        west.execute(
            "INSERT INTO wayfare.wanted_plan (single, digest) VALUES (true, %s)",
            (PRODUCTION.digest,),
        )


def drill(sites: Sites, scenario: LostPart | None = None) -> Run:
    """East has written and shipped 100 rows, of which west knows all."""
    sites.write("east", 60, 1)
    sites.seal("east")
    sites.write("east", 40, 2)
    sites.seal("east")
    sites.beat("east")
    publish(sites)
    run = sites.begin(RunKind.DRILL, "west", scenario=scenario)
    sites.do(run, "west", "CatchUp")
    return run


def isolate(spare: str, folder: Path) -> Any:
    """The epoch of the drill, as its pod takes it."""
    return wayfare(
        "recovery",
        "isolate",
        WAYFARE_POSTGRESQL_DSN=spare,
        WAYFARE_SITE="drill",
        WAYFARE_OBJECT_STORE_URL=f"file://{folder}",
        WAYFARE_RECOVERY_PLAN=f"{PLAN}.drill-1",
    )


def test_the_copy_is_what_the_journal_says_with_sinks_for_channels(
    sites: Sites, spare: str
) -> None:
    run = drill(sites)
    before = tables(sites.dsn("west"))
    result = sites.do(run, "west", "Fork", **at_copy(spare))
    assert tables(spare) == before == tables(sites.dsn("west"))
    assert result.figures["position"] == 100
    assert result.figures["channels"] == {
        "bank/desk": "waits inside",
        "bank/mail": "sink",
        "bank/sms": "sink",
    }
    with sites.connect("west") as west, psycopg.connect(spare, autocommit=True) as copy:
        assert wanted(west) == PRODUCTION
        served = wanted(copy)
        keys = copy.execute("SELECT id FROM wayfare.api_keys").fetchall()
        stand = site_epoch(copy)
    assert served is not None
    assert {each.url for each in served.channels.values()} == {SINK, ""}
    assert keys == [(KEY.key.id,)]
    assert not stand.held


def test_replication_goes_on_and_is_looked_at(sites: Sites, spare: str) -> None:
    run = drill(sites)
    sites.write("east", 7, 5)
    sites.seal("east")
    figures = sites.do(run, "west", "Fork", **at_copy(spare)).figures
    assert [look["rows"] for look in figures["replication"]] == [7, 7]
    assert figures["position"] == 107


def test_the_canary_is_told_where_production_is_and_which_of_it_answers(
    sites: Sites, spare: str
) -> None:
    run = drill(sites)
    canary = sites.do(run, "west", "Fork", **at_copy(spare)).figures["canary"]
    reached = {each["what"]: each["reached"] for each in canary["targets"]}
    assert reached["the object store"] is True
    assert reached["the host of channel bank/mail"] is False
    assert canary["objects"]["production's lease"].endswith("/00000001")
    for path in canary["objects"].values():
        assert sites.store.exists(path)
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & canary["options"].keys()


def test_it_ends_where_the_scenario_says_and_counts_what_is_beyond(
    sites: Sites, spare: str
) -> None:
    run = drill(sites, LostPart(lost="Site", at_position=50))
    figures = sites.do(run, "west", "Fork", **at_copy(spare)).figures
    assert 50 <= figures["position"] < 100
    stranded = figures["scenario"]["stranded"]
    assert stranded["basis"] == "Exact"
    assert stranded["rows"] == 100 - figures["position"] == sum(stranded["kinds"].values())


def plan_sends(sites: Sites) -> None:
    """East has sends that wait, three by mail and two by SMS, one of them Local; of two more by
    mail nobody knows yet whether they left, and one has arrived."""
    origin = Origin("east", 1, new_id, now)

    def send(key: str, channel: str, guard: Guard = "Journaled") -> LedgerRow:
        intent = Intent(
            send_key=key,
            instance=f"i-{key}",
            journey="welcome",
            node="offer",
            visit=1,
            channel=f"bank/{channel}",
            due=now() + timedelta(hours=1),
            guard=guard,
        )
        return origin.row(Kind.INTENT, "anna", intent, now())

    def left(key: str) -> LedgerRow:
        dispatch = Dispatch(send_key=key, attempt=1, channel="bank/mail")
        return origin.row(Kind.DISPATCH, "anna", dispatch, now())

    taken = Outcome(send_key="m6", attempt=1, result="Accepted", provider_id="smtp-1")
    with sites.connect("east") as east:
        record(east, [send(f"m{number}", "mail") for number in range(1, 7)])
        record(east, [send("s1", "sms"), send("s2", "sms", "Local")])
        record(east, [left(key) for key in ("m4", "m5", "m6")])
        record(east, [origin.row(Kind.OUTCOME, "anna", taken, now())])


@pytest.mark.parametrize(
    ("scenario", "in_doubt", "fell_back", "waits"),
    [
        (LostPart(lost="Site"), {"bank/mail": 2}, {}, {}),
        (LostPart(lost="PostgreSQL"), {"bank/mail": 2}, {}, {}),
        (LostPart(lost="Valkey"), {}, {}, {}),
        (LostPart(lost="Channel", channel="mail"), {}, {"bank/mail": 3}, {}),
        (LostPart(lost="Channel", channel="sms"), {}, {}, {"bank/sms": 2}),
        (LostPart(lost="ObjectStore"), {}, {}, {"bank/mail": 3, "bank/sms": 1}),
    ],
)
def test_what_each_loss_would_have_cost_is_counted_at_the_copy(
    sites: Sites,
    spare: str,
    scenario: LostPart,
    in_doubt: dict[str, int],
    fell_back: dict[str, int],
    waits: dict[str, int],
) -> None:
    plan_sends(sites)
    run = drill(sites, scenario)
    found = sites.do(run, "west", "Fork", **at_copy(spare)).figures["scenario"]

    def sends(told: str) -> dict[str, int]:
        return {each["channel"]: each["sends"] for each in found[told]}

    ours = ("bank/mail", "bank/sms")
    assert {name: n for name, n in sends("inDoubt").items() if name in ours} == in_doubt
    assert sends("fellBack") == fell_back
    assert {name: n for name, n in sends("waits").items() if name in ours} == waits
    (told,) = [rehearsed(found)]
    assert told is not None
    assert (told.lost, told.channel) == (scenario.lost, scenario.channel)


def test_a_copy_in_the_same_instance_is_refused(sites: Sites) -> None:
    run = drill(sites)
    before = tables(sites.dsn("west"))
    done = sites.attempt(run, "west", "Fork", number=0, **at_copy(sites.dsn("west")))
    assert done.returncode == 1
    assert tables(sites.dsn("west")) == before
    assert "an instance of its own" in sites.failure(run, "Fork").summary


def test_done_again_it_goes_on(sites: Sites, spare: str) -> None:
    """A copy of which part is there, from an attempt that was killed."""
    run = drill(sites, LostPart(lost="Site", at_position=10))
    sites.do(run, "west", "Fork", **at_copy(spare))
    sites.end(run)
    again = sites.begin(RunKind.DRILL, "west")
    sites.do(again, "west", "Fork", **at_copy(spare))
    assert tables(spare) == tables(sites.dsn("west"))


def test_the_drill_acts_in_its_own_store_and_production_does_not_notice(
    sites: Sites, spare: str, tmp_path: Path
) -> None:
    run = drill(sites)
    sites.do(run, "west", "Fork", **at_copy(spare))
    for folder in ("one", "two"):
        done = isolate(spare, tmp_path / folder)
        assert done.returncode == 0, done.stderr
        store = open_store(f"file://{tmp_path / folder}")
        lease = highest(store, f"{PLAN}.drill-1")
        assert lease is not None
        assert (lease.site, lease.epoch) == ("drill", 2)
        assert read_acting(store, f"{PLAN}.drill-1", 2) is not None
    with psycopg.connect(spare, autocommit=True) as copy:
        assert site_epoch(copy).active
    held = highest(sites.store, PLAN)
    assert held is not None
    assert (held.site, held.epoch) == ("east", 1)


def test_another_site_than_a_drills_is_not_isolated(spare: str, tmp_path: Path) -> None:
    done = wayfare(
        "recovery",
        "isolate",
        WAYFARE_POSTGRESQL_DSN=spare,
        WAYFARE_SITE="west",
        WAYFARE_OBJECT_STORE_URL=f"file://{tmp_path}",
    )
    assert done.returncode == 3
    assert "WAYFARE_SITE" in done.stderr


@pytest.mark.parametrize(("provider", "outward"), [("sink-1", 0), ("smtp-1", 1)])
def test_what_the_drill_sent_is_counted(
    sites: Sites, spare: str, tmp_path: Path, provider: str, outward: int
) -> None:
    run = drill(sites)
    sites.do(run, "west", "Fork", **at_copy(spare))
    assert isolate(spare, tmp_path / "store").returncode == 0
    origin = Origin("drill", 2, new_id, now)
    sent = Dispatch(send_key="k", attempt=1, channel="bank/mail")
    taken = Outcome(send_key="k", attempt=1, result="Accepted", provider_id=provider)
    with psycopg.connect(spare, autocommit=True) as copy:
        record(copy, [origin.row(Kind.DISPATCH, "anna", sent, now())])
        record(copy, [origin.row(Kind.OUTCOME, "anna", taken, now())])
    if outward:
        assert sites.attempt(run, "west", "Measure", number=0, **at_copy(spare)).returncode == 1
        told = sites.failure(run, "Measure")
        assert told.figures["gate"] is True
    else:
        told = sites.do(run, "west", "Measure", **at_copy(spare))
        assert told.figures["replication"]["mostRowsBehind"] == 0
    assert told.figures["outwardSends"] == outward
    assert told.figures["handOvers"] == 1
    assert told.checks[0].name == "OutwardSends"


def test_the_checks_look_at_the_copy_and_not_at_this_sites_own(sites: Sites, spare: str) -> None:
    run = drill(sites)
    sites.do(run, "west", "Fork", **at_copy(spare))
    with psycopg.connect(spare, autocommit=True) as copy:
        copy.execute("UPDATE wayfare.chain_positions SET seq = seq + 1000")
    done = sites.attempt(run, "west", "Verify", number=0, **at_copy(spare))
    assert done.returncode == 1
    told = sites.failure(run, "Verify")
    assert "ChainUnbroken" in told.figures["barred"]
    assert len(told.figures["replication"]) == 2


def test_a_drill_whose_job_is_not_told_of_a_copy_never_looks_at_production(sites: Sites) -> None:
    run = drill(sites)
    for step in ("Fork", "Verify"):
        assert sites.attempt(run, "west", step).returncode == 1
        assert "WAYFARE_FORK_DSN" in sites.failure(run, step).summary
