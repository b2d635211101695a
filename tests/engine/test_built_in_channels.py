"""Channels that the engine has itself: what a Channel says of `pull` and `task` comes true over
HTTP, through a worker and a serving pod."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.engine.conftest import Pods
from tests.engine.test_sending import outcomes, plan_channel, plan_of, planned, told
from tests.servers.wait import until
from wayfare_engine.identity import Scope

TASKS = {"outcomes": ["reached", "not reached"], "dueWithin": "2d", "assignee": "head-office"}


@pytest.fixture(scope="module", autouse=True)
def the_plan_of_others(pods: Pods) -> Iterator[None]:
    yield
    pods.publish(pods.plan)


@pytest.fixture(scope="module")
def person(pods: Pods) -> Iterator[httpx.Client]:
    """A client that may fetch sends and work on tasks, and nothing else."""
    key = pods.processes.key(Scope.OUTBOX_PULL, Scope.TASKS)
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=pods.serve.url, headers=headers, timeout=20) as client:
        until(lambda: client.get("/v1/tasks").status_code == 200, what="the key is known")
        yield client


def runs(pods: Pods, name: str) -> dict[str, Any]:
    """What the worker says of a channel, once it sends through it."""
    found: dict[str, Any] = {}

    def running() -> bool:
        found.update(told(pods, name))
        return "problem" in found and found["problem"] is None

    until(running, what=f"{name} runs")
    return found


def problem(pods: Pods, name: str) -> str:
    return told(pods, name).get("problem") or ""


def fetched(client: httpx.Client, channel: str, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def enough() -> bool:
        answer = client.get(f"/v1/outbox/{channel}", params={"lease": "5m"})
        if answer.status_code == 200:
            found.extend(answer.json()["sends"])
        return len(found) >= count

    until(enough, what=f"{count} sends are given")
    return found


def acknowledged(client: httpx.Client, channel: str, given: list[dict[str, Any]]) -> set[str]:
    said = [{"send_key": g["send_key"], "lease": g["lease"], "result": "Accepted"} for g in given]
    answer = client.post(f"/v1/outbox/{channel}", json=said)
    assert answer.status_code == 200, answer.text
    return {one["taken"] for one in answer.json()["acknowledgements"]}


def test_a_pulled_channel_is_fetched_and_acknowledged(pods: Pods, person: httpx.Client) -> None:
    spec = {"plugin": {"name": "pull"}, "deduplication": {"by": "SendKey", "window": "24h"}}
    pods.publish(plan_of(plan_channel("core", "", **spec)))
    assert runs(pods, "core")["plugin"]["deduplication"] == "Key"
    keys = planned(pods.dsn, "default/core", 20, "pulled")
    given = fetched(person, "default/core", 20)
    assert sorted(one["send_key"] for one in given) == sorted(keys)
    assert {one["content"]["text"] for one in given} == {"hello"}
    assert outcomes(pods.dsn, keys) == [None] * 20
    assert acknowledged(person, "default/core", given) == {"Settled"}
    assert outcomes(pods.dsn, keys) == ["Accepted"] * 20
    figures = told(pods, "core")
    assert (figures["failedPerMinute"], figures["acceptedPerMinute"]) == (0, 0)
    assert (figures["breaker"]["state"], figures["lastError"]) == ("Closed", None)


def test_who_fetches_is_given_the_message_of_the_template(pods: Pods, person: httpx.Client) -> None:
    template = {"parts": {"text": "{{ content.text }}, {{ customer.housing }}"}}
    channel = plan_channel("print", "", plugin={"name": "pull"}, template=template)
    pods.publish(plan_of(channel))
    assert runs(pods, "print")["plugin"]["deduplication"] == "None"
    (lost,) = planned(pods.dsn, "default/print", 1, "rendered")
    (key,) = planned(pods.dsn, "default/print", 1, "rendered", customer="anna")
    (given,) = fetched(person, "default/print", 1)
    assert given["send_key"] == key
    assert given["content"]["text"].startswith("hello, ")
    assert acknowledged(person, "default/print", [given]) == {"Settled"}
    # Of a customer who is not known nothing can be said, so nobody was given it.
    until(lambda: outcomes(pods.dsn, [lost]) == ["Rejected"], what="it is rejected")


def test_a_send_of_a_task_channel_is_done_by_a_person(pods: Pods, person: httpx.Client) -> None:
    plugin = {"name": "task", "config": TASKS | {"assigneeAttribute": "housing"}}
    pods.publish(plan_of(plan_channel("desk", "", plugin=plugin)))
    assert runs(pods, "desk")["plugin"]["deduplication"] == "Key"
    (key,) = planned(pods.dsn, "default/desk", 1, "task")
    (of_anna,) = planned(pods.dsn, "default/desk", 1, "task", customer="anna")
    until(lambda: outcomes(pods.dsn, [key, of_anna]) == ["Accepted"] * 2, what="the tasks are made")
    task = person.get(f"/v1/tasks/{key}").json()
    assert (task["assignee"], task["state"]) == ("head-office", "Open")
    assert task["script"] == {"text": "hello"}
    with psycopg.connect(pods.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM wayfare.tasks").fetchone() == (2,)
    assert person.get(f"/v1/tasks/{of_anna}").json()["assignee"] != "head-office"
    for action, body in (
        ("take", {"by": "eve"}),
        ("close", {"by": "eve", "outcome": "reached", "note": "wants it on Monday"}),
    ):
        answer = person.post(f"/v1/tasks/{key}/{action}", json=body)
        assert answer.status_code == 200, answer.text
    assert person.get(f"/v1/tasks/{key}").json()["outcome"] == "reached"


def test_tasks_that_cannot_be_made_are_told(pods: Pods) -> None:
    wrong = {"name": "task", "config": TASKS | {"dueWithin": "soon"}}
    pods.publish(plan_of(plan_channel("wrong", "", plugin=wrong)))
    until(lambda: "config.dueWithin" in problem(pods, "wrong"), what="the report says so")
    right = {"name": "task", "config": TASKS}
    pods.publish(plan_of(plan_channel("wrong", "", plugin=right)))
    runs(pods, "wrong")
