"""What a channel definitely did not take goes on through its fallback; nothing else does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.outbox.conftest import Outbox, now
from tests.servers.receivers import Fault
from tests.servers.wait import until
from wayfare_engine.ledger import Kind
from wayfare_engine.ledger.bodies import OptOut
from wayfare_engine.outbox import Channel, PlannedSend, Retry
from wayfare_engine.outbox.facts import record
from wayfare_engine.outbox.fallback import FallbackProblem

GIVES_UP = Retry(pause=0.05, longest_pause=0.1, give_up_after=0.5)


def falling(outbox: Outbox, way: dict[str, str], **changes: Any) -> dict[str, Channel]:
    """The outbox's channels, some with a fallback."""
    channels = outbox.channels(**changes)
    return {name: replace(channel, fallback=way.get(name)) for name, channel in channels.items()}


def attempts(outbox: Outbox, send: PlannedSend) -> list[tuple[str, str | None]]:
    """(channel of the dispatch, what became of it), as the ledger has them."""
    return outbox.ask(
        "SELECT d.body->>'channel', o.body->>'result' FROM wayfare.ledger d "
        "LEFT JOIN wayfare.ledger o ON o.kind = 'outcome' "
        "AND o.body->>'send_key' = d.body->>'send_key' "
        "AND o.body->>'attempt' = d.body->>'attempt' "
        "WHERE d.kind = 'dispatch' AND d.body->>'send_key' = %s "
        "ORDER BY (d.body->>'attempt')::int",
        send.key,
    )


def test_what_is_rejected_goes_on_at_once_under_the_same_key(outbox: Outbox) -> None:
    outbox.receivers["Key"].fail(Fault("rejected"))
    send = outbox.send("Key")
    outbox.plan(send)
    with outbox.sealing(), outbox.sending(channels=falling(outbox, {"Key": "Query"})):
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    assert attempts(outbox, send) == [("Key", "NotAccepted"), ("Query", "Accepted")]
    assert outbox.receivers["Key"].effects() == {}
    assert outbox.receivers["Query"].effects() == {send.key: 1}


def test_what_is_given_up_goes_on(outbox: Outbox) -> None:
    outbox.receivers["Key"].refuse()
    send = outbox.send("Key", due=now())
    outbox.plan(send)
    channels = falling(outbox, {"Key": "None"}, retry=GIVES_UP)
    with outbox.sealing(), outbox.sending(channels=channels):
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    tried = attempts(outbox, send)
    assert tried[0] == ("Key", "NotAccepted")
    assert tried[-1] == ("None", "Accepted")
    assert outbox.receivers["None"].effects() == {send.key: 1}


def test_a_fallback_has_its_own_time_before_it_is_given_up(outbox: Outbox) -> None:
    outbox.receivers["Key"].fail(Fault("rejected"))
    outbox.receivers["Query"].fail(Fault("not_accepted", times=3))
    send = outbox.send("Key", due=now() - timedelta(seconds=30))
    outbox.plan(send)
    channels = falling(outbox, {"Key": "Query"}, retry=replace(GIVES_UP, give_up_after=29.0))
    with outbox.sealing(), outbox.sending(channels=channels):
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    assert [channel for channel, _ in attempts(outbox, send)] == ["Key"] + ["Query"] * 4


def test_nothing_goes_on_after_an_unknown_outcome(outbox: Outbox) -> None:
    outbox.receivers["None"].fail(Fault("lost"))
    send = outbox.send("None")
    outbox.plan(send)
    with outbox.sealing(), outbox.sending(channels=falling(outbox, {"None": "Key"})):
        until(lambda: outbox.outcome(send) == "Unknown", what="the outcome")
        later = outbox.send("None")
        outbox.plan(later)
        until(lambda: outbox.outcome(later) == "Accepted", what="a later send")
    assert outbox.receivers["Key"].records() == []
    assert outbox.receivers["None"].effects() == {send.key: 1, later.key: 1}


def test_the_last_of_a_chain_rejects_for_good(outbox: Outbox) -> None:
    for receiver in outbox.receivers.values():
        receiver.fail(Fault("rejected", times=5))
    send = outbox.send("Key")
    outbox.plan(send)
    channels = falling(outbox, {"Key": "Query", "Query": "None"})
    with outbox.sealing(), outbox.sending(channels=channels):
        until(lambda: outbox.outcome(send) == "Rejected", what="the end")
    assert attempts(outbox, send) == [
        ("Key", "NotAccepted"),
        ("Query", "NotAccepted"),
        ("None", "Rejected"),
    ]


def test_who_opted_out_is_not_reached_by_another_way(outbox: Outbox) -> None:
    send = outbox.send("Key")
    out = OptOut(customer=send.customer, channel="Key", out=True)
    with psycopg.connect(outbox.dsn, autocommit=True) as connection:
        row = outbox.origin.row(Kind.OPT_OUT, send.customer, out, now())
        record(connection, [row._replace(version=1)])
    outbox.plan(send)
    with outbox.sealing(), outbox.sending(channels=falling(outbox, {"Key": "Query"})):
        until(lambda: outbox.outcome(send) == "Rejected", what="the end")
    assert outbox.receivers["Query"].records() == []


def test_a_worker_that_comes_after_goes_on_where_it_is(outbox: Outbox) -> None:
    outbox.receivers["Key"].fail(Fault("rejected"))
    send = outbox.send("Key")
    outbox.plan(send)
    channels = falling(outbox, {"Key": "Query"})
    first = {"Key": channels["Key"], "Query": replace(channels["Query"], ahead=0)}
    with outbox.sealing():
        with outbox.sending(channels=first):
            until(lambda: outbox.outcome(send) == "NotAccepted", what="the rejection")
        with outbox.sending(channels=channels):
            until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    assert attempts(outbox, send) == [("Key", "NotAccepted"), ("Query", "Accepted")]


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ({"Key": "Query", "Query": "None", "None": "Key"}, "circle: Key, Query, None"),
        ({"Key": "Key"}, "circle: Key"),
        ({"Key": "Fax"}, "no channel Fax"),
    ],
)
def test_fallbacks_that_lead_nowhere_are_refused(
    outbox: Outbox, way: dict[str, str], says: str
) -> None:
    with pytest.raises(FallbackProblem, match=says):
        outbox.worker(channels=falling(outbox, way))
