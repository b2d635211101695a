"""Business: contacts, caps, quiet hours, receipts, arms of experiments, journey instances."""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.checks.making import (
    NOON,
    assert_failed,
    assert_passed,
    assert_unknown,
    facts,
    followed,
    kept,
    look,
    looking,
    published,
    receipt,
    sealed,
    send,
    sent,
    sql,
    stated,
)
from tests.engine.test_sending import plan_channel, plan_of
from tests.journal.making import SITE
from tests.servers.engine import engine_processes
from wayfare_engine.clock import new_id, now
from wayfare_engine.facts import Draft, Fact, write
from wayfare_engine.ledger import Kind
from wayfare_engine.ledger.bodies import Assignment, Erasure, Outcome, Transition
from wayfare_engine.ledger.fence import raise_epoch
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.outbox.keys import instance_key
from wayfare_engine.plan import Plan
from wayfare_engine.recovery.checks import CATALOGUE, Objectives, from_chains

HOUR = timedelta(hours=1)


def governed(**governance: Any) -> Plan:
    """A plan with one channel, `default/sms`, of medium SMS."""
    return plan_of(plan_channel("sms", "http://127.0.0.1:9"), governance=governance)


def cap(most: int, per: str = "24h", **more: Any) -> dict[str, Any]:
    return {"name": "daily", "max": most, "per": per, **more}


# --- ContactedOnce


def test_a_send_that_was_tried_again_is_one_contact(east: str, store: ObjectStore) -> None:
    sent(east, send(), at=(NOON, NOON + HOUR))
    sent(east, send("bob"), send("bob", entry_key="second entry"), send("bob", visit=2))
    result = look("ContactedOnce", dsn=east, store=store)
    assert_passed(result)
    assert (result.figures["sends"], result.figures["hadSeveralTurns"]) == (4, 1)


def test_one_visit_under_two_keys_is_found(east: str, store: ObjectStore) -> None:
    sent(east, send(), send("bob"))
    columns = "customer_id, intent_epoch, instance, journey, node, visit, channel, attempt"
    copied = f"INSERT INTO wayfare.outbox (send_key, {columns}) SELECT 'another', {columns} "
    sql(east, f"{copied} FROM wayfare.outbox WHERE customer_id = 'anna'")
    result = look("ContactedOnce", dsn=east, store=store)
    assert_failed(result, "1 visits under two keys", "1 keys that are not their visits'")
    finding = kept(store, result)["findings"][0]
    assert set(finding["keys"]) == {"another", send().key}
    assert "anna" not in str(kept(store, result)), "evidence names no customer"


def test_a_key_that_its_provider_took_twice_is_found(east: str, store: ObjectStore) -> None:
    sent(east, send(), at=(NOON, NOON + HOUR))
    assert_passed(look("ContactedOnce", dsn=east))
    again = Outcome(send_key=send().key, attempt=1, result="Accepted", provider_id="p-other")
    facts(east, (Kind.OUTCOME, "anna", again, now()))
    assert_failed(look("ContactedOnce", dsn=east), "1 sends taken twice")


def test_without_a_database_nobody_can_tell(east: str) -> None:
    assert_unknown(look("ContactedOnce"), "this site's database was not given")
    assert_unknown(look("ContactedOnce", dsn=f"{east} port=1"), "PostgreSQL")


# --- CapsHeld


def contacts(dsn: str, *hours: float, customer: str = "anna") -> None:
    """A send of its own at each of these hours after noon."""
    for number, after in enumerate(hours):
        one = send(customer, entry_key=f"{after}/{number}")
        sent(dsn, one, at=(NOON + timedelta(hours=after),))


def test_contacts_at_the_cap_pass_and_one_more_fails(east: str, store: ObjectStore) -> None:
    published(east, governed(caps=[cap(2)]))
    contacts(east, 0, 23.9, 24, 48)  # the third comes when the first has left the time
    contacts(east, 0, customer="bob")
    assert_passed(look("CapsHeld", dsn=east))
    contacts(east, 47.9)  # now the one of 23.9 has left it, too
    assert_passed(look("CapsHeld", dsn=east))
    contacts(east, 47.8)
    result = look("CapsHeld", dsn=east, store=store)
    assert_failed(result, "contacts more than daily of the engine allows")
    assert result.figures["exceeded"] == 3  # itself, and the two that came after it
    assert kept(store, result)["findings"][0]["sendKey"]


