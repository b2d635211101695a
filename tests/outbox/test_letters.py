"""Dead letters and unknowns: what is one, and what a person's word does, with workers at work."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.outbox.conftest import WINDOW, Outbox, in_thread, now
from tests.servers.receivers import Fault, boottime
from tests.servers.wait import until
from wayfare_engine.clock import new_id
from wayfare_engine.facts import Draft, Fact, write
from wayfare_engine.ledger import fence
from wayfare_engine.ledger.bodies import OptOut, Receipt
from wayfare_engine.ledger.fence import StaleEpoch
from wayfare_engine.outbox import Origin, PlannedSend, Retry, SendWorker
from wayfare_engine.outbox.checks import ContactCap
from wayfare_engine.outbox.letters import Letter, Sort, Wanted, counts, keys, letters, listed
from wayfare_engine.outbox.rulings import Action, Ruled, Word, rule

GIVES_UP = Retry(pause=0.05, longest_pause=0.1, give_up_after=0.5)
TOLD = "asked the provider: it has no such message"


def say(
    outbox: Outbox, action: Action, *sends: PlannedSend, sort: Sort = "dead-letters", **more: Any
) -> list[Ruled]:
    """A person's word on some sends, in their order."""
    if action == "Replay" and sort == "unknowns":
        more.setdefault("statement", TOLD)
    with psycopg.connect(outbox.dsn, autocommit=True) as connection:
        told = rule(
            connection,
            sort,
            [send.key for send in sends],
            Word(action, "ada", "the outage is over", **more),
            site=outbox.site,
            ids=new_id,
            clock=now,
        )
    by_key = {one.send_key: one for one in told}
    return [by_key[send.key] for send in sends]


def results(told: list[Ruled]) -> list[str]:
    return [one.result for one in told]


def found(outbox: Outbox, sort: Sort = "dead-letters", **wanted: Any) -> list[Letter]:
    with psycopg.connect(outbox.dsn, autocommit=True) as connection:
        return letters(connection, sort, Wanted(**wanted), limit=100)


def receipt(outbox: Outbox, send: PlannedSend, state: Any) -> None:
    fact = Fact(Receipt(send_key=send.key, state=state), now(), send.customer)
    with psycopg.connect(outbox.dsn, autocommit=True) as connection:
        write(connection, [Draft(new_id(), fact)], site=outbox.site)


def opt_out(outbox: Outbox, send: PlannedSend, channel: str) -> None:
    fact = Fact(OptOut(customer=send.customer, channel=channel, out=True), now())
    with psycopg.connect(outbox.dsn, autocommit=True) as connection:
        write(connection, [Draft(new_id(), fact)], site=outbox.site)


def end(outbox: Outbox, *sends: PlannedSend, **sending: Any) -> None:
    """Plan them, and have a worker end them."""
    outbox.plan(*sends)
    finals = ("Accepted", "Rejected", "Expired", "Unknown")
    with outbox.sealing(), outbox.sending(**sending):
        until(lambda: all(outbox.outcome(send) in finals for send in sends), what="their ends")


def rejected(outbox: Outbox, count: int = 1) -> list[PlannedSend]:
    """Sends that their channel refused."""
    outbox.receivers["Key"].fail(Fault("rejected", times=count))
    sends = [outbox.send("Key") for _ in range(count)]
    end(outbox, *sends)
    return sends


def unknown(outbox: Outbox, fault: str = "error") -> PlannedSend:
    """A send of which nobody knows; it took no effect with `error`, and did with `lost`."""
    outbox.receivers["None"].fail(Fault(fault))  # type: ignore[arg-type]
    send = outbox.send("None")
    end(outbox, send)
    assert outbox.outcome(send) == "Unknown"
    return send


def test_what_ended_for_want_of_a_way_out_is_a_dead_letter_and_what_a_rule_forbade_is_not(
    outbox: Outbox,
) -> None:
    outbox.receivers["Key"].fail(Fault("rejected"))
    refused = outbox.send("Key")
    end(outbox, refused)
    outbox.receivers["Query"].refuse()
    given_up = outbox.send("Query", due=now() - timedelta(seconds=1))
    waited = outbox.send("None", expires=now() - timedelta(seconds=0.1))
    unwanted, taken = outbox.send("Key"), outbox.send("Key", customer="bo", node="first")
    held = outbox.send("Key", customer="bo", node="second", expires=now() + timedelta(hours=1))
    opt_out(outbox, unwanted, "*")
    end(outbox, taken)
    cap = ContactCap(1, 86_400.0)
    outbox.plan(held)
    end(
        outbox,
        *(given_up, waited, unwanted),
        channels=outbox.channels(retry=GIVES_UP),
        checks=(cap,),
    )
    with outbox.sealing(), outbox.sending(checks=(cap,)):
        until(lambda: outbox.ask("SELECT FROM wayfare.send_holds WHERE by_rule"), what="the hold")
    later = SendWorker(
        outbox.dsn,
        Origin(outbox.site, outbox.epoch, new_id, lambda: now() + timedelta(hours=2)),
        channels=outbox.channels(),
        guard=outbox,
        window=WINDOW,
        boottime=boottime,
        checks=(cap,),
    )
    with outbox.sealing(), in_thread(later.run):
        until(lambda: outbox.outcome(held) == "Expired", what="its expiry")

    listed_here = {one.send_key: (one.outcome, one.cause) for one in found(outbox)}
    assert listed_here == {
        refused.key: ("Rejected", "Channel"),
        given_up.key: ("Rejected", "GivenUp"),
        waited.key: ("Expired", "Waited"),
    }
    query = "SELECT outcome, cause, detail FROM wayfare.outbox WHERE send_key = %s"
    assert outbox.ask(query, unwanted.key) == [("Rejected", "Rule", "opted out")]
    assert outbox.ask(query, held.key) == [
        ("Expired", "Rule", "expired while held back: contact cap")
    ]
    assert results(say(outbox, "Replay", unwanted, held)) == ["refused", "refused"]


