"""Work items for people: made once, taken by one, ended once, and by time."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import AsyncConnection

from tests.digests.taking import compared
from tests.fetching.conftest import Site, serving
from tests.outbox.conftest import now
from tests.servers import web
from tests.servers.command import wayfare
from tests.servers.engine import EngineProcess, EngineProcesses, engine_processes
from tests.servers.postgresql import PostgresqlServer
from tests.servers.receivers import boottime
from tests.servers.wait import until
from wayfare_engine.clock import new_id
from wayfare_engine.customers.lookup import CustomerLookup
from wayfare_engine.identity import Scope
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.ledger import Kind
from wayfare_engine.ledger.fence import raise_epoch
from wayfare_engine.outbox import (
    FOR_EVER,
    Channel,
    PlannedSend,
    TaskHost,
)
from wayfare_engine.resources.task_terms import BadTaskConfig, TaskTerms
from wayfare_engine.store.blob_cache import BlobCache
from wayfare_engine.tasks.storage import end_due

CONFIG = {
    "outcomes": ["reached", "not reached"],
    "dueWithin": "2d",
    "assigneeAttribute": "branch",
    "assignee": "head-office",
}
BRANCH = "bank/branch"


class Desk(Site):
    """A site with a channel of tasks."""

    config: dict[str, Any] = CONFIG

    def channels(self, **changes: Any) -> dict[str, Channel]:
        host = TaskHost(
            self.dsn,
            channel=BRANCH,
            site=self.site,
            terms=TaskTerms.from_config(BRANCH, self.config),
            attribute_of=self.attribute,
            boottime=boottime,
            clock=now,
            ids=new_id,
        )
        return {BRANCH: Channel(BRANCH, host, FOR_EVER, retry=self.retry, **changes)}

    def attribute(self, customer: str, name: str) -> str | None:
        """The customer's attribute, as a worker looks it up."""
        lookup = CustomerLookup(
            lambda: psycopg.connect(self.dsn, autocommit=True),
            None,
            [name],
            keys=lambda connection: None,
            cache=BlobCache(),
        )
        value = (lookup(customer) or {}).get(name)
        return None if value is None else str(value)

    @contextmanager
    def making(self) -> Iterator[None]:
        """A sealer and a worker at work."""
        with self.sealing(), self.sending():
            yield

    def make(self, **changes: Any) -> PlannedSend:
        """A task that is there."""
        send = self.send_through(BRANCH, **changes)
        self.plan(send)
        with self.making():
            until(lambda: self.outcome(send) == "Accepted", what="the task")
        return send

    def call(self, send: PlannedSend, action: str, **body: Any) -> httpx.Response:
        """What a person does."""
        return web.post(f"{self.url}/v1/tasks/{send.key}/{action}", json=body, timeout=20)

    def do(self, send: PlannedSend, action: str, **body: Any) -> dict[str, Any]:
        """The same, and it succeeds."""
        answer = self.call(send, action, **body)
        assert answer.status_code == 200, answer.text
        done: dict[str, Any] = answer.json()
        return done

    def refused(self, send: PlannedSend, action: str, **body: Any) -> tuple[int, str, str]:
        """The same, and it fails: status, kind, detail."""
        answer = self.call(send, action, **body)
        said = answer.json()
        return answer.status_code, said["type"].split(":")[-1], said["detail"]

    def read(self, send: PlannedSend) -> dict[str, Any]:
        """A task as it stands."""
        found: dict[str, Any] = web.get(f"{self.url}/v1/tasks/{send.key}").json()
        return found

    def list(self, **query: Any) -> dict[str, Any]:
        """Tasks."""
        answer = web.get(f"{self.url}/v1/tasks", params=query, timeout=20)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def desk(site: Site) -> Desk:
    return Desk(site.dsn, site.store, {}, url=site.url)


async def time_passes(desk: Desk, at: datetime) -> int:
    """What a worker does every few seconds, as if it were `at`."""
    async with await AsyncConnection.connect(desk.dsn, autocommit=True) as connection:
        return await end_due(connection, site="east", ids=new_id, now=at)