@pytest.mark.parametrize(
    ("governance", "channel", "exceeded"),
    [
        ({"caps": [cap(1, media=["SMS"])]}, {}, True),
        ({"caps": [cap(1, media=["Email"])]}, {}, False),
        ({}, {"caps": [cap(1)]}, True),
        ({}, {"caps": [cap(0)]}, True),
        ({}, {}, False),
    ],
)
def test_a_cap_counts_the_channels_that_it_is_about(
    east: str, governance: dict[str, Any], channel: dict[str, Any], exceeded: bool
) -> None:
    made = plan_of(plan_channel("sms", "http://127.0.0.1:9", **channel), governance=governance)
    published(east, made)
    contacts(east, 0, 1)
    result = look("CapsHeld", dsn=east)
    (assert_failed if exceeded else assert_passed)(result)


def test_what_a_merge_put_back_is_counted_apart(east: str) -> None:
    published(east, governed(caps=[cap(1)]))
    contacts(east, 0, 1)
    assert_failed(look("CapsHeld", dsn=east))
    sql(
        east,
        "INSERT INTO wayfare.merged_rows (origin_id, epoch, row_id, origin_site, origin_epoch, "
        "kind, resolution) SELECT row_id, 1, row_id, 'west', 1, 'dispatch', 'applied' "
        "FROM wayfare.contacts WHERE at > %s",
        NOON,
    )
    result = look("CapsHeld", dsn=east)
    assert_passed(result)
    assert result.figures["exceededByStranded"] == 1


def test_contacts_from_before_a_cap_was_lowered_are_told_and_not_held_against_it(
    east: str,
) -> None:
    contacts(east, 0, 1)
    published(east, governed(caps=[cap(5)]), governed(caps=[cap(1)]))
    result = look("CapsHeld", dsn=east)
    assert_passed(result)
    assert result.figures["beforeTheseRules"] == 1
    for number in range(2):
        sent(east, send("carl", entry_key=str(number)), at=(now(),))
    assert_failed(look("CapsHeld", dsn=east))


def test_without_a_plan_no_cap_is_known(east: str) -> None:
    contacts(east, 0)
    for name in ("CapsHeld", "QuietHoursKept"):
        assert_unknown(look(name, dsn=east), "no plan was published here")


# --- QuietHoursKept

NIGHT = {"timeZone": "Europe/Lisbon", "windows": [{"from": "21:00", "to": "08:00"}]}


def test_contacts_outside_quiet_hours_pass_and_one_within_fails(
    east: str, store: ObjectStore
) -> None:
    published(east, governed(quietHours=NIGHT))
    contacts(east, 0, 8.99, -4)  # noon, a moment before nine in the evening, eight in the morning
    result = look("QuietHoursKept", dsn=east)
    assert_passed(result)
    assert result.figures["contacts"] == 3
    contacts(east, 9)
    result = look("QuietHoursKept", dsn=east, store=store)
    assert_failed(result, "1 of 4 contacts")
    finding = kept(store, result)["findings"][0]
    assert finding["local"].startswith("2026-11-23T21:00:00")


def test_a_test_that_is_no_customers_is_no_contact_of_anybody(east: str) -> None:
    published(east, governed(quietHours=NIGHT))
    probe = send("~check-1", test=True, address="me@example.com")
    sent(east, probe, at=(NOON + timedelta(hours=9),))
    result = look("QuietHoursKept", dsn=east)
    assert_passed(result)
    assert result.figures["contacts"] == 0