def test_the_list_can_be_narrowed_and_counts_why(outbox: Outbox) -> None:
    first, second = rejected(outbox, 2)
    start = now()
    third = outbox.send("Key", journey="renewal")
    outbox.receivers["Key"].fail(Fault("rejected"))
    end(outbox, third)
    say(outbox, "Drop", second)

    assert [one.send_key for one in found(outbox)] == [third.key, first.key]
    assert [one.send_key for one in found(outbox, since=start)] == [third.key]
    assert [one.send_key for one in found(outbox, journey="renewal")] == [third.key]
    assert len(found(outbox, channel="Key", reason="channel")) == 2
    assert found(outbox, channel="Query") == found(outbox, reason="nothing like it") == []
    with psycopg.connect(outbox.dsn, autocommit=True) as connection:
        counted = counts(connection, "dead-letters", Wanted())
        [(at, key)] = keys(connection, "dead-letters", Wanted(), limit=1)
        rest = keys(connection, "dead-letters", Wanted(), limit=9, after=(at, key))
        assert listed(connection, "dead-letters") == {"Key": 2}
    assert (counted.total, counted.dropped) == (2, 1)
    assert sum(count for _, _, count in counted.by_reason) == 2
    assert [key, *(other for _, other in rest)] == [first.key, third.key]


def test_a_replayed_dead_letter_has_a_new_turn_under_its_own_key(outbox: Outbox) -> None:
    [send] = rejected(outbox)
    assert results(say(outbox, "Replay", send)) == ["done"]
    assert results(say(outbox, "Replay", send)) == ["again"]
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    assert outbox.receivers["Key"].effects() == {send.key: 1}
    assert results(say(outbox, "Replay", send)) == ["again"]
    assert found(outbox) == []


def test_retries_count_anew_after_a_replay(outbox: Outbox) -> None:
    send = outbox.send("Key", due=now() - timedelta(hours=1))
    outbox.receivers["Key"].refuse()
    channels = outbox.channels(retry=Retry(pause=0.05, longest_pause=60.0, give_up_after=1800.0))
    end(outbox, send, channels=channels)
    assert [one.cause for one in found(outbox)] == ["GivenUp"]
    say(outbox, "Replay", send)
    with outbox.sealing(), outbox.sending(channels=channels):
        until(lambda: outbox.state(send)[1] >= 5, what="its tries")
        assert outbox.outcome(send) != "Rejected"
        outbox.receivers["Key"].listen()
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")


def test_what_expired_is_replayed_only_with_a_new_time(outbox: Outbox) -> None:
    send = outbox.send("Key", expires=now() - timedelta(seconds=1))
    end(outbox, send)
    [told] = say(outbox, "Replay", send)
    assert (told.result, "it expired at" in told.why) == ("refused", True)
    assert results(say(outbox, "Replay", send, expires=now() + timedelta(hours=1))) == ["done"]
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")


def test_an_unknown_is_replayed_only_with_a_statement_that_it_took_no_effect(
    outbox: Outbox,
) -> None:
    send = unknown(outbox)
    with pytest.raises(ValueError, match="statement"):
        say(outbox, "Replay", send, sort="unknowns", statement=" ")
    assert results(say(outbox, "Replay", send)) == ["refused"], "it is no dead letter"
    assert results(say(outbox, "Replay", send, sort="unknowns")) == ["done"]
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    assert outbox.receivers["None"].effects() == {send.key: 1}
    assert outbox.ask(
        "SELECT body->>'by', body->>'statement', body->>'ended' FROM wayfare.ledger "
        "WHERE kind = 'ruling'"
    ) == [("ada", TOLD, "Unknown")]


