"""Sends that were dispatched and have no outcome."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.outbox.conftest import WINDOW, Outbox, now
from tests.servers.receivers import Dedupe, Fault, boottime
from tests.servers.wait import until
from wayfare_engine.outbox import Channel, HttpHost, Key, NoDedupe, PlannedSend, Query, Send
from wayfare_engine.outbox.channel import Dedupe as Declared
from wayfare_engine.outbox.checks import Refused
from wayfare_engine.outbox.dispatch import take_turns
from wayfare_engine.outbox.in_doubt import (
    Ask,
    GiveUp,
    InDoubt,
    Repeat,
    standings,
    unknown_sends,
    what_to_do,
)
from wayfare_engine.outbox.outcome import Ended, outcome_batch, write_outcomes

NOBODY = HttpHost("http://127.0.0.1:1", boottime=boottime, connect_seconds=1)
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


def in_doubt_since(seconds: float, *, site: str = "east", expires: float | None = None) -> InDoubt:
    end = None if expires is None else AT + timedelta(seconds=expires)
    send = Send("key", "anna", "sms", "{}", 1, AT, end)
    return InDoubt(send, site, 1, AT - timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("declared", "doubt", "same_account", "expected"),
    [
        (Key(100), in_doubt_since(0), True, Repeat),
        (Key(100), in_doubt_since(89), True, Repeat),
        (Key(100), in_doubt_since(91), True, GiveUp),
        (Key(100), in_doubt_since(-1), True, GiveUp),
        (Key(100), in_doubt_since(1, expires=-1), True, GiveUp),
        (Key(100), in_doubt_since(1, site="west"), True, Repeat),
        (Key(100), in_doubt_since(1, site="west"), False, GiveUp),
        (Key(100), in_doubt_since(1), False, Repeat),
        (Query(), in_doubt_since(1), True, Ask),
        (Query(), in_doubt_since(1, site="west"), False, GiveUp),
        (NoDedupe(), in_doubt_since(1), True, GiveUp),
    ],
)
def test_the_rule(declared: Declared, doubt: InDoubt, same_account: bool, expected: type) -> None:
    channel = Channel("sms", NOBODY, declared, same_account=same_account)
    assert isinstance(what_to_do(doubt, channel, site="east", now=AT), expected)


def test_a_question_that_nobody_answers_for_too_long_is_put_one_last_time() -> None:
    channel = Channel("sms", NOBODY, Query())
    long_ago = in_doubt_since(channel.retry.give_up_after + 1)
    assert what_to_do(long_ago, channel, site="east", now=AT) == Ask(give_up=True)
    assert what_to_do(in_doubt_since(1), channel, site="east", now=AT) == Ask(give_up=False)


@pytest.mark.parametrize("kind", ["Key", "Query"])
@pytest.mark.parametrize(
    "fault", [Fault("lost"), Fault("error"), Fault("hang", seconds=2 * WINDOW)]
)
def test_a_lost_answer_leads_to_one_effect(outbox: Outbox, kind: Dedupe, fault: Fault) -> None:
    outbox.receivers[kind].fail(fault)
    send = outbox.send(kind)
    outbox.plan(send)
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    assert outbox.receivers[kind].effects() == {send.key: 1}


@pytest.mark.parametrize(("fault", "effects"), [("lost", 1), ("error", 0)])
def test_without_a_way_to_tell_it_is_listed_and_never_repeated(
    outbox: Outbox, fault: str, effects: int
) -> None:
    outbox.receivers["None"].fail(Fault(fault))  # type: ignore[arg-type]
    send = outbox.send("None")
    outbox.plan(send)
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(send) == "Unknown", what="the outcome")
    assert sum(outbox.receivers["None"].effects().values()) == effects
    assert [r.what for r in outbox.receivers["None"].records()].count("start") == 1
    with psycopg.connect(outbox.dsn) as connection:
        listed = unknown_sends(connection)
        assert [(u.send_key, u.site, u.epoch) for u in listed] == [(send.key, "east", 1)]
        assert standings(connection) == {"unknown": 1}


def test_a_slow_host_is_not_asked_before_its_time_is_over(outbox: Outbox) -> None:
    # It takes effect late in its window: a "no" before that would be wrong.
    outbox.receivers["Query"].fail(Fault("slow", seconds=WINDOW * 0.9))
    send = outbox.send("Query")
    outbox.plan(send)
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    assert outbox.receivers["Query"].effects() == {send.key: 1}


def abandoned(outbox: Outbox, kind: Dedupe, *, site: str = "east") -> PlannedSend:
    """A send that a worker dispatched before it died."""
    send = outbox.send(kind)
    outbox.plan(send)
    origin = replace(outbox.origin, site=site)
    with psycopg.connect(outbox.dsn, autocommit=True) as connection:
        turn = take_turns(
            connection,
            origin,
            channels=outbox.channels(),
            partitions=range(64),
            busy=(),
            checks=(),
            limit=10,
            room={},
        )
    assert [s.send_key for s in turn.sends] == [send.key]
    return send


@pytest.mark.parametrize(
    ("kind", "outcome", "effects"),
    [("Key", "Accepted", 1), ("Query", "Accepted", 1), ("None", "Unknown", 0)],
)
def test_a_dead_workers_sends_are_resolved_by_the_next(
    outbox: Outbox, kind: Dedupe, outcome: str, effects: int
) -> None:
    send = abandoned(outbox, kind)
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(send) == outcome, what="the outcome")
    assert sum(outbox.receivers[kind].effects().values()) == effects


def test_a_repeat_is_a_dispatch_of_its_own_that_waits_for_the_store(outbox: Outbox) -> None:
    send = abandoned(outbox, "Key")
    with outbox.sending():
        until(lambda: outbox.state(send)[1] == 2, what="the second dispatch")
        assert outbox.receivers["Key"].records() == []
        with outbox.sealing():
            until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")


def test_what_the_other_site_left_in_doubt_is_unknown_without_a_common_account(
    outbox: Outbox,
) -> None:
    send = abandoned(outbox, "Key", site="west")
    with outbox.sealing(), outbox.sending(channels=outbox.channels(same_account=False)):
        until(lambda: outbox.outcome(send) == "Unknown", what="the outcome")
    assert "west" in (outbox.state(send)[2] or "")


def test_a_window_that_has_passed_is_not_used(outbox: Outbox) -> None:
    send = abandoned(outbox, "Key")
    with outbox.sealing(), outbox.sending(channels=outbox.channels(dedupe=Key(0.1))):
        until(lambda: outbox.outcome(send) == "Unknown", what="the outcome")
    assert outbox.receivers["Key"].records() == []


def test_the_window_counts_from_the_first_dispatch(outbox: Outbox) -> None:
    outbox.receivers["Key"].fail(Fault("error", times=1000))
    send = outbox.send("Key")
    outbox.plan(send)
    window = 6 * WINDOW
    with outbox.sealing(), outbox.sending(channels=outbox.channels(dedupe=Key(window))):
        until(lambda: outbox.outcome(send) == "Unknown", what="the outcome")
    starts = [r.at for r in outbox.receivers["Key"].records() if r.what == "start"]
    assert len(starts) > 1
    assert starts[-1] - starts[0] < window


def test_a_repeat_that_a_check_forbids_is_not_made(outbox: Outbox) -> None:
    send = abandoned(outbox, "Key")

    def refuse(connection: object, sends: list[Send], at: datetime) -> dict[str, Refused]:
        return {s.send_key: Refused("Rejected", "governed") for s in sends}

    with outbox.sealing(), outbox.sending(checks=[refuse]):
        until(lambda: outbox.outcome(send) == "Unknown", what="the outcome")
    assert outbox.receivers["Key"].records() == []
    assert outbox.state(send)[2] == "governed, while in doubt"


@pytest.mark.parametrize("then", ["not_accepted", "held"])
def test_a_repeat_that_is_not_accepted_leaves_the_first_attempt_in_doubt(
    outbox: Outbox, then: str
) -> None:
    """It took effect, and only its answer was lost: after the window nothing may leave again."""
    receiver = outbox.receivers["Key"]
    receiver.fail(Fault("lost"))
    if then == "not_accepted":
        receiver.fail(Fault("not_accepted", times=1000))
    send = outbox.send("Key")
    outbox.plan(send)
    with outbox.sealing(), outbox.sending(channels=outbox.channels(dedupe=Key(5 * WINDOW))):
        until(lambda: receiver.effects() == {send.key: 1}, what="the effect")
        if then == "held":
            outbox.lapse()
            until(
                lambda: now() - send.due > timedelta(seconds=5 * WINDOW + 1),
                what="the window's end",
            )
            outbox.hold()
        until(lambda: outbox.outcome(send) == "Unknown", what="the outcome")
        receiver.calm()
        receiver.forget()
    assert receiver.effects() == {send.key: 1}


def test_a_late_acceptance_is_not_in_doubt_again(outbox: Outbox) -> None:
    """Attempt 1 was accepted, and that was written after attempt 2 had been dispatched."""
    send = abandoned(outbox, "Key")
    with outbox.sending():
        until(lambda: outbox.state(send)[1] == 2, what="the second dispatch")
        first = Send(send.key, send.customer, "Key", "{}", 1, send.due)
        batch = outcome_batch([Ended(first, "Accepted")], [], outbox.channels(), outbox.origin)
        with psycopg.connect(outbox.dsn, autocommit=True) as connection:
            write_outcomes(connection, batch)
            write_outcomes(connection, batch)
    with psycopg.connect(outbox.dsn) as connection:
        assert standings(connection) == {"accepted": 1}
    written = outbox.ask("SELECT count(*) FROM wayfare.ledger WHERE id = %s", batch.rows[0].id)
    assert written == [(1,)]
