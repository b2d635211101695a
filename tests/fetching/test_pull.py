"""Sends that are fetched: given once at a time, in order, and settled by what pullers say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.fetching.conftest import Site, said
from tests.outbox.conftest import now
from tests.servers import web
from tests.servers.wait import until
from wayfare_engine.clock import new_id
from wayfare_engine.facts import Draft, Fact, write
from wayfare_engine.ledger import Kind
from wayfare_engine.ledger.bodies import OptOut
from wayfare_engine.outbox.in_doubt import standings

CORE, FAX = "bank/core", "bank/fax"


def test_a_send_is_fetched_and_acknowledged(site: Site) -> None:
    send = site.send_through(CORE, payload='{"text": "call"}', expires=now() + timedelta(hours=1))
    site.plan(send)
    with site.known():
        (given,) = site.fetch_until(CORE, lease="45s")
        with psycopg.connect(site.dsn) as connection:
            assert standings(connection) == {"offered": 1}
        assert site.acknowledge(CORE, said(given, "Accepted", provider_id="m-7")) == ["Settled"]
    assert (given["send_key"], given["customer"]) == (send.key, send.customer)
    assert given["content"] == {"text": "call"}
    assert datetime.fromisoformat(given["due"]) == send.due
    left = datetime.fromisoformat(given["until"]) - now()
    assert timedelta(seconds=20) < left <= timedelta(seconds=45)
    assert site.outcome(send) == "Accepted"
    assert site.ask("SELECT provider_id FROM wayfare.outbox") == [("m-7",)]
    assert site.ask("SELECT count(*) FROM wayfare.pulled") == [(0,)]


def test_nothing_is_given_before_its_dispatch_is_in_the_store(site: Site) -> None:
    send = site.send_through(CORE)
    with site.sending():
        until(lambda: site.get(CORE).status_code == 200, what="the channel is known")
        site.plan(send)
        until(lambda: site.state(send)[1] == 1, what="the dispatch")
        assert [site.fetch(CORE) for _ in range(5)] == [[]] * 5
        with site.sealing():
            assert len(site.fetch_until(CORE)) == 1


def test_nothing_is_dispatched_while_nobody_asks(site: Site) -> None:
    send = site.send_through(CORE)
    other = site.send_through(CORE, expires=now() + timedelta(seconds=1))
    site.plan(send, other)
    with site.sealing(), site.sending():
        # What expires does so without anybody asking.
        until(lambda: site.outcome(other) == "Expired", what="the expiry")
        assert site.state(send) == (None, 0, None)
        assert len(site.fetch_until(CORE)) == 1


def test_a_send_is_given_to_one_of_those_who_ask_at_once(site: Site) -> None:
    sends = [site.send_through(CORE) for _ in range(60)]
    site.plan(*sends)
    with site.known(), ThreadPoolExecutor(8) as pool:
        given: list[dict[str, Any]] = []

        def all_given() -> bool:
            for some in pool.map(lambda _: site.fetch(CORE, limit=7), range(8)):
                assert len(some) <= 7
                given.extend(some)
            return len(given) >= len(sends)

        until(all_given, what="all are given")
    assert sorted(one["send_key"] for one in given) == sorted(send.key for send in sends)


def test_a_customers_sends_are_given_one_after_the_other_as_they_are_due(site: Site) -> None:
    sends = [
        site.send_through(CORE, customer="anna", visit=n, due=now() - timedelta(seconds=100 - n))
        for n in range(4)
    ]
    site.plan(*reversed(sends))
    given: list[str] = []
    with site.known():
        for _ in sends:
            (one,) = site.fetch_until(CORE)
            assert site.fetch(CORE) == []
            given.append(one["send_key"])
            site.acknowledge(CORE, said(one, "Accepted"))
    assert given == [send.key for send in sends]


def test_other_channels_of_a_customer_do_not_wait_for_a_puller(site: Site) -> None:
    first = site.send_through(CORE, customer="anna", visit=1)
    second = site.send_through(FAX, customer="anna", visit=2)
    site.plan(first, second)
    with site.known():
        site.fetch_until(CORE)
        assert site.fetch_until(FAX)[0]["send_key"] == second.key


@pytest.mark.parametrize("channel", [CORE, FAX])
def test_a_lease_that_lapses(site: Site, channel: str) -> None:
    """A puller died with it: again under the same key where it can tell repeats, else unknown."""
    send = site.send_through(channel)
    site.plan(send)
    with site.known():
        (first,) = site.fetch_until(channel, lease="1s")
        if channel == CORE:
            (second,) = site.fetch_until(channel, lease="1h")
            assert second["send_key"] == send.key
            assert second["attempt"] > first["attempt"]
            assert second["lease"] != first["lease"]
            # The first puller was only slow, and it took effect.
            assert site.acknowledge(channel, said(first, "Accepted")) == ["Settled"]
            assert site.acknowledge(channel, said(second, "Accepted")) == ["Repeat"]
        else:
            until(lambda: site.outcome(send) == "Unknown", what="the outcome")
            assert [site.fetch(channel) for _ in range(3)] == [[]] * 3
            assert site.acknowledge(channel, said(first, "Accepted")) == ["Settled"]
        assert site.outcome(send) == "Accepted"
    last = second if channel == CORE else first
    assert site.rows_of(send, Kind.DISPATCH) == last["attempt"]


@pytest.mark.parametrize(
    ("result", "outcome"), [("Rejected", "Rejected"), ("NotAccepted", "Accepted")]
)
def test_a_late_no_settles_what_was_unknown(site: Site, result: str, outcome: str) -> None:
    """Not accepted: its turn comes again, because it is certain that nothing took effect."""
    send = site.send_through(FAX)
    site.plan(send)
    with site.known():
        (given,) = site.fetch_until(FAX, lease="1s")
        until(lambda: site.outcome(send) == "Unknown", what="the outcome")
        assert site.acknowledge(FAX, said(given, result)) == ["Settled"]
        if outcome == "Accepted":
            (again,) = site.fetch_until(FAX)
            assert again["attempt"] > given["attempt"]
            assert site.acknowledge(FAX, said(again, "Accepted")) == ["Settled"]
        assert site.outcome(send) == outcome


def test_a_no_to_a_repeat_leaves_the_first_attempt_in_doubt(site: Site) -> None:
    site.changes = {"fallback": FAX}
    send = site.send_through(CORE)
    site.plan(send)
    channels = site.channels()
    channels[FAX] = site.channels(fallback=None)[FAX]
    with site.sealing(), site.sending(channels=channels):
        until(lambda: site.get(CORE).status_code == 200, what="the channel is known")
        site.fetch_until(CORE, lease="1s")
        (second,) = site.fetch_until(CORE)
        assert site.acknowledge(CORE, said(second, "NotAccepted")) == ["Noted"]
        assert site.outcome(send) is None
        (third,) = site.fetch_until(CORE)
        assert third["attempt"] > second["attempt"]
        assert site.acknowledge(CORE, said(second, "Rejected")) == ["Overtaken"]
        assert site.acknowledge(CORE, said(third, "Rejected")) == ["Settled"]
    # Never through the fallback: the first may have taken effect.
    assert site.ask("SELECT outcome, fallback FROM wayfare.outbox") == [("Rejected", None)]


def test_what_is_rejected_goes_on_through_the_fallback(site: Site) -> None:
    send = site.send_through(CORE)
    site.plan(send)
    channels = site.channels()
    channels[CORE] = site.channels(fallback=FAX)[CORE]
    with site.sealing(), site.sending(channels=channels):
        until(lambda: site.get(FAX).status_code == 200, what="the channel is known")
        (given,) = site.fetch_until(CORE)
        assert site.acknowledge(CORE, said(given, "Rejected", detail="no such account")) == [
            "Settled"
        ]
        (other,) = site.fetch_until(FAX)
        assert other["send_key"] == send.key
        assert site.acknowledge(FAX, said(other, "Accepted")) == ["Settled"]
        # The first puller has nothing to say of it any more.
        assert site.acknowledge(CORE, said(given, "Accepted")) == ["UnknownSend"]


def test_two_acknowledgements_of_one_send_are_one_outcome(site: Site) -> None:
    send = site.send_through(CORE)
    site.plan(send)
    with site.known():
        (given,) = site.fetch_until(CORE)
        with ThreadPoolExecutor(6) as pool:
            taken = pool.map(lambda _: site.acknowledge(CORE, said(given, "Accepted")), range(6))
            assert sorted(one for (one,) in taken) == ["Repeat"] * 5 + ["Settled"]
        assert site.acknowledge(CORE, said(given, "NotAccepted")) == ["Overtaken"]
    assert site.rows_of(send, Kind.OUTCOME) == 1


def test_only_who_has_the_lease_settles(site: Site) -> None:
    sends = [site.send_through(CORE) for _ in range(3)]
    site.plan(*sends)
    with site.known():
        first, second, _ = site.fetch_until(CORE, 3)
        swapped = said(first, "Accepted") | {"lease": second["lease"]}
        made_up = said(second, "Accepted") | {"lease": "1." + "0" * 32 + ".00000000"}
        later = said(second, "Accepted") | {"lease": second["lease"].replace("1.", "2.", 1)}
        assert site.acknowledge(CORE, swapped, made_up) == ["WrongLease"] * 2
        assert site.acknowledge(CORE, later) == ["WrongLease"]
        nobodys = {"send_key": "nobody", "lease": first["lease"], "result": "Accepted"}
        assert site.acknowledge(CORE, nobodys) == ["UnknownSend"]
        assert site.acknowledge(FAX, said(first, "Accepted")) == ["UnknownSend"]
    assert site.count("Accepted") == 0


def test_what_nobody_fetches_is_asked_about_again(site: Site) -> None:
    """Offered, and then the customer opted out: it is not given, and ends as refused."""
    site.offered = 1.0
    send = site.send_through(FAX)
    with site.known():
        site.plan(send)
        offered = "SELECT count(*) FROM wayfare.pulled WHERE offered_until IS NOT NULL"
        until(lambda: site.ask(offered) == [(1,)], what="the offer")
        out = Fact(OptOut(customer=send.customer, channel="*", out=True), now())
        with psycopg.connect(site.dsn, autocommit=True) as connection:
            write(connection, [Draft(new_id(), out)], site="east")
        assert site.fetch(FAX) == []
        until(lambda: site.outcome(send) == "Rejected", what="the outcome")
    assert site.state(send)[2] == "opted out"


def test_what_nobody_fetches_is_certain(site: Site) -> None:
    """Even where no repeat can be told: it was in nobody's hands, so it is offered again."""
    site.offered = 0.5
    send = site.send_through(FAX)
    with site.known():
        site.plan(send)
        until(lambda: site.state(send)[1] >= 3, what="the third dispatch")
        (given,) = site.fetch_until(FAX, lease="1h")
        assert site.acknowledge(FAX, said(given, "Accepted")) == ["Settled"]
    held = "SELECT DISTINCT body->>'result' FROM wayfare.ledger WHERE kind = 'outcome' ORDER BY 1"
    assert site.ask(held) == [("Accepted",), ("Held",)]