def test_a_task_is_made_taken_and_closed(desk: Desk) -> None:
    send = desk.make(payload='{"script": "Offer a term deposit."}')
    (task,) = desk.list(assignee="head-office", state="Open")["tasks"]
    assert (task["id"], task["customer"]) == (send.key, send.customer)
    assert task["script"] == {"script": "Offer a term deposit."}
    assert task["outcomes"] == CONFIG["outcomes"]
    assert datetime.fromisoformat(task["due"]) == send.due + timedelta(days=2)

    assert desk.do(send, "take", by="eve")["holder"] == "eve"
    closed = desk.do(send, "close", by="eve", outcome="reached", note="wants it on Monday")

    assert (closed["state"], closed["outcome"]) == ("Closed", "reached")
    assert closed["note"] == "wants it on Monday"
    assert desk.list(state="Open")["tasks"] == []
    assert desk.rows_of(send, Kind.TASK) == 1
    assert desk.rows_of(send, Kind.TASK_STATE) == 3


def test_a_call_that_is_repeated_changes_nothing(desk: Desk) -> None:
    send = desk.make()
    for action, body in (
        ("take", {"by": "eve"}),
        ("return", {"by": "eve", "note": "on leave"}),
        ("take", {"by": "bob"}),
        ("close", {"by": "bob", "outcome": "reached"}),
    ):
        assert desk.do(send, action, **body) == desk.do(send, action, **body)
    assert desk.rows_of(send, Kind.TASK_STATE) == 5


def test_of_many_who_take_at_once_one_has_it(desk: Desk) -> None:
    send = desk.make()
    people = [f"person-{n}" for n in range(12)]
    ready = threading.Barrier(len(people))

    def take(by: str) -> httpx.Response:
        ready.wait()
        return desk.call(send, "take", by=by)

    with ThreadPoolExecutor(len(people)) as pool:
        answers = list(pool.map(take, people))
    assert sorted(a.status_code for a in answers) == [200] + [409] * 11
    holder = next(a for a in answers if a.status_code == 200).json()["holder"]
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["type"] == "urn:wayfare:problem:task-taken"
            assert holder in answer.json()["detail"]
    assert desk.read(send)["holder"] == holder
    assert desk.rows_of(send, Kind.TASK_STATE) == 2


def test_what_cannot_be_done(desk: Desk) -> None:
    send = desk.make()
    close = {"outcome": "reached"}
    assert desk.refused(send, "close", by="eve", **close)[:2] == (409, "task-not-taken")
    assert desk.refused(send, "return", by="eve")[:2] == (409, "task-not-taken")
    desk.do(send, "take", by="eve")
    status, kind, detail = desk.refused(send, "close", by="bob", **close)
    assert (status, kind) == (409, "task-taken")
    assert detail.startswith("eve took it at ")
    assert desk.refused(send, "close", by="eve", outcome="maybe")[0] == 422
    desk.do(send, "close", by="eve", **close)
    assert desk.refused(send, "take", by="bob")[:2] == (409, "task-ended")
    assert desk.refused(send, "close", by="eve", outcome="not reached")[:2] == (409, "task-ended")
    nobodys = replace(send, node="another")
    assert desk.refused(nobodys, "take", by="eve")[:2] == (404, "unknown-task")


def test_wrong_calls_are_refused(desk: Desk) -> None:
    send = desk.make()
    url = f"{desk.url}/v1/tasks/{send.key}/close"
    good = {"by": "eve", "outcome": "reached"}
    wrong = ({"by": ""}, {"by": "x" * 129}, {"by": "a\u0001"}, {"note": "n" * 4001}, {"more": 1})
    for change in (*wrong, {"note": "a\u0000"}, {"outcome": None}):
        assert web.post(url, json=good | change).status_code == 422, change
    assert web.post(url, content=b"{").status_code == 400
    for query in ({"state": "Lost"}, {"limit": 0}, {"limit": 501}, {"after": "nothing"}):
        assert web.get(f"{desk.url}/v1/tasks", params=query).status_code == 422, query
    assert desk.read(send)["state"] == "Open"


