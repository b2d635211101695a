"""The plugin `kafka`: a real host before a real broker, which is stopped, killed and started."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError

from tests.channels.settings_files import words
from tests.servers.channel_host import HostProcess, channel_host
from tests.servers.command import wayfare
from tests.servers.kafka import PASSWORD, USER, Kafka, header, kafka_broker
from tests.servers.ports import free_port
from tests.servers.wait import until
from wayfare_engine.channels.conform import conform
from wayfare_engine.channels.plugins.kafka_client import Client

TOPIC = "sends"
PRIVATE = "private words"
ADDRESS = "+4915112345678"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kafka")


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[Kafka]:
    with kafka_broker(folder / "broker") as running:
        running.make_topic(TOPIC, partitions=3)
        yield running


def config(broker: Kafka, **changes: Any) -> dict[str, Any]:
    return {"brokers": [broker.address], "topic": TOPIC, "security": "none"} | changes


@pytest.fixture(scope="module")
def host(broker: Kafka, folder: Path) -> Iterator[HostProcess]:
    given = words("kafka", folder / "given", config(broker, largest=100_000))
    with channel_host(folder / "host", *given, "--log-level", "debug") as running:
        yield running


def sent(host: HostProcess, key: str, **changes: Any) -> tuple[str | None, str]:
    """The result, None when it is in doubt, and what was said of it."""
    given = {"remaining": 5.0, "address": ADDRESS, "payload": {"text": PRIVATE}} | changes
    answer = host.send(key, **given)
    assert PRIVATE not in answer.text
    assert ADDRESS not in answer.text
    said = answer.json()
    return said.get("result"), said.get("detail", "")


def test_a_record_says_what_the_send_is(host: HostProcess, broker: Kafka) -> None:
    answer = host.send(
        "record-1", remaining=5.0, epoch=7, attempt=2, address=ADDRESS, customer="c-9", test=True
    ).json()
    assert answer["result"] == "Accepted"
    (found,) = [r for r in broker.records(TOPIC) if header(r, "wayfare-send-key") == "record-1"]
    assert answer["provider_id"] == f"{TOPIC}/{found.partition()}/{found.offset()}"
    assert (header(found, "wayfare-epoch"), header(found, "wayfare-attempt")) == ("7", "2")
    assert found.key() == b"c-9"
    value = found.value()
    assert isinstance(value, bytes)
    assert json.loads(value) == {
        "send_key": "record-1",
        "customer": "c-9",
        "channel": "bank/sms",
        "site": "east",
        "epoch": 7,
        "attempt": 2,
        "payload": {"text": "hello"},
        "address": ADDRESS,
        "test": True,
    }


def test_a_customer_s_records_are_in_one_partition_in_their_order(
    host: HostProcess, broker: Kafka
) -> None:
    for number in range(30):
        assert sent(host, f"order-{number}", customer=f"customer-{number % 5}")[0] == "Accepted"
    found: dict[str, list[tuple[int, str]]] = {}
    for record in broker.records(TOPIC):
        key = header(record, "wayfare-send-key")
        if key.startswith("order-"):
            customer = record.key()
            assert isinstance(customer, bytes)
            found.setdefault(customer.decode(), []).append((record.partition() or 0, key))
    assert len(found) == 5
    for number, (_, records) in enumerate(sorted(found.items())):
        assert len({partition for partition, _ in records}) == 1
        assert [key for _, key in records] == [f"order-{number + 5 * turn}" for turn in range(6)]
    assert len({records[0][0] for records in found.values()}) > 1


def test_a_batch_has_an_answer_a_send(broker: Kafka, tmp_path: Path) -> None:
    # What a busy broker acknowledges after the timeout is in doubt: it has more time than usual.
    given = words("kafka", tmp_path, config(broker, largest=100_000, timeout=10.0))
    with channel_host(tmp_path / "host", *given, "--hand-over-seconds", "20") as host:
        clock = host.reading()
        sends = [
            host.hand_over(f"batch-{number}", clock=clock, remaining=20.0, customer=f"c-{number}")
            for number in range(200)
        ]
        sends[50]["payload"] = {"text": "x" * 90_000}
        sends[51]["payload"] = {"text": "x" * 110_000}
        sends[52]["remaining"] = 9.0
        answers = host.client.post("/v1/send-batch", json=sends).json()
    results = [one["result"] for one in answers]
    assert results[50:53] == ["Accepted", "Rejected", "NotAccepted"]
    assert set(results[:50] + results[53:]) == {"Accepted"}
    keys = [key for key in broker.keys(TOPIC) if key.startswith("batch-")]
    assert len(keys) == 198
    assert not {"batch-51", "batch-52"} & set(keys)


def test_a_record_that_is_too_large_is_refused_and_those_beside_it_are_not(
    broker: Kafka, tmp_path: Path
) -> None:
    broker.make_topic("small", config={"max.message.bytes": "20000"})
    given = words("kafka", tmp_path, config(broker, topic="small", timeout=10.0))
    with channel_host(tmp_path / "host", *given, "--hand-over-seconds", "20") as host:
        clock = host.reading()
        sends = [host.hand_over(f"s-{n}", clock=clock, remaining=20.0) for n in range(20)]
        for number in (3, 11):
            sends[number]["payload"] = {"text": "x" * 30_000}
        answers = host.client.post("/v1/send-batch", json=sends).json()
    refused = [place for place, one in enumerate(answers) if one["result"] == "Rejected"]
    assert refused == [3, 11]
    assert "MSG_SIZE_TOO_LARGE" in answers[3]["detail"]
    assert len(broker.keys("small")) == 18


def test_a_topic_that_is_not_there_is_refused(broker: Kafka, tmp_path: Path) -> None:
    given = words("kafka", tmp_path, config(broker, topic="missing"))
    with channel_host(tmp_path / "host", *given) as host:
        result, said = sent(host, "missing")
        assert result == "Rejected"
        assert "UNKNOWN_TOPIC" in said
        check = host.client.post("/v1/check", json={}).json()
        assert check["ok"] is False
        assert "UNKNOWN_TOPIC" in check["problem"]


def test_less_time_than_the_timeout_is_not_accepted(host: HostProcess, broker: Kafka) -> None:
    assert sent(host, "short", remaining=1.5)[0] == "NotAccepted"
    assert "short" not in broker.keys(TOPIC)


def test_no_broker_at_the_start_is_not_accepted_and_nothing_leaves_later(
    folder: Path, broker: Kafka, tmp_path: Path
) -> None:
    """The broker comes back after the sends' time: what was not accepted is not there."""
    broker.kill()
    given = words("kafka", tmp_path, config(broker, timeout=1.0))
    with channel_host(tmp_path / "host", *given, "--log-level", "debug") as host:
        with ThreadPoolExecutor(8) as others:
            came = list(others.map(lambda n: sent(host, f"away-{n}"), range(8)))
        assert {result for result, _ in came} == {"NotAccepted"}
        assert all("no broker" in said for _, said in came)
        check = host.client.post("/v1/check", json={}).json()
        assert check["ok"] is False
        assert "no broker answers" in check["problem"]
        broker.start()
        until(lambda: sent(host, "back")[0] == "Accepted", what="the broker's return")
        assert host.client.post("/v1/check", json={}).json() == {"ok": True}
        assert broker.address not in host.logged()
    assert not [key for key in broker.keys(TOPIC) if key.startswith("away-")]