def test_no_more_is_offered_than_the_channel_says(site: Site) -> None:
    site.changes = {"ahead": 5}
    site.plan(*(site.send_through(CORE) for _ in range(20)))
    with site.known():
        given = site.fetch_until(CORE, 5, limit=500, lease="1h")
        assert [site.fetch(CORE) for _ in range(5)] == [[]] * 5
        site.acknowledge(CORE, *(said(one, "Accepted") for one in given))
        assert len(site.fetch_until(CORE, 5, limit=500)) == 5


@pytest.mark.parametrize("point", ["outbox.dispatch.written", "outbox.hand_over.before"])
def test_a_worker_that_is_killed_before_it_offers(site: Site, point: str) -> None:
    """Nobody can have had it, whatever the channel can tell: it has its turn again."""
    send = site.send_through(FAX)
    with site.known():
        pass
    site.plan(send)
    with site.sealing():
        site.killed_worker(point)
        died_at = site.state(send)[1]
        with site.sending():
            (given,) = site.fetch_until(FAX)
            assert given["attempt"] > died_at > 0
            assert site.acknowledge(FAX, said(given, "Accepted")) == ["Settled"]


def test_a_worker_that_is_killed_after_it_offered(site: Site) -> None:
    send = site.send_through(FAX)
    with site.known():
        pass
    site.plan(send)
    with site.sealing():
        site.killed_worker("outbox.hand_over.after")
        (given,) = site.fetch_until(FAX)
        with site.sending():
            assert site.acknowledge(FAX, said(given, "Accepted")) == ["Settled"]
    assert site.outcome(send) == "Accepted"