@pytest.mark.parametrize("state", ["delivered", "failed"])
def test_an_unknown_that_a_receipt_speaks_of_is_known(outbox: Outbox, state: str) -> None:
    send = unknown(outbox, "lost")
    receipt(outbox, send, state)
    assert found(outbox, "unknowns") == []
    with psycopg.connect(outbox.dsn, autocommit=True) as connection:
        assert counts(connection, "unknowns", Wanted()).by_receipt == 1
    [told] = say(outbox, "Replay", send, sort="unknowns")
    assert (told.result, state in told.why) == ("refused", True)


def test_a_receipt_between_the_replay_and_its_turn_stops_it(outbox: Outbox) -> None:
    send = unknown(outbox, "lost")
    say(outbox, "Replay", send, sort="unknowns")
    receipt(outbox, send, "delivered")
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    assert outbox.state(send)[2] == "known by its receipt: delivered"
    assert outbox.receivers["None"].effects() == {send.key: 1}


def test_who_opted_out_meanwhile_is_not_sent_a_replay(outbox: Outbox) -> None:
    [send] = rejected(outbox)
    opt_out(outbox, send, "Key")
    say(outbox, "Replay", send)
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(send) == "Rejected", what="the end")
    assert found(outbox) == []
    assert outbox.receivers["Key"].effects() == {}


def test_a_drop_leaves_the_list_and_comes_back_when_it_is_undone(outbox: Outbox) -> None:
    first, second = rejected(outbox, 2)
    assert results(say(outbox, "Drop", first, second)) == ["done", "done"]
    assert results(say(outbox, "Drop", first)) == ["again"]
    assert found(outbox) == []
    assert results(say(outbox, "Undo", first)) == ["done"]
    assert results(say(outbox, "Undo", first)) == ["again"]
    assert [one.send_key for one in found(outbox)] == [first.key]
    assert results(say(outbox, "Replay", second)) == ["done"], "a dropped one may go again"
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(second) == "Accepted", what="the outcome")


@pytest.mark.parametrize("sort", ["dead-letters", "unknowns"])
def test_a_replay_can_be_undone_until_its_turn(outbox: Outbox, sort: Sort) -> None:
    send = rejected(outbox)[0] if sort == "dead-letters" else unknown(outbox)
    before = outbox.ask("SELECT outcome, detail, cause FROM wayfare.outbox")
    say(outbox, "Replay", send, sort=sort)
    assert outbox.outcome(send) == "NotAccepted"
    assert results(say(outbox, "Undo", send, sort=sort)) == ["done"]
    assert outbox.ask("SELECT outcome, detail, cause FROM wayfare.outbox") == before
    with outbox.sealing(), outbox.sending():
        other = outbox.send("Query")
        outbox.plan(other)
        until(lambda: outbox.outcome(other) == "Accepted", what="another send")
    assert outbox.outcome(send) == before[0][0]

    say(outbox, "Replay", send, sort=sort)
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    [told] = say(outbox, "Undo", send, sort=sort)
    assert (told.result, told.why) == ("refused", "too late to undo: it is Accepted since")


def test_what_is_under_way_or_accepted_is_refused(outbox: Outbox) -> None:
    accepted, waiting = outbox.send("Key"), outbox.send("Key", due=now() + timedelta(hours=1))
    outbox.plan(waiting)
    end(outbox, accepted)
    outbox.receivers["Query"].fail(Fault("slow", seconds=0.3))
    going = outbox.send("Query")
    outbox.plan(going)
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.state(going)[1] == 1, what="its dispatch")
        [told] = say(outbox, "Replay", going)
        until(lambda: outbox.outcome(going) == "Accepted", what="the outcome")
    assert (told.result, told.why) == ("refused", "it is under way")
    assert [one.why for one in say(outbox, "Replay", accepted, waiting)] == [
        "it was accepted",
        "it waits for its turn",
    ]


def test_ten_people_at_once_replay_it_once(outbox: Outbox) -> None:
    sends = rejected(outbox, 20)
    told: list[Ruled] = []
    barrier = threading.Barrier(10)

    def person() -> None:
        barrier.wait()
        told.extend(say(outbox, "Replay", *sends))

    with outbox.sealing(), outbox.sending():
        people = [threading.Thread(target=person) for _ in range(10)]
        for one in people:
            one.start()
        for one in people:
            one.join()
        until(lambda: outbox.count("Accepted") == 20, what="all are accepted")
    assert sorted(results(told)) == ["again"] * 180 + ["done"] * 20
    assert outbox.receivers["Key"].effects() == {send.key: 1 for send in sends}


def test_nothing_is_ruled_where_the_epoch_is_over(outbox: Outbox) -> None:
    [send] = rejected(outbox)
    with psycopg.connect(outbox.dsn, autocommit=True) as connection:
        fence.raise_epoch(connection, 2, held=False)
    for action in ("Replay", "Drop", "Undo"):
        with pytest.raises(StaleEpoch, match="another site holds"):
            say(outbox, action, send)
    assert outbox.ask("SELECT count(*)::int FROM wayfare.rulings") == [(0,)]