def test_a_broker_that_does_not_answer_leaves_a_send_in_doubt(
    host: HostProcess, broker: Kafka
) -> None:
    assert sent(host, "before")[0] == "Accepted"
    broker.signal(signal.SIGSTOP)
    try:
        result, said = sent(host, "silent")
    finally:
        broker.signal(signal.SIGCONT)
    assert result is None
    assert "may have been sent" in said or "was sent" in said
    # The doubt is right: it was with the broker.
    until(lambda: "silent" in broker.keys(TOPIC), what="the record")
    until(lambda: sent(host, "after")[0] == "Accepted", what="the broker's return")


def test_a_broker_that_is_killed_and_comes_back(host: HostProcess, broker: Kafka) -> None:
    """Many sends, a kill in the middle: every answer is true of what the broker has."""
    results: dict[str, str | None] = {}

    def one(number: int) -> None:
        key = f"kill-{number}"
        results[key] = sent(host, key, customer=key)[0]

    until(lambda: sent(host, "before")[0] == "Accepted", what="a host that is connected")
    with ThreadPoolExecutor(16) as others:
        begun = [others.submit(one, number) for number in range(100)]
        begun[60].result()
        before = [key for key, result in results.copy().items() if result == "Accepted"]
        broker.kill()
        begun += [others.submit(one, number) for number in range(100, 148)]
        for each in begun:
            each.result()
        broker.start()
        until(lambda: sent(host, "back")[0] == "Accepted", what="the broker's return")
        for each in [others.submit(one, number) for number in range(148, 160)]:
            each.result()
    there = [key for key in broker.keys(TOPIC) if key.startswith("kill-")]
    assert len(there) == len(set(there)), "none is there twice"
    by = {
        state: {key for key, result in results.items() if result == state}
        for state in ("Accepted", "NotAccepted", None)
    }
    assert len(results) == sum(map(len, by.values())) == 160
    assert by["Accepted"] <= set(there)
    assert not by["NotAccepted"] & set(there)
    # The threads take them in their order: when number 60 is done, 15 before it may not be.
    assert len(before) >= 46
    assert by["Accepted"] >= {f"kill-{number}" for number in range(148, 160)}
    assert by["NotAccepted"], "what never reached the broker is known not to have"


