"""What a serving pod that is killed under load loses: measured, and never more than is promised.

Clients note when they asked, when they were answered, and the decision's id; the pod is killed with
SIGKILL while they ask; then the ledger is compared with what they noted.

    python -m tests.engine.test_bounded_loss        # prints the figures that docs/events.md has
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from psycopg.conninfo import make_conninfo

from tests.engine.conftest import Pods
from tests.servers import web
from tests.servers.engine import EngineProcess, engine_processes
from tests.servers.postgresql import rows, running_postgresql
from tests.servers.wait import until

CLIENTS = 4
KILLS = 10
#: protocol.md §2: a transaction of the ledger lasts at most this long, in seconds.
TRANSACTION_SECONDS = 1.0
FLUSH_SECONDS = 0.05


@dataclass(frozen=True)
class Noted:
    """One answer that a client has: the times are of this machine's clock, in seconds."""

    asked: float
    answered: float
    decision: str


@dataclass(frozen=True)
class Kill:
    """What one kill came to. `lost` are answered decisions that are in no row."""

    at: float
    answered: Sequence[Noted]
    lost: Sequence[Noted]
    queued: int

    @property
    def window(self) -> float:
        """How long before the kill the oldest of the lost ones was answered, in seconds."""
        return max((self.at - one.answered for one in self.lost), default=0.0)

    def answered_within(self, seconds: float) -> int:
        """How many answers were given in so many seconds before the kill."""
        return sum(self.at - one.answered <= seconds for one in self.answered)

    @property
    def rate(self) -> float:
        """Answers a second."""
        first = min(one.asked for one in self.answered)
        return len(self.answered) / (self.at - first)


def kill_under_load(pods: Pods, *, more: int = 400, **environment: str) -> Kill:
    """Start a pod, ask it until it has answered `more` times, kill it, and count."""
    name = f"doomed-{uuid.uuid4().hex[:8]}"
    dsn = make_conninfo(pods.dsn, application_name=name)
    pod = pods.processes.start("serve", WAYFARE_POSTGRESQL_DSN=dsn, **environment).wait_ready()
    noted: list[Noted] = []
    threads = [threading.Thread(target=_ask, args=(pods, pod, noted, n)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    until(lambda: len(noted) >= more, what="answers", every=0.002)
    queued = _queued(pod)
    pod.process.kill()
    at = time.monotonic()
    for thread in threads:
        thread.join()
    pod.process.wait()
    # The server ends the killed pod's transaction, one way or the other, before this counts.
    until(lambda: _sessions(pods.dsn, name) == 0, what="the pod's sessions are gone")
    ids = [one.decision for one in noted]
    found = rows(pods.dsn, "SELECT id::text FROM wayfare.ledger WHERE id = ANY(%s::uuid[])", ids)
    there = Counter(one for (one,) in found)
    assert set(there.values()) == {1}, "no row is there twice"
    return Kill(at, noted, [one for one in noted if one.decision not in there], queued)


def _ask(pods: Pods, pod: EngineProcess, noted: list[Noted], number: int) -> None:
    body = {"customer": ("anna", "ben", "carl")[number % 3], "slot": "home-banner"}
    with httpx.Client(base_url=pod.url, headers=pods.client.headers) as client:
        while True:
            asked = time.monotonic()
            try:
                answer = client.post("/v1/decisions", json=body)
            except httpx.HTTPError:
                return
            if answer.status_code == 200 and "ledger" not in answer.json()["degraded"]:
                noted.append(Noted(asked, time.monotonic(), answer.json()["decision_id"]))


def _queued(pod: EngineProcess) -> int:
    text = web.get(pod.url + "/metrics").text
    [line] = [li for li in text.splitlines() if li.startswith("wayfare_ledger_queue_rows ")]
    return int(float(line.split()[1]))


def _sessions(dsn: str, name: str) -> int:
    query = "SELECT count(*)::int FROM pg_stat_activity WHERE application_name = %s"
    found = rows(dsn, query, name)
    return int(found[0][0])


def only_the_newest_are_lost(kill: Kill) -> None:
    """Rows are written in the order of the decisions: what was asked for after a lost one was
    answered came after it, and cannot be there."""
    lost = {one.decision for one in kill.lost}
    first = min((one.answered for one in kill.lost), default=float("inf"))
    assert not [n for n in kill.answered if n.asked > first and n.decision not in lost]


@pytest.mark.timeout(600)
def test_a_kill_loses_only_answers_of_the_last_interval_and_of_two_transactions(
    pods: Pods,
) -> None:
    bound = FLUSH_SECONDS + 2 * TRANSACTION_SECONDS
    kills = [
        kill_under_load(pods, WAYFARE_LEDGER_FLUSH_SECONDS=str(FLUSH_SECONDS)) for _ in range(KILLS)
    ]

    for kill in kills:
        only_the_newest_are_lost(kill)
        assert kill.window <= bound
        assert len(kill.lost) <= kill.answered_within(bound)
    assert sum(len(kill.lost) for kill in kills) < sum(len(kill.answered) for kill in kills) / 2
    print(json.dumps(figures(kills)))


def test_a_kill_loses_no_more_rows_than_may_wait(pods: Pods) -> None:
    kill = kill_under_load(
        pods, WAYFARE_LEDGER_CAPACITY="30", WAYFARE_LEDGER_FLUSH_SECONDS="0.5", more=100
    )

    only_the_newest_are_lost(kill)
    assert len(kill.lost) <= 30


def test_a_decision_that_waits_for_its_commit_is_never_lost(pods: Pods) -> None:
    for _ in range(3):
        kill = kill_under_load(pods, WAYFARE_DECISION_ACK="committed", more=100)

        assert kill.lost == []


def figures(kills: Sequence[Kill]) -> dict[str, object]:
    """What the docs tell."""
    return {
        "kills": len(kills),
        "answered": sum(len(kill.answered) for kill in kills),
        "rate": round(sum(kill.rate for kill in kills) / len(kills)),
        "lost": sorted(len(kill.lost) for kill in kills),
        "window_ms": sorted(round(kill.window * 1000) for kill in kills),
    }


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as folder,
        running_postgresql() as server,
        engine_processes(server.database()) as processes,
    ):
        started = Pods(processes, Path(folder))
        made = [kill_under_load(started, more=2000) for _ in range(KILLS)]
        print(json.dumps(figures(made)))