def test_the_clock_is_the_customers(east: str, store: ObjectStore, tmp_path: Path) -> None:
    published(east, governed(quietHours=NIGHT, timeZoneAttribute="zone"))
    file = tmp_path / "customers.csv"
    file.write_text("id,zone\nanna,Asia/Tokyo\nbob,\n")
    with engine_processes(east) as processes:
        done = processes.run("import", "customers", str(file), "--id", "id")
    assert done.returncode == 0, done.stderr.decode()
    contacts(east, 0, customer="bob")
    assert_passed(look("QuietHoursKept", dsn=east))
    contacts(east, 0)  # noon in UTC is nine in the evening in Tokyo
    result = look("QuietHoursKept", dsn=east, store=store)
    assert_failed(result, "1 of 2 contacts")
    assert kept(store, result)["findings"][0]["local"] == "2026-11-23T21:00:00+09:00"
    sql(east, "UPDATE wayfare.customer_version SET blob = repeat('0', 64)")
    assert_unknown(look("QuietHoursKept", dsn=east), "0000")


def test_contacts_from_before_quiet_hours_came_are_told_and_not_held_against_them(
    east: str,
) -> None:
    contacts(east, 9)
    halves = [{"from": "00:00", "to": "12:00"}, {"from": "12:00", "to": "00:00"}]
    always = {"timeZone": "UTC", "windows": halves}
    published(east, governed(), governed(quietHours=always))
    result = look("QuietHoursKept", dsn=east)
    assert_passed(result)
    assert (result.figures["contacts"], result.figures["beforeTheseRules"]) == (1, 1)
    sent(east, send("carl"), at=(now(),))
    assert_failed(look("QuietHoursKept", dsn=east), "1 of 2 contacts")


def test_quiet_hours_of_a_channel_are_of_that_channel(east: str) -> None:
    quiet = {"timeZone": "UTC", "windows": [{"from": "11:00", "to": "13:00"}]}
    loud, silent = (
        plan_channel(name, "http://127.0.0.1:9", **more)
        for name, more in (("sms", {}), ("mail", {"quietHours": quiet}))
    )
    published(east, plan_of(loud, silent))
    sent(east, send())
    assert_passed(look("QuietHoursKept", dsn=east))
    sent(east, send("bob", channel="default/mail"))
    assert_failed(look("QuietHoursKept", dsn=east))


# --- ReceiptsReconciled


def test_receipts_of_what_was_sent_pass(east: str) -> None:
    sent(east, send(), send("bob"))
    sent(east, send("carl"), result="Unknown")
    receipt(east, send(), "delivered")
    receipt(east, send("carl"), "delivered")  # nobody knew; now it is known
    result = look("ReceiptsReconciled", dsn=east)
    assert_passed(result)
    assert (result.figures["withReceipt"], result.figures["unknown"]) == (2, 1)


def test_a_receipt_of_what_never_left_is_found(east: str, store: ObjectStore) -> None:
    receipt(east, send(), "delivered")
    result = look("ReceiptsReconciled", dsn=east, store=store)
    assert_failed(result, "a receipt of a send that never left")
    assert kept(store, result)["findings"][0]["sendKey"] == send().key


def test_a_receipt_that_contradicts_the_outcome_is_found(east: str) -> None:
    sent(east, send(), result="Rejected")
    receipt(east, send(), "bounced")
    assert_passed(look("ReceiptsReconciled", dsn=east))
    sent(east, send("bob"), result="Rejected")
    receipt(east, send("bob"), "delivered")
    assert_failed(look("ReceiptsReconciled", dsn=east), "1: took effect by its receipt")


def test_a_receipt_of_a_send_that_is_lost_is_found_once_it_is_no_longer_early(east: str) -> None:
    def came(ago: str) -> None:
        sql(
            east,
            "INSERT INTO wayfare.unmatched_receipts (channel, send_key, state, at, detail, "
            "opt_out, came_at) VALUES ('default/sms', %s, 'delivered', now(), '', false, "
            "now() - %s::interval)",
            uuid.uuid4().hex,
            ago,
        )

    came("1 minute")
    assert_passed(look("ReceiptsReconciled", dsn=east))
    came("10 minutes")
    assert_failed(look("ReceiptsReconciled", dsn=east), "a send that is not known here")


# --- AssignmentsUnchanged and InstancesWhole


