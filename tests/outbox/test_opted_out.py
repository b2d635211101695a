"""What a customer says later stops what is planned: a complaint or an opt-out in a receipt, through
a real worker and a real channel host, and no fallback goes around it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from tests.outbox.conftest import Outbox, now
from tests.servers.channel_host import channel_host
from tests.servers.receivers import Fault, boottime
from tests.servers.wait import until
from wayfare_engine.clock import new_id
from wayfare_engine.facts import Draft, Fact, write, write_async
from wayfare_engine.ledger.bodies import OptOut
from wayfare_engine.outbox import Channel, HttpHost, Key, PlannedSend
from wayfare_engine.receipts import matching
from wayfare_engine.receipts.matching import Said


def told(outbox: Outbox, said: Sequence[Said]) -> None:
    """As the endpoint writes receipts."""

    async def work() -> None:
        async with await AsyncConnection.connect(outbox.dsn, autocommit=True) as connection:
            found = await matching.match(connection, said)
            assert None not in found
            made = await matching.facts(connection, said, found)
            drafts = [Draft(new_id(), fact) for some in made for fact in some]
            await write_async(connection, drafts, site=outbox.site)

    asyncio.run(work())


def wants(outbox: Outbox, customer: str, channel: str, *, out: bool) -> None:
    fact = Fact(OptOut(customer=customer, channel=channel, out=out), now())
    with psycopg.connect(outbox.dsn, autocommit=True) as connection:
        write(connection, [Draft(new_id(), fact)], site=outbox.site)


@pytest.mark.parametrize("said", [{"state": "complained"}, {"state": "read", "opt_out": True}])
def test_a_receipt_that_opts_out_stops_later_sends_through_a_real_host(
    outbox: Outbox, tmp_path: Path, said: dict[str, Any]
) -> None:
    effects, config = tmp_path / "effects", tmp_path / "config.json"
    config.write_text(json.dumps({"file": str(effects)}))
    with channel_host(tmp_path / "host", "--plugin", "sink", "--config", str(config)) as host:
        http = HttpHost(host.url, boottime=boottime, connect_seconds=0.5)
        channels = {"Key": Channel("Key", http, Key(3600.0))}
        first = outbox.send("Key", customer="ada")
        other = outbox.send("Key", customer="bo", node="later")
        outbox.plan(first)
        with outbox.sealing(), outbox.sending(channels=channels):
            until(lambda: outbox.outcome(first) == "Accepted", what="the first")
            told(outbox, [Said("Key", at=now(), send_key=first.key, **said)])
            later = outbox.send("Key", customer="ada", node="later")
            outbox.plan(later, other)
            until(lambda: outbox.outcome(other) == "Accepted", what="another customer's")
            until(lambda: outbox.outcome(later) == "Rejected", what="the end")
    assert outbox.state(later)[2] == "opted out"
    taken = [json.loads(line)["what"]["send_key"] for line in effects.read_text().splitlines()]
    assert sorted(taken) == sorted([first.key, other.key])


def falling(outbox: Outbox) -> dict[str, Channel]:
    """`Key` falls back to `Query`."""
    channels = outbox.channels()
    return channels | {"Key": replace(channels["Key"], fallback="Query")}


@pytest.mark.parametrize("channel", ["Query", "*"])
def test_a_fallback_does_not_reach_who_opted_out_of_it(outbox: Outbox, channel: str) -> None:
    """The first channel may be used where only its fallback is not wanted; it refuses the send."""
    send, other = outbox.send("Key"), outbox.send("Query")
    wants(outbox, send.customer, channel, out=True)
    outbox.receivers["Key"].fail(Fault("rejected"))
    outbox.plan(send)
    with outbox.sealing(), outbox.sending(channels=falling(outbox)):
        until(lambda: outbox.outcome(send) == "Rejected", what="the end")
        outbox.plan(other)
        until(lambda: outbox.outcome(other) == "Accepted", what="another customer's")
    assert outbox.receivers["Query"].effects() == {other.key: 1}
    asked = [one.what for one in outbox.receivers["Key"].records()]
    assert asked == ([] if channel == "*" else ["start"])
    assert outbox.ask("SELECT cause FROM wayfare.outbox WHERE send_key = %s", send.key) == [
        ("Rule",)
    ]


@pytest.mark.parametrize(
    ("out", "stopped"),
    [(("Key",), {"Key"}), (("*",), {"Key", "Query", "None"}), ((), set())],
)
def test_a_channel_or_all_of_them(outbox: Outbox, out: tuple[str, ...], stopped: set[str]) -> None:
    def sends() -> dict[str, PlannedSend]:
        return {kind: outbox.send(kind, customer="ada", node=kind) for kind in outbox.receivers}

    for channel in out:
        wants(outbox, "ada", channel, out=True)
    planned = sends()
    outbox.plan(*planned.values())
    with outbox.sealing(), outbox.sending():
        until(
            lambda: all(outbox.outcome(s) in ("Accepted", "Rejected") for s in planned.values()),
            what="their ends",
        )
    assert {kind for kind, s in planned.items() if outbox.outcome(s) == "Rejected"} == stopped


def test_who_wants_it_again_is_sent_it_again(outbox: Outbox) -> None:
    wants(outbox, "ada", "*", out=True)
    refused = outbox.send("Key", customer="ada")
    outbox.plan(refused)
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(refused) == "Rejected", what="the end")
        wants(outbox, "ada", "*", out=False)
        taken = outbox.send("Key", customer="ada", node="again")
        outbox.plan(taken)
        until(lambda: outbox.outcome(taken) == "Accepted", what="the outcome")
    assert outbox.receivers["Key"].effects() == {taken.key: 1}
