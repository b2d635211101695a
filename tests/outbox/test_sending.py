"""A send from its intent to its outcome."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.outbox.conftest import Outbox, now
from tests.servers.receivers import Dedupe, Fault
from tests.servers.wait import until
from wayfare_engine.ledger import Kind
from wayfare_engine.ledger.bodies import OptOut
from wayfare_engine.outbox.facts import record

KINDS: tuple[Dedupe, ...] = ("Key", "Query", "None")


def test_a_send_is_planned_once_however_often_its_node_fires(outbox: Outbox) -> None:
    send = outbox.send("Key")
    assert outbox.plan(send, send) == 1
    assert outbox.plan(send) == 0
    assert outbox.ask("SELECT count(*) FROM wayfare.ledger WHERE kind = 'intent'") == [(1,)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_due_leaves_and_is_accepted(outbox: Outbox, kind: Dedupe) -> None:
    send = outbox.send(kind)
    outbox.plan(send)
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    assert outbox.receivers[kind].effects() == {send.key: 1}


def test_nothing_leaves_before_its_dispatch_is_in_the_store(outbox: Outbox) -> None:
    send = outbox.send("Key")
    outbox.plan(send)
    with outbox.sending():
        until(lambda: outbox.state(send)[1] == 1, what="the dispatch")
        # It is dispatched, nobody seals, and the worker is given many of its steps.
        steps = outbox.ask("SELECT count(*) FROM wayfare.ledger WHERE kind = 'dispatch'")
        assert steps == [(1,)]
        assert outbox.receivers["Key"].records() == []
        with outbox.sealing():
            until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")


def test_a_local_channel_does_not_wait_for_the_store(outbox: Outbox) -> None:
    send = outbox.send("Key")
    outbox.plan(send)
    with outbox.sending(channels=outbox.channels(guard="Local")):
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")


def test_what_is_not_due_waits(outbox: Outbox) -> None:
    early, due = outbox.send("Key", due=now() + timedelta(hours=1)), outbox.send("Key")
    outbox.plan(early, due)
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(due) == "Accepted", what="the outcome")
    assert outbox.state(early) == (None, 0, None)


def test_without_the_right_to_act_no_turn_is_taken_and_expiry_still_comes(outbox: Outbox) -> None:
    waiting = outbox.send("Key")
    expiring = outbox.send("Key", expires=now() + timedelta(milliseconds=300))
    outbox.plan(waiting, expiring)
    outbox.lapse()
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(expiring) == "Expired", what="the expiry")
        assert outbox.state(waiting) == (None, 0, None)
        assert outbox.receivers["Key"].records() == []
        outbox.hold()
        until(lambda: outbox.outcome(waiting) == "Accepted", what="the outcome")


def test_a_dispatch_whose_right_to_act_lapsed_is_held_and_has_its_turn_again(
    outbox: Outbox,
) -> None:
    send = outbox.send("None")
    outbox.plan(send)
    with outbox.sending():
        until(lambda: outbox.state(send)[1] == 1, what="the dispatch")
        outbox.lapse()
        until(lambda: outbox.outcome(send) == "Held", what="that it is held")
        assert outbox.receivers["None"].records() == []
        outbox.hold()
        with outbox.sealing():
            until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    assert outbox.receivers["None"].effects() == {send.key: 1}


def test_opted_out_customers_get_nothing(outbox: Outbox) -> None:
    no_sms, nothing = outbox.send("Key", customer="anna"), outbox.send("Key", customer="ben")
    other = outbox.send("Query", customer="anna", node="other")
    with psycopg.connect(outbox.dsn, autocommit=True) as connection:
        at = now()
        for customer, channel in (("anna", "Key"), ("ben", "*")):
            body = OptOut(customer=customer, channel=channel, out=True)
            row = outbox.origin.row(Kind.OPT_OUT, customer, body, at)
            record(connection, [row._replace(key=f"{customer}/{channel}", version=1)])
    outbox.plan(no_sms, nothing, other)
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(other) == "Accepted", what="the outcome of the other")
        until(lambda: outbox.outcome(nothing) == "Rejected", what="the refusal")
    assert outbox.state(no_sms) == ("Rejected", 0, "opted out")
    assert outbox.receivers["Key"].records() == []


def test_only_a_definite_non_acceptance_is_tried_again(outbox: Outbox) -> None:
    outbox.receivers["None"].fail(Fault("not_accepted", times=2))
    outbox.receivers["Query"].fail(Fault("rejected"))
    again, never = outbox.send("None"), outbox.send("Query")
    outbox.plan(again, never)
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(again) == "Accepted", what="the third attempt")
        until(lambda: outbox.outcome(never) == "Rejected", what="the rejection")
    assert outbox.state(again)[1] == 3
    assert outbox.state(never)[1:] == (1, "no such number")


def test_a_refused_connection_is_definite(outbox: Outbox) -> None:
    outbox.receivers["None"].refuse()
    send = outbox.send("None")
    outbox.plan(send)
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(send) == "NotAccepted", what="the refusal")
        outbox.receivers["None"].listen()
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")


def test_sends_of_a_customer_go_in_the_order_in_which_they_are_due(outbox: Outbox) -> None:
    start = now() - timedelta(minutes=10)
    dues = [start + timedelta(seconds=(i * 7) % 5) for i in range(5)]
    sends = [
        outbox.send("Key", customer="anna", node=f"n{i}", due=due) for i, due in enumerate(dues)
    ]
    outbox.plan(*sends)
    with outbox.sealing(), outbox.sending(), outbox.sending():
        until(lambda: outbox.count("Accepted") == len(sends), what="all outcomes")
    order = [r.send_key for r in outbox.receivers["Key"].records() if r.what == "effect"]
    assert order == [s.key for s in sorted(sends, key=lambda s: s.due)]


def test_two_workers_hand_each_send_over_once(outbox: Outbox) -> None:
    sends = [outbox.send("None") for _ in range(200)]
    outbox.plan(*sends)
    with outbox.sealing(), outbox.sending(), outbox.sending():
        until(lambda: outbox.count("Accepted") == len(sends), what="all outcomes")
    starts = [r.send_key for r in outbox.receivers["None"].records() if r.what == "start"]
    assert sorted(starts) == sorted(s.key for s in sends)


def test_of_what_cannot_be_asked_about_few_are_dispatched_ahead(outbox: Outbox) -> None:
    """Each of them is Unknown for ever when its worker dies now."""
    sends = [outbox.send("None") for _ in range(12)]
    others = [outbox.send("Key") for _ in range(12)]
    outbox.plan(*sends, *others)
    with outbox.sending(channels=outbox.channels(ahead=5)):
        # Nobody seals, so that nothing is handed over.
        dispatched = "SELECT count(*) FROM wayfare.ledger WHERE kind = 'dispatch'"
        until(lambda: outbox.ask(dispatched) == [(10,)], what="five of each")
    channels = {**outbox.channels(), "None": outbox.channels(ahead=5)["None"]}
    assert channels["Key"].most_ahead is None
    with outbox.sealing(), outbox.sending(channels=channels):
        until(lambda: outbox.count("Accepted") + outbox.count("Unknown") == 24, what="all ended")
    assert outbox.count("Unknown") == 0, "what was dispatched and had not left is held, not lost"


def test_a_full_channel_holds_up_its_customers_later_sends(outbox: Outbox) -> None:
    def send(customer: str, kind: Dedupe, minutes: int) -> Any:
        due = now() - timedelta(minutes=minutes)
        return outbox.send(kind, customer=customer, due=due, node=f"{kind}-{minutes}")

    first = [send(f"c{n}", "None", 9) for n in range(3)]
    second = [send(f"c{n}", "Key", 5) for n in range(3)]
    outbox.plan(*first, *second)
    channels = {**outbox.channels(), "None": outbox.channels(ahead=1)["None"]}
    with outbox.sealing(), outbox.sending(channels=channels):
        until(lambda: outbox.count("Accepted") == 6, what="all accepted")
    at = {
        (r.customer, r.send_key): r.at
        for kind in ("None", "Key")
        for r in outbox.receivers[kind].records()
        if r.what == "effect"
    }
    for one, other in zip(first, second, strict=True):
        assert at[one.customer, one.key] < at[other.customer, other.key]