def arm(customer: str, name: str) -> Assignment:
    return Assignment(experiment="e", customer=customer, arm=name)


def step(customer: str, node: str, *, entry: str = "") -> Transition:
    instance = instance_key("default/welcome", customer, entry)
    return Transition(
        instance=instance,
        journey="default/welcome",
        node=node,
        visit=1,
        state="Active",
        entry_key=entry,
    )


def on_their_way(dsn: str, *customers: str, node: str = "hello", site: str = SITE) -> None:
    """Instances of journeys that are at a node."""
    drafts = [Draft(new_id(), Fact(step(c, node), now(), c)) for c in customers]
    with psycopg.connect(dsn, autocommit=True) as connection:
        write(connection, drafts, site=site)


def test_what_follows_the_chains_is_whole(east: str, west: str, store: ObjectStore) -> None:
    stated(east, arm("anna", "a"), arm("bob", "b"))
    on_their_way(east, "anna", "bob")
    on_their_way(east, "anna", node="later")
    facts(east, (Kind.ERASURE, "bob", Erasure(customer="bob"), now()))
    sealed(east, store)
    followed(west, store)
    on_their_way(east, "carl")  # committed and in no segment yet
    for dsn, name, unsealed in (
        (west, "InstancesWhole", 0),
        (west, "AssignmentsUnchanged", 0),
        (east, "InstancesWhole", 1),
        (east, "AssignmentsUnchanged", 0),
    ):
        result = look(name, dsn=dsn, store=store)
        assert_passed(result)
        assert (result.figures["rows"], result.figures["unsealed"]) == (1 + unsealed, unsealed)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("DELETE FROM wayfare.journey_instances WHERE customer_id = 'anna'", "1 lost"),
        (
            "UPDATE wayfare.journey_instances SET version = version - 1, node = 'hello' "
            "WHERE customer_id = 'anna'",
            "1 older than the chains say",
        ),
        ("UPDATE wayfare.journey_instances SET node = 'nowhere'", "2 not as the chains say"),
        (
            "INSERT INTO wayfare.journey_instances SELECT 'other', version, epoch, "
            "gen_random_uuid(), 'dora', journey, node, visit, state, entry_key, due "
            "FROM wayfare.journey_instances LIMIT 1",
            "1 in no chain",
        ),
        (
            "INSERT INTO wayfare.journey_instances SELECT 'other', version, epoch, row_id, "
            "customer_id, journey, node, visit, state, entry_key, due "
            "FROM wayfare.journey_instances LIMIT 1",
            "1 entries as several instances",
        ),
    ],
)
def test_an_instance_that_is_lost_old_changed_made_up_or_doubled_is_found(
    east: str, west: str, store: ObjectStore, broken: str, words: str
) -> None:
    on_their_way(east, "anna", "bob")
    on_their_way(east, "anna", node="later")
    sealed(east, store)
    followed(west, store)
    assert sql(west, broken) > 0
    result = look("InstancesWhole", dsn=west, store=store)
    assert_failed(result, words)
    assert "anna" not in str(kept(store, result)), "evidence names no customer"


def test_of_a_long_chain_the_newest_segments_are_judged(
    east: str, west: str, store: ObjectStore
) -> None:
    on_their_way(east, "anna", "bob", "carl")
    facts(east, (Kind.ERASURE, "carl", Erasure(customer="carl"), now()))
    sealed(east, store)
    on_their_way(east, "bob", node="later")
    on_their_way(east, "carl", node="never")
    sealed(east, store)
    followed(west, store)
    newest = Objectives(chain_objects=1)
    result = look("InstancesWhole", dsn=west, store=store, objectives=newest)
    assert_passed(result)
    assert (result.figures["rows"], result.figures["notJudged"]) == (2, 1)
    sql(west, "DELETE FROM wayfare.journey_instances")
    result = look("InstancesWhole", dsn=west, store=store, objectives=newest)
    assert_failed(result, "1 lost")  # bob; of anna nobody looked, and carl was erased
    assert_failed(look("InstancesWhole", dsn=west, store=store), "2 lost")