@pytest.mark.parametrize(
    ("password", "trusted", "problem"),
    [(PASSWORD, True, None), ("hidden", True, "_AUTHENTICATION"), (PASSWORD, False, "_SSL")],
)
def test_a_broker_that_wants_tls_and_a_login(
    broker: Kafka, tmp_path: Path, password: str, trusted: bool, problem: str | None
) -> None:
    given = config(broker, brokers=[f"127.0.0.1:{broker.tls_port}"], security="tls", sasl="PLAIN")
    if trusted:
        given["ca_file"] = str(broker.authority)
    secrets = {"username": USER, "password": password}
    with channel_host(tmp_path / "host", *words("kafka", tmp_path, given, **secrets)) as host:
        result, said = sent(host, "tls")
        assert result == ("Accepted" if problem is None else "NotAccepted")
        assert (problem or "") in said
        check = host.client.post("/v1/check", json={}).json()
        assert check["ok"] == (problem is None)
        assert (problem or "") in check.get("problem", "")
        assert "hidden" not in host.logged()


async def test_what_follows_an_error_does_not_hide_it() -> None:
    client = Client({"bootstrap.servers": "127.0.0.1:9"}, asyncio.get_running_loop())
    client.end()
    for code in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
        client._failed(KafkaError(code))
    assert client.last_error == "_TRANSPORT"
    for code in (KafkaError._SSL, KafkaError._TRANSPORT):
        client._failed(KafkaError(code))
    assert client.last_error == "_SSL"
    client._failed(KafkaError(KafkaError._AUTHENTICATION))
    client._failed(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert client.last_error == "_AUTHENTICATION"


def test_readers_that_drop_repeats_make_it_of_class_key(broker: Kafka, tmp_path: Path) -> None:
    given = words("kafka", tmp_path, config(broker, deduplicates={"window": 3600}))
    with channel_host(tmp_path / "host", *given) as host:
        said = host.client.get("/v1/describe").json()
    assert said["dedupe"] == {"by": "Key", "window": 3600.0}


async def test_it_keeps_the_contract(host: HostProcess, broker: Kafka) -> None:
    assert host.client.get("/v1/describe").json()["dedupe"] == {"by": "None"}
    outcomes = await conform(
        host.url, prefix="conform-k", payload={"text": "x"}, address=None, seconds=10
    )
    assert [one for one in outcomes if one.state == "failed"] == []
    skipped = {one.name for one in outcomes if one.state == "skipped"}
    assert skipped == {"same-key", "query", "batch-too-long", "receipt"}
    keys = [key for key in broker.keys(TOPIC) if key.startswith("conform-k")]
    assert len(keys) > 20
    assert len(keys) == len(set(keys))


def test_nothing_private_is_logged(host: HostProcess, broker: Kafka) -> None:
    logged = host.logged()
    assert "channel.in_doubt" in logged
    for hidden in (PRIVATE, ADDRESS, "customer-1", broker.address):
        assert hidden not in logged


@pytest.mark.parametrize(
    ("changes", "secrets", "said"),
    [
        ({"brokers": []}, {}, "$.brokers"),
        ({"brokers": ["kafka"]}, {}, "host:port"),
        ({"brokers": ["user:hidden@kafka:9092"]}, {}, "host:port"),
        ({"topic": "a/b"}, {}, "topic"),
        ({"timeout": 0}, {}, "$.timeout"),
        ({"colour": "hidden"}, {}, "colour"),
        ({"security": "ssl"}, {}, "$.security"),
        ({"deduplicates": {"window": 0}}, {}, "$.deduplicates.window"),
        ({"sasl": "PLAIN"}, {}, "'username'"),
        ({"sasl": "PLAIN"}, {"username": "hidden"}, "'password'"),
        ({"sasl": "GSSAPI"}, {}, "$.sasl"),
        ({}, {"username": "hidden", "password": "hidden"}, "sasl does not say"),
        (
            {"sasl": "PLAIN", "security": "none"},
            {"username": "hidden", "password": "hidden"},
            "in the clear",
        ),
        ({"ca_file": "/dev/null"}, {}, "ca_file"),
    ],
)
def test_settings_that_cannot_be_used(
    tmp_path: Path, changes: dict[str, Any], secrets: dict[str, str], said: str
) -> None:
    given = {"brokers": [f"127.0.0.1:{free_port()}"], "topic": TOPIC} | changes
    done = wayfare("channel", "host", *words("kafka", tmp_path, given, **secrets))
    assert done.returncode == 2
    assert said in done.stderr
    assert "hidden" not in done.stderr