def test_pages_have_every_task_once_in_the_order_of_their_time(desk: Desk) -> None:
    sends = [desk.send_through(BRANCH, due=now() - timedelta(seconds=n % 3)) for n in range(11)]
    desk.plan(*sends)
    with desk.making():
        until(lambda: desk.count("Accepted") == 11, what="the tasks")
    seen: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = desk.list(limit=4, **after)
        seen += page["tasks"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert len({task["id"] for task in seen}) == len(seen) == 11
    assert [task["due"] for task in seen] == sorted(task["due"] for task in seen)


def test_who_does_it_is_the_customers_attribute(
    desk: Desk, processes: EngineProcesses, tmp_path: Path
) -> None:
    file = tmp_path / "customers.csv"
    file.write_text("id,branch\nada,b17\nbo,\n")
    done = processes.run("import", "customers", str(file), "--id", "id")
    assert done.returncode == 0, done.stderr.decode()
    for customer, assignee in (("ada", "b17"), ("bo", "head-office"), ("nobody", "head-office")):
        assert desk.read(desk.make(customer=customer))["assignee"] == assignee
    desk.config = {name: value for name, value in CONFIG.items() if name != "assignee"}
    send = desk.send_through(BRANCH, customer="bo", visit=2)
    desk.plan(send)
    with desk.making():
        until(lambda: desk.outcome(send) == "Rejected", what="the outcome")
    assert "branch" in (desk.state(send)[2] or "")


async def test_what_nobody_closed_in_time_expires(desk: Desk) -> None:
    taken, left = desk.make(), desk.make()
    desk.do(taken, "take", by="eve")
    assert await time_passes(desk, now()) == 0
    assert await time_passes(desk, now() + timedelta(days=2)) == 2
    assert await time_passes(desk, now() + timedelta(days=3)) == 0
    assert [desk.read(send)["state"] for send in (taken, left)] == ["Expired"] * 2
    status, kind, _ = desk.refused(taken, "close", by="eve", outcome="reached")
    assert (status, kind) == (409, "task-ended")


async def test_what_is_handed_back_is_somebody_elses_until_it_expires(desk: Desk) -> None:
    desk.config = CONFIG | {"onDue": "HandBack", "handBackTo": "call-centre"}
    send = desk.make(expires=now() + timedelta(days=5))
    desk.do(send, "take", by="eve")
    assert await time_passes(desk, now() + timedelta(days=3)) == 1
    task = desk.read(send)
    assert (task["state"], task["assignee"], task["holder"]) == ("Open", "call-centre", None)
    assert desk.refused(send, "close", by="eve", outcome="reached")[:2] == (409, "task-not-taken")
    desk.do(send, "take", by="cy")
    assert await time_passes(desk, now() + timedelta(days=6)) == 1
    assert desk.read(send)["state"] == "Expired"


def test_a_pod_is_killed_before_it_answers(desk: Desk, processes: EngineProcesses) -> None:
    """The change is there; who asked asks again and is told so."""
    send = desk.make()
    dying = serving(processes, WAYFARE_CRASH="tasks.changed")
    with pytest.raises(httpx.RemoteProtocolError):
        web.post(f"{dying.url}/v1/tasks/{send.key}/take", json={"by": "eve"}, timeout=20)
    assert dying.process.wait(20) == -signal.SIGKILL
    assert desk.refused(send, "take", by="bob")[:2] == (409, "task-taken")
    assert desk.do(send, "take", by="eve")["holder"] == "eve"
    assert desk.rows_of(send, Kind.TASK_STATE) == 2


def test_a_hand_over_that_is_repeated_makes_one_task(desk: Desk) -> None:
    """The worker's outcome was lost after the task was made."""
    send = desk.make()
    desk.do(send, "take", by="eve")
    with psycopg.connect(desk.dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE wayfare.outbox SET outcome = NULL, outcome_rank = 0, outcome_attempt = 0"
        )
    with desk.making():
        until(lambda: desk.outcome(send) == "Accepted", what="the repeat")
    assert desk.state(send)[1] > 1
    assert desk.rows_of(send, Kind.TASK) == 1
    assert desk.read(send)["holder"] == "eve"


def test_tasks_go_on_at_the_site_that_took_over(
    desk: Desk, other: PostgresqlServer, tmp_path: Path
) -> None:
    taken, closed = desk.make(), desk.make()
    desk.do(taken, "take", by="eve")
    desk.do(closed, "take", by="bob")
    desk.do(closed, "close", by="bob", outcome="reached")
    with desk.sealing():
        unsealed = (
            "SELECT count(*) FROM wayfare.ledger l WHERE NOT EXISTS (SELECT FROM "
            "wayfare.seal_intents s WHERE s.sealed_at IS NOT NULL "
            "AND l.tx BETWEEN s.from_tx AND s.to_tx)"
        )
        until(lambda: desk.ask(unsealed) == [(0,)], what="all is sealed")
    west = other.database()
    catch_up(west, desk.store, plan="test")
    assert compared(desk.dsn, west, tmp_path).equal
    assert desk.ask("SELECT count(*) FROM wayfare.tasks") == [(2,)]
    with psycopg.connect(west, autocommit=True) as there:
        raise_epoch(there, 2)
    with engine_processes(west) as others:
        pod: EngineProcess = serving(others, WAYFARE_SITE="west")
        moved = Desk(west, desk.store, {}, url=pod.url, site="west", epoch=2)
        assert moved.refused(taken, "take", by="bob")[:2] == (409, "task-taken")
        assert moved.do(taken, "close", by="eve", outcome="not reached")["state"] == "Closed"
        assert moved.refused(closed, "take", by="eve")[:2] == (409, "task-ended")


def test_the_command_does_the_same(desk: Desk) -> None:
    send = desk.make()

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return wayfare("tasks", *words, "--dsn", desk.dsn)

    assert send.key in run("list", "--assignee", "head-office").stdout
    own = ("--site", "east")
    taken = run("take", send.key, "--by", "eve", *own, "--json")
    assert json.loads(taken.stdout)[0]["holder"] == "eve", taken.stderr
    refused = run("take", send.key, "--by", "bob", *own)
    assert (refused.returncode, "eve took it at" in refused.stderr) == (1, True)
    assert run("return", send.key, "--by", "eve", "--note", "ill", *own).returncode == 0
    assert run("take", send.key, "--by", "bob", *own).returncode == 0
    closed = run("close", send.key, "--by", "bob", "--outcome", "reached", *own)
    assert closed.stdout.endswith(" Closed: reached\n"), closed.stderr
    assert run("take", "nothing", "--by", "bob", *own).returncode == 3


def test_a_key_needs_the_scope(desk: Desk, processes: EngineProcesses) -> None:
    pod = serving(processes, WAYFARE_AUTHENTICATION="APIKey")
    keys = {scope: processes.key(scope) for scope in (Scope.OUTBOX_PULL, Scope.TASKS)}
    body = {"by": "eve", "outcome": "reached"}

    def status(key: str | None, method: str, path: str) -> int:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        url = f"{pod.url}/v1/tasks{path}"
        given = body if method == "POST" else None
        return web.request(method, url, headers=headers, json=given, timeout=20).status_code

    until(lambda: status(keys[Scope.TASKS], "GET", "") == 200, what="the key is known")
    for method, path, allowed in (("GET", "", 200), ("GET", "/x", 404), ("POST", "/x/close", 404)):
        assert status(None, method, path) == 401
        assert status(keys[Scope.OUTBOX_PULL], method, path) == 403
        assert status(keys[Scope.TASKS], method, path) == allowed
    pod.stop()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"outcomes": []}, "config"),
        ({"outcomes": ["a", "a"]}, "config.outcomes"),
        ({"outcomes": [1]}, "config.outcomes[0]"),
        ({"dueWithin": "soon"}, "config.dueWithin"),
        ({"dueWithin": "0s"}, "config.dueWithin"),
        ({"onDue": "Never"}, "config.onDue"),
        ({"handBackTo": "x"}, "config.handBackTo"),
        ({"assignee": "x" * 129}, "config"),
        ({"asignee": "x"}, "config"),
        ({"assigneeAttribute": None, "assignee": None}, "config"),
    ],
)
def test_a_wrong_configuration_says_where(change: dict[str, Any], path: str) -> None:
    with pytest.raises(BadTaskConfig) as raised:
        TaskTerms.from_config(BRANCH, CONFIG | change)
    assert str(raised.value).startswith(f"channel {BRANCH}: {path} ")
