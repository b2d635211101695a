"""Messages that are made for a customer right before they leave: what a real host is given, and
what becomes of those that cannot be made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.outbox.conftest import Outbox
from tests.servers.channel_host import channel_host
from tests.servers.receivers import Fault, boottime
from tests.servers.wait import until
from wayfare_engine.content import MessageTemplate, Renderer, Variables, compile_template
from wayfare_engine.outbox import Channel, HttpHost, Key, PlannedSend, Retry

CUSTOMERS: dict[str, dict[str, Any]] = {
    "anna": {"name": "Anna", "phone": "+100"},
    "bob": {"name": None, "phone": "+200"},
    "carl": {"name": "Carl", "phone": None},
}
TEXT = "Hello {{ customer.name }}, {{ content.offer }}"
TEMPLATE = MessageTemplate({"text": compile_template(TEXT, Variables({"name"}))})


@dataclass
class Sink:
    """A host of the plugin sink, and what it took."""

    channel: Channel
    file: Path

    def took(self, send: PlannedSend) -> dict[str, Any]:
        lines = [json.loads(line)["what"] for line in self.file.read_text().splitlines()]
        [found] = [line for line in lines if line["send_key"] == send.key]
        return dict(found)


def renderer(
    template: MessageTemplate | None = TEMPLATE,
    customers: Mapping[str, dict[str, Any]] = CUSTOMERS,
    address: str | None = "phone",
) -> Renderer:
    return Renderer(template, address, customers.get)


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    effects, config = tmp_path / "effects", tmp_path / "config.json"
    effects.touch()
    config.write_text(json.dumps({"file": str(effects)}))
    with channel_host(tmp_path / "host", "--plugin", "sink", "--config", str(config)) as host:
        line = HttpHost(host.url, boottime=boottime, connect_seconds=0.5)
        retry = Retry(pause=0.05, longest_pause=0.2)
        yield Sink(Channel("sink", line, Key(3600.0), retry=retry), effects)


def channels(sink: Sink, **changes: Any) -> dict[str, Channel]:
    return {"sink": Channel(**{**vars(sink.channel), **changes})}


def planned(outbox: Outbox, customer: str, **changes: Any) -> PlannedSend:
    given: dict[str, Any] = {"channel": "sink", "payload": '{"offer": "10 % off"}'} | changes
    send = outbox.send("Key", customer=customer, **given)
    outbox.plan(send)
    return send


def test_the_host_is_given_the_message_and_the_address(outbox: Outbox, sink: Sink) -> None:
    send = planned(outbox, "anna")
    with outbox.sealing(), outbox.sending(channels=channels(sink, prepare=renderer().prepare)):
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    what = sink.took(send)
    assert what["payload"] == {"text": "Hello Anna, 10 % off"}
    assert (what["address"], what.get("test")) == ("+100", None)


def test_neither_name_nor_address_stands_in_the_ledger(outbox: Outbox, sink: Sink) -> None:
    send = planned(outbox, "anna")
    with outbox.sealing(), outbox.sending(channels=channels(sink, prepare=renderer().prepare)):
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    written = outbox.ask("SELECT body::text FROM wayfare.ledger")
    assert len(written) == 3
    assert not re.search(r"Anna|\+100", str(written))


@pytest.mark.parametrize(
    ("customer", "said"),
    [
        ("bob", "cannot be said: text: customer.name has no value"),
        ("carl", "cannot be said: customer.phone has no value"),
        ("nobody", "cannot be said: the customer is not known, or was erased"),
    ],
)
def test_what_cannot_be_made_is_rejected_and_says_why(
    outbox: Outbox, sink: Sink, customer: str, said: str
) -> None:
    send = planned(outbox, customer)
    with outbox.sealing(), outbox.sending(channels=channels(sink, prepare=renderer().prepare)):
        until(lambda: outbox.outcome(send) == "Rejected", what="the outcome")
    assert outbox.state(send) == ("Rejected", 1, said)
    assert sink.file.read_text() == ""


def test_the_fallback_goes_on_with_its_own_message(outbox: Outbox, sink: Sink) -> None:
    send = planned(outbox, "carl", channel="sms")
    plain = compile_template("Dear {{ customer.name }}", Variables({"name"}))
    mail = renderer(MessageTemplate({"subject": plain}), address=None)
    both = {
        **channels(sink, prepare=mail.prepare),
        "sms": channels(sink, name="sms", prepare=renderer().prepare, fallback="sink")["sink"],
    }
    with outbox.sealing(), outbox.sending(channels=both):
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    assert sink.took(send)["payload"] == {"subject": "Dear Carl"}


def test_a_test_goes_to_its_own_address_and_is_marked(outbox: Outbox, sink: Sink) -> None:
    send = planned(outbox, "carl", test=True, address="+999")
    other = planned(outbox, "anna", test=False, address="+999")
    with outbox.sealing(), outbox.sending(channels=channels(sink, prepare=renderer().prepare)):
        until(lambda: outbox.count("Accepted") == 2, what="the outcomes")
    what = sink.took(send)
    assert (what["address"], what["test"]) == ("+999", True)
    assert sink.took(other)["address"] == "+100", "only a test has an address of its own"


def test_a_test_without_a_template_needs_no_preparing(outbox: Outbox, sink: Sink) -> None:
    send = planned(outbox, "nobody", test=True, address="+999")
    with outbox.sealing(), outbox.sending(channels=channels(sink)):
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    what = sink.took(send)
    assert (what["address"], what["test"], what["payload"]) == ("+999", True, {"offer": "10 % off"})


def test_customers_that_cannot_be_read_now_are_asked_again(outbox: Outbox, sink: Sink) -> None:
    asked: list[str] = []

    def away_once(customer: str) -> Mapping[str, Any] | None:
        asked.append(customer)
        if len(asked) == 1:
            raise ConnectionError("away: +100")
        return CUSTOMERS.get(customer)

    send = planned(outbox, "anna")
    prepare = Renderer(TEMPLATE, "phone", away_once).prepare
    with outbox.sealing(), outbox.sending(channels=channels(sink, prepare=prepare)):
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")
    details = outbox.ask("SELECT body->>'detail' FROM wayfare.ledger WHERE kind = 'outcome'")
    assert ("the message was not made: ConnectionError",) in details
    assert "+100" not in str(details)


def test_what_is_in_doubt_is_not_rejected_because_it_cannot_be_said_again(
    outbox: Outbox,
) -> None:
    """The first hand-over took effect and its answer was lost; then the name went away."""
    people = {"anna": dict(CUSTOMERS["anna"])}
    receiver = outbox.receivers["Key"]
    receiver.fail(Fault("lost"))
    send = outbox.send("Key", customer="anna", payload='{"offer": "x"}')
    outbox.plan(send)

    def prepare_once(what: Any) -> Any:
        made = renderer(customers=people).prepare(what)
        people["anna"]["name"] = None
        return made

    made = outbox.channels(prepare=prepare_once)
    with outbox.sealing(), outbox.sending(channels=made):
        until(lambda: "cannot be said" in hold(outbox, send), what="a repeat that cannot be said")
        assert outbox.outcome(send) is None
        people["anna"]["name"] = "Anna"
        prepare_again = renderer(customers=people).prepare
        object.__setattr__(made["Key"], "prepare", prepare_again)
        until(lambda: outbox.outcome(send) == "Accepted", what="the outcome")


def hold(outbox: Outbox, send: PlannedSend) -> str:
    found = outbox.ask("SELECT reason FROM wayfare.send_holds WHERE send_key = %s", send.key)
    return found[0][0] if found else ""
