"""Business: contacts, caps, quiet hours, receipts."""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.checks.making import (
    NOON,
    assert_failed,
    assert_passed,
    assert_unknown,
    facts,
    kept,
    look,
    published,
    receipt,
    send,
    sent,
    sql,
)
from tests.engine.test_sending import plan_channel, plan_of
from tests.servers.engine import engine_processes
from wayfare_engine.clock import now
from wayfare_engine.ledger import Kind
from wayfare_engine.ledger.bodies import Outcome
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.plan import Plan

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
