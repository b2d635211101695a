"""Stores that go away and come back, and processes that are killed, while requests flow."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.engine.conftest import Pods
from tests.servers import web
from tests.servers.postgresql import PostgresqlServer, rows
from tests.servers.wait import until
from wayfare_engine.store.embedded import EmbeddedValkey


class Load:
    """Requests one after the other, until told to stop; remembers every answer."""

    def __init__(self, pods: Pods) -> None:
        self.answers: list[httpx.Response] = []
        self.failures: list[Exception] = []
        self._ending = threading.Event()
        self._pods = pods
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        customers = ("anna", "ben", "carl")
        while not self._ending.wait(0.005):
            try:
                customer = customers[len(self.answers) % 3]
                self.answers.append(self._pods.decide(customer, page="accounts"))
            except httpx.HTTPError as error:
                self.failures.append(error)

    @contextmanager
    def running(self) -> Iterator[Load]:
        self._thread.start()
        try:
            yield self
        finally:
            self._ending.set()
            self._thread.join(30)

    def degraded(self) -> list[str]:
        """What the newest answer did without."""
        found: list[str] = self.answers[-1].json()["degraded"] if self.answers else []
        return found


def test_postgresql_is_killed_and_comes_back_while_decisions_flow(
    pods: Pods, postgresql: PostgresqlServer
) -> None:
    load = Load(pods)
    with load.running():
        until(lambda: len(load.answers) > 20, what="requests flow")
        postgresql.kill()
        try:
            until(lambda: "postgresql" in load.degraded(), what="degraded names PostgreSQL")
            told = web.get(pods.serve.url + "/readyz")
            strict = web.get(pods.serve.url + "/readyz?stores=required")
            away = len(load.answers)
            until(lambda: len(load.answers) > away + 100, what="requests flow without it")
        finally:
            postgresql.start()
        until(lambda: load.degraded() == [], what="degraded no longer")

    assert not load.failures
    assert {a.status_code for a in load.answers} == {200}
    assert (told.status_code, told.json()["degraded"]) == (200, ["postgresql"])
    assert strict.status_code == 503
    ids = [uuid.UUID(a.json()["decision_id"]) for a in load.answers]
    until(
        lambda: (
            rows(pods.dsn, "SELECT count(*) FROM wayfare.ledger WHERE id = ANY(%s)", ids)[0][0]
            == len(ids)
        ),
        what="every decision is in the ledger, also those made while it was away",
    )


def test_valkey_is_killed_and_comes_back_while_decisions_flow(
    pods: Pods, valkey: EmbeddedValkey
) -> None:
    load = Load(pods)
    with load.running():
        valkey.kill()
        try:
            until(lambda: load.degraded() == ["valkey"], what="degraded names Valkey")
            metrics = web.get(pods.serve.url + "/metrics").text
        finally:
            valkey.start()
        until(lambda: load.degraded() == [], what="degraded no longer")

    assert not load.failures
    assert {a.status_code for a in load.answers} == {200}
    assert 'wayfare_store_up{store="valkey"} 0.0' in metrics


def test_a_full_buffer_drops_rows_counts_them_and_says_so(
    pods: Pods, postgresql: PostgresqlServer
) -> None:
    small = pods.processes.start("serve", WAYFARE_LEDGER_CAPACITY="5").wait_ready()
    body = {"customer": "anna", "slot": "home-banner"}

    def ask() -> httpx.Response:
        return web.post(small.url + "/v1/decisions", json=body, headers=pods.client.headers)

    postgresql.kill()
    try:
        until(lambda: "postgresql" in ask().json()["degraded"], what="degraded")
        answers = [ask() for _ in range(8)]
        text = web.get(small.url + "/metrics").text
    finally:
        postgresql.start()

    assert {a.status_code for a in answers} == {200}
    assert "ledger" in answers[-1].json()["degraded"]
    assert "wayfare_ledger_queue_rows 5.0" in text
    assert 'wayfare_ledger_dropped_rows_total{reason="full"}' in text
    until(lambda: ask().json()["degraded"] == [], what="it recovers")
    assert small.stop() == 0


def test_a_killed_pod_loses_at_most_what_was_in_its_buffer(pods: Pods) -> None:
    doomed = pods.processes.start("serve").wait_ready()
    body = {"customer": "anna", "slot": "home-banner"}
    client = httpx.Client(base_url=doomed.url, headers=pods.client.headers)
    earlier = [client.post("/v1/decisions", json=body).json()["decision_id"] for _ in range(50)]

    def written() -> bool:
        text = web.get(doomed.url + "/metrics").text
        return "wayfare_ledger_queue_rows 0.0" in text

    until(written, what="the buffer is empty")
    doomed.kill()

    ids = [uuid.UUID(i) for i in earlier]
    found = rows(pods.dsn, "SELECT count(*) FROM wayfare.ledger WHERE id = ANY(%s)", ids)
    assert found == [(50,)]


def test_a_pod_that_is_told_to_end_drains_and_writes_everything(pods: Pods) -> None:
    ending = pods.processes.start("serve", WAYFARE_DRAIN_SECONDS="4").wait_ready()
    body = {"customer": "anna", "slot": "home-banner"}
    ids: list[uuid.UUID] = []
    client = httpx.Client(base_url=ending.url, headers=pods.client.headers, timeout=20)
    ending.process.terminate()

    def refuses() -> bool:
        return client.get("/readyz").status_code == 503

    until(refuses, what="readiness says no")
    for _ in range(20):
        answer = client.post("/v1/decisions", json=body)
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"
        ids.append(uuid.UUID(answer.json()["decision_id"]))

    assert ending.process.wait(20) == 0
    found = rows(pods.dsn, "SELECT count(*) FROM wayfare.ledger WHERE id = ANY(%s)", ids)
    assert found == [(20,)]
    said = rows(
        pods.dsn,
        "SELECT 1 FROM wayfare.plan_acknowledgements WHERE pod = %s",
        ending.environment["WAYFARE_POD_NAME"],
    )
    assert said == []