def test_an_arm_that_is_lost_or_changed_is_found(east: str, west: str, store: ObjectStore) -> None:
    stated(east, arm("anna", "a"), arm("bob", "b"))
    sealed(east, store)
    followed(west, store)
    sql(west, "UPDATE wayfare.assignments SET arm = 'b' WHERE customer_id = 'anna'")
    assert_failed(look("AssignmentsUnchanged", dsn=west, store=store), "1 not as the chains say")
    sql(west, "DELETE FROM wayfare.assignments WHERE customer_id = 'anna'")
    assert_failed(look("AssignmentsUnchanged", dsn=west, store=store), "1 lost")


def test_checks_of_one_looking_read_each_segment_once_though_the_database_goes_on(
    east: str, west: str, store: ObjectStore
) -> None:
    stated(east, arm("anna", "a"))
    on_their_way(east, "anna", "bob")
    sealed(east, store)
    followed(west, store)
    at = looking(dsn=west, store=store)
    assert_passed(CATALOGUE["AssignmentsUnchanged"].look(at))
    (read,) = at.kept.values()
    result = CATALOGUE["InstancesWhole"].look(at)
    assert_passed(result)
    assert result.figures["expected"] == 2
    assert list(at.kept.values()) == [read]
    (first,) = (entry.path for entry in store.list("journal/"))
    on_their_way(east, "carl")
    on_their_way(east, "anna", node="later")
    sealed(east, store)
    followed(west, store)
    store.put(first, b"damaged, and not read again")
    result = CATALOGUE["InstancesWhole"].look(at)
    assert_passed(result)
    assert (result.figures["expected"], result.figures["segments"]) == (3, 2)
    assert_unknown(look("InstancesWhole", dsn=west, store=store), first)


def test_a_reading_goes_on_from_any_row(east: str, store: ObjectStore) -> None:
    on_their_way(east, "anna", "bob", "carl")
    on_their_way(east, "anna", node="later")
    sealed(east, store)
    on_their_way(east, "dora")
    sealed(east, store)
    at, chain = looking(dsn=east, store=store), (SITE, 1)
    whole = from_chains._Read()
    from_chains._read_on(at, whole, {chain: 5})
    for upto in range(1, 5):
        read = from_chains._Read()
        from_chains._read_on(at, read, {chain: upto})
        assert read.goes_on_to({chain: 5})
        from_chains._read_on(at, read, {chain: 5})
        assert read.into.rows == whole.into.rows == 5
        assert (read.segments, read.reached) == (whole.segments, whole.reached)
        for name, folds in whole.into.folds.items():
            assert read.into.folds[name].states == folds.states
    assert not whole.goes_on_to({chain: 4}), "a database that was restored begins anew"


def test_another_arm_after_a_move_between_sites_is_found(east: str, store: ObjectStore) -> None:
    stated(east, arm("anna", "a"), arm("bob", "b"))
    stated(east, arm("bob", "a"))  # within the epoch: somebody meant it
    sealed(east, store)
    with psycopg.connect(east, autocommit=True) as connection:
        raise_epoch(connection, 2)
    stated(east, arm("bob", "a"))
    sealed(east, store)
    result = look("AssignmentsUnchanged", dsn=east, store=store)
    assert_passed(result)
    assert result.figures["reassigned"] == 1
    stated(east, arm("anna", "b"))
    sealed(east, store)
    result = look("AssignmentsUnchanged", dsn=east, store=store)
    assert_failed(result, "1 with another arm after a move")
    assert kept(store, result)["findings"][0]["epochs"] == [1, 2]


def test_a_damaged_chain_and_no_chain_are_unknown(east: str, west: str, store: ObjectStore) -> None:
    for name in ("InstancesWhole", "AssignmentsUnchanged"):
        assert_unknown(look(name, dsn=west, store=store), "applied no chain")
    on_their_way(east, "anna")
    sealed(east, store)
    followed(west, store)
    (path,) = (entry.path for entry in store.list("journal/"))
    data = store.get(path)
    assert data is not None
    store.put(path, data[:-20])
    assert_unknown(look("InstancesWhole", dsn=west, store=store), path)