def test_who_lost_the_right_to_act_gives_nothing(site: Site) -> None:
    with site.known():
        pass
    site.plan(site.send_through(CORE))
    with site.sealing():
        site.killed_worker("outbox.hand_over.after")
    with psycopg.connect(site.dsn, autocommit=True) as connection:
        connection.execute("UPDATE wayfare.site_epoch SET held = false")
    refused = site.get(CORE)
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:wayfare:problem:not-active")
    assert site.ask("SELECT leased_until FROM wayfare.pulled") == [(None,)]


def test_problems(site: Site) -> None:
    with site.known():
        unknown = site.get("bank/nothing")
        assert (unknown.status_code, unknown.json()["type"].split(":")[-1]) == (
            404,
            "unknown-channel",
        )
        for query in (
            {"limit": 0},
            {"limit": 501},
            {"lease": "0s"},
            {"lease": "13h"},
            {"lease": "x"},
        ):
            refused = site.get(CORE, **query)
            assert refused.status_code == 422, query
            assert refused.json()["errors"][0]["path"].startswith("$.")
        url = f"{site.url}/v1/outbox/{CORE}"
        good = {"send_key": "a", "lease": "b", "result": "Accepted"}
        for raw in (b"[]", b"{", b"[1]", b'[{"send_key": "a"}]'):
            assert web.post(url, content=raw).status_code in (400, 422)
        for body in ([good, good], [good | {"result": "Late"}], [good | {"more": 1}], [good] * 501):
            assert web.post(url, json=body).status_code == 422
        for name, value in (("detail", "x" * 301), ("lease", "y" * 257), ("send_key", "a\x00")):
            assert web.post(url, json=[good | {name: value}]).status_code == 422
