"""A worker process that sends what its plan's channels say, through real hosts."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.engine.conftest import Pods
from tests.engine.plans import SCHEMA, journey, resource, segment
from tests.servers import web
from tests.servers.channel_host import HostProcess, channel_host
from tests.servers.ports import free_port
from tests.servers.wait import until
from wayfare_engine.clock import new_id
from wayfare_engine.outbox import Origin, PlannedSend, plan_send
from wayfare_engine.plan import Plan, PlanChannel, compile_plan
from wayfare_engine.resources import spec_digest

BREAKER = {"window": "10s", "minimumCalls": 5, "openFor": "1s", "trialCalls": 1}


def plan_channel(name: str, url: str, **spec: Any) -> tuple[str, PlanChannel]:
    """As the operator puts a Channel of namespace `default` into the plan."""
    made = resource("Channel", name, {"medium": "SMS", "plugin": {"name": "sink"}, **spec})
    body = made.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return f"default/{name}", PlanChannel(url=url, digest=spec_digest(made.spec), spec=body)


def plan_of(
    *channels: tuple[str, PlanChannel],
    slots: dict[str, Any] | None = None,
    governance: dict[str, Any] | None = None,
) -> Plan:
    content = {"title": "A code by SMS"}
    slot = {"name": "home-banner", "content": content, **(slots or {})}
    result = compile_plan(
        engine="default/retail",
        schema=SCHEMA,
        segments=[segment("rich", "customer.balance >= 2000.0")],
        journeys=[
            journey("code", audience='segment("rich")', priority=80, slot=slot),
            journey(
                "welcome",
                audience='segment("rich")',
                priority=10,
                slot={"name": "home-banner", "content": {"title": "Welcome"}},
            ),
        ],
        previous=None,
        channels=dict(channels),
        governance=governance,
    )
    assert not result.problems
    return result.plan


def planned(
    dsn: str,
    channel: str,
    count: int,
    entry: str,
    *,
    customer: str | None = None,
    epoch: int = 1,
) -> list[str]:
    sends = [
        PlannedSend(
            journey="api",
            customer=customer or f"customer-{number}",
            entry_key=entry,
            node="send",
            visit=1,
            channel=channel,
            due=datetime.now(UTC),
            payload='{"text": "hello"}',
        )
        for number in range(count)
    ]
    origin = Origin("east", epoch, new_id, lambda: datetime.now(UTC))
    with psycopg.connect(dsn, autocommit=True) as connection:
        plan_send(connection, sends, origin)
    return [send.key for send in sends]


def outcomes(dsn: str, keys: list[str]) -> list[str | None]:
    with psycopg.connect(dsn) as connection:
        found: dict[str, str | None] = dict(
            connection.execute(
                "SELECT send_key, outcome FROM wayfare.outbox WHERE send_key = ANY(%s)", (keys,)
            ).fetchall()
        )
    return [found[key] for key in keys]


def told(pods: Pods, name: str) -> dict[str, Any]:
    answer = web.get(
        f"{pods.worker.url}/control/v1/status",
        headers={"Authorization": f"Bearer {pods.processes.signer.token()}"},
        timeout=10,
    )
    by_name = {each["name"]: each for each in answer.json()["channels"]}
    found: dict[str, Any] = by_name.get(f"default/{name}", {})
    return found


pytestmark = pytest.mark.usefixtures("the_plan_of_others")


def test_a_worker_sends_what_is_planned(pods: Pods, sink: HostProcess, tmp_path: Path) -> None:
    pods.publish(plan_of(plan_channel("sms", sink.url)))
    keys = planned(pods.dsn, "default/sms", 50, "first")
    until(
        lambda: outcomes(pods.dsn, keys) == ["Accepted"] * 50,
        what="all are accepted",
    )
    lines = (tmp_path / "effects").read_text().splitlines()
    assert sorted(json.loads(line)["what"]["send_key"] for line in lines) == sorted(keys)

    def reported() -> bool:
        found = told(pods, "sms")
        return bool(found) and found["acceptedPerMinute"] > 0

    until(reported, what="the worker reports")
    found = told(pods, "sms")
    assert found["problem"] is None
    assert found["breaker"]["state"] == "Closed"
    assert found["plugin"] == {
        "name": "sink",
        "version": found["plugin"]["version"],
        "deduplication": "Key",
        "batchSize": 100,
    }
    assert (found["waiting"], found["unknown"], found["lastError"]) == (0, 0, None)
    metrics = web.get(f"{pods.worker.url}/metrics").text
    assert 'wayfare_hand_overs_total{channel="default/sms",result="Accepted"}' in metrics


def test_a_decision_knows_that_a_channel_is_open(pods: Pods, tmp_path: Path) -> None:
    port = free_port()
    words = ("--plugin", "sink")
    alternative = {"channelRef": {"name": "code"}, "alternative": {"title": "Come to a branch"}}
    channel = plan_channel("code", f"http://127.0.0.1:{port}", breaker=BREAKER)
    with channel_host(tmp_path / "first", *words, port=port) as host:
        pods.publish(plan_of(channel, slots=alternative))
        until(lambda: told(pods, "code").get("problem", "") is None, what="the channel runs")
        answer = pods.decide("anna").json()
        assert answer["content"] == {"title": "A code by SMS"}
        assert (answer["open_channels"], answer["alternative"]) == ([], False)
        host.signal(signal.SIGKILL)
        host.exit_code()
    keys = planned(pods.dsn, "default/code", 20, "second")
    until(
        lambda: pods.decide("anna").json()["open_channels"] == ["default/code"],
        what="decisions know",
    )
    answer = pods.decide("anna").json()
    assert (answer["journey"], answer["content"]) == (
        "default/code",
        {"title": "Come to a branch"},
    )
    assert answer["alternative"]
    record = pods.client.get(f"/v1/decisions/{answer['decision_id']}").json()
    assert record["open_channels"] == ["default/code"]
    assert record["content"] == {"title": "Come to a branch"}
    assert "default/code" in record["considered"][0]["detail"]
    pods.publish(plan_of(channel, slots={"channelRef": {"name": "code"}}))
    answer = pods.decide("anna").json()
    assert (answer["journey"], answer["alternative"]) == ("default/welcome", False)
    record = pods.client.get(f"/v1/decisions/{answer['decision_id']}").json()
    assert [each["reason"] for each in record["considered"]] == ["ChannelOpen", "Won"]
    assert told(pods, "code")["breaker"]["state"] in ("Open", "HalfOpen")
    with channel_host(tmp_path / "second", *words, port=port):
        until(lambda: outcomes(pods.dsn, keys) == ["Accepted"] * 20, what="all went out")
        until(lambda: pods.decide("anna").json()["open_channels"] == [], what="it is closed")
    assert pods.decide("anna").json()["journey"] == "default/code"


def test_what_a_channel_says_counts_at_once(pods: Pods, sink: HostProcess) -> None:
    pods.publish(plan_of(plan_channel("held", sink.url, paused=True)))
    keys = planned(pods.dsn, "default/held", 3, "third")

    def held() -> bool:
        with psycopg.connect(pods.dsn) as connection:
            found = connection.execute(
                "SELECT reason FROM wayfare.send_holds WHERE send_key = ANY(%s)", (keys,)
            ).fetchall()
        return found == [("paused",)] * 3

    until(held, what="all are held")
    forced = plan_channel("held", sink.url, breaker={"manual": "ForcedOpen"})
    pods.publish(plan_of(forced))
    until(
        lambda: told(pods, "held").get("breaker", {}).get("state") == "ForcedOpen",
        what="the breaker is open by hand",
    )
    assert outcomes(pods.dsn, keys) == [None] * 3


def test_a_host_that_never_answered_is_told(pods: Pods) -> None:
    pods.publish(plan_of(plan_channel("lost", f"http://127.0.0.1:{free_port()}")))
    until(
        lambda: "does not answer" in (told(pods, "lost").get("problem") or ""),
        what="the report says so",
    )


def test_what_keeps_one_channel_from_sending_is_told_and_the_others_go_on(
    pods: Pods, sink: HostProcess
) -> None:
    wrong = plan_channel("wrong", sink.url, template={"parts": {"text": "{{ customer.nobody }}"}})
    pods.publish(plan_of(wrong, plan_channel("right", sink.url)))
    keys = planned(pods.dsn, "default/right", 3, "beside")
    until(lambda: outcomes(pods.dsn, keys) == ["Accepted"] * 3, what="the other goes on")

    def problem() -> str:
        return told(pods, "wrong").get("problem") or ""

    until(lambda: "its template" in problem(), what="the template is told")
    # A worker reports every five seconds: it goes on telling it.
    before = told(pods, "right")["acceptedPerMinute"]
    until(lambda: told(pods, "right")["acceptedPerMinute"] != before, what="another report")
    assert "its template" in problem()
