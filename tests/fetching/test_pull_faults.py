"""Pull, when what takes part in it dies, or the right to act moves."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.fetching.conftest import Site, said, serving
from tests.outbox.conftest import now
from tests.servers import epochs, web
from tests.servers.engine import EngineProcesses, engine_processes
from tests.servers.postgresql import PostgresqlServer
from tests.servers.wait import until
from wayfare_engine.identity import Scope
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.lease.epochs import take
from wayfare_engine.ledger import Kind
from wayfare_engine.ledger.fence import StaleEpoch, raise_epoch

CORE, FAX = "bank/core", "bank/fax"


@pytest.mark.parametrize(("channel", "outcome"), [(CORE, "Accepted"), (FAX, "Unknown")])
def test_a_pod_is_killed_before_it_answers(
    site: Site, processes: EngineProcesses, channel: str, outcome: str
) -> None:
    """Whether the puller has them is not known: the lease runs, and then the class decides."""
    send = site.send_through(channel)
    dying = serving(processes, WAYFARE_CRASH="outbox.fetching.leased")
    with site.known():
        site.plan(send)
        offered = "SELECT count(*) FROM wayfare.pulled WHERE offered_until IS NOT NULL"
        until(lambda: site.ask(offered) == [(1,)], what="the offer")
        leased = site.state(send)[1]
        with pytest.raises(httpx.RemoteProtocolError):
            web.get(f"{dying.url}/v1/outbox/{channel}", params={"lease": "1s"}, timeout=20)
        assert dying.process.wait(20) == -signal.SIGKILL
        if outcome == "Accepted":
            (given,) = site.fetch_until(channel)
            assert given["attempt"] > leased
            assert site.acknowledge(channel, said(given, "Accepted")) == ["Settled"]
        until(lambda: site.outcome(send) == outcome, what="the outcome")
    # What nobody can tell apart was not dispatched again.
    assert outcome == "Accepted" or site.rows_of(send, Kind.DISPATCH) == leased


@pytest.mark.parametrize(("channel", "outcome"), [(CORE, "Accepted"), (FAX, "Unknown")])
def test_a_puller_is_killed_before_it_acknowledges(
    site: Site, tmp_path: Path, channel: str, outcome: str
) -> None:
    send = site.send_through(channel)
    site.plan(send)
    command = [sys.executable, "-m", "tests.fetching.puller", f"{site.url}/v1/outbox/{channel}"]
    command += [str(tmp_path), *(["key"] if channel == CORE else [])]
    top = Path(__file__).parents[2]
    with site.known():
        dead = subprocess.run([*command, "die"], cwd=top, timeout=60, check=False)
        assert dead.returncode == -signal.SIGKILL
        successor = subprocess.Popen(command, cwd=top)
        try:
            until(lambda: site.outcome(send) == outcome, what="the outcome")
        finally:
            successor.kill()
            successor.wait()
    assert (tmp_path / "effects").read_text().split() == [send.key]


def test_a_pod_asks_the_lease_for_itself(site: Site, processes: EngineProcesses) -> None:
    """Another site took the next epoch; the pod finds out, and its database is told."""
    given = {
        "WAYFARE_OBJECT_STORE_URL": site.store.url,
        "WAYFARE_RECOVERY_PLAN": "test",
        "WAYFARE_LEASE_TTL_SECONDS": "1",
    }
    found: list[httpx.Response] = []
    leased = "SELECT count(leased_until) FROM wayfare.pulled"
    counts = []
    # The worker's next row is refused; this one is part of the test, and only ends.
    with suppress(StaleEpoch), site.known():
        epochs.take(site.dsn, site.store, plan="test", site="east")
        pod = serving(processes, **given)
        try:
            site.plan(*(site.send_through(CORE) for _ in range(2)))
            there = replace(site, url=pod.url)
            there.fetch_until(CORE, limit=1, lease="1h")
            take(site.store, plan="test", site="west", epoch=2, nonce="west", reason="", at=now())
            until(lambda: there.get(CORE, limit=1).status_code == 503, what="the refusal")
            counts.append(site.ask(leased))
            found.append(there.get(CORE))
            counts.append(site.ask(leased))
        finally:
            ended = pod.stop()
    assert found[0].json()["type"] == "urn:wayfare:problem:not-active"
    assert counts[0] == counts[1]
    assert ended == 0


def test_an_acknowledgement_at_the_site_that_took_over(site: Site, other: PostgresqlServer) -> None:
    core, fax, late = site.send_through(CORE), site.send_through(FAX), site.send_through(CORE)
    site.plan(core, fax, late)
    with site.known():
        given = {one["send_key"]: one for one in site.fetch_until(CORE, 2, lease="1h")}
        (faxed,) = site.fetch_until(FAX, lease="1h")
    west = other.database()
    catch_up(west, site.store, plan="test")
    with psycopg.connect(west, autocommit=True) as connection:
        raise_epoch(connection, 2)
    with engine_processes(west) as others:
        pod = serving(others, WAYFARE_SITE="west")
        there = replace(site, dsn=west, url=pod.url, site="west", epoch=2)
        # Before any worker is there: what was dispatched is known.
        assert there.acknowledge(CORE, said(given[core.key], "Accepted")) == ["Settled"]
        with there.known():
            until(lambda: there.outcome(fax) == "Unknown", what="the outcome")
            assert there.acknowledge(FAX, said(faxed, "Rejected")) == ["Settled"]
            (again,) = there.fetch_until(CORE)
            assert again["send_key"] == late.key
            assert again["attempt"] > given[late.key]["attempt"]
            assert there.acknowledge(CORE, said(given[late.key], "NotAccepted")) == ["Overtaken"]
            assert there.acknowledge(CORE, said(given[late.key], "Accepted")) == ["Settled"]
            assert there.acknowledge(CORE, said(again, "Accepted")) == ["Repeat"]
        assert [there.outcome(s) for s in (core, fax, late)] == ["Accepted", "Rejected", "Accepted"]


def test_a_key_needs_the_scope(site: Site, processes: EngineProcesses) -> None:
    pod = serving(processes, WAYFARE_AUTHENTICATION="APIKey")
    url = f"{pod.url}/v1/outbox/{CORE}"
    keys = {scope: processes.key(scope) for scope in (Scope.DECIDE, Scope.OUTBOX_PULL)}

    def status(key: str | None, method: str = "GET") -> int:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        body = [{"send_key": "a", "lease": "b", "result": "Accepted"}] if method == "POST" else None
        return web.request(method, url, headers=headers, json=body, timeout=20).status_code

    until(lambda: status(keys[Scope.OUTBOX_PULL]) == 404, what="the key is known")
    for method, allowed in (("GET", 404), ("POST", 200)):
        assert status(None, method) == 401
        assert status(keys[Scope.DECIDE], method) == 403
        assert status(keys[Scope.OUTBOX_PULL], method) == allowed
    pod.stop()


def test_the_api_is_described(site: Site) -> None:
    document = web.get(f"{site.url}/openapi.json").json()
    path = document["paths"]["/v1/outbox/{channel}"]
    assert set(path) == {"get", "post"}
    assert {"OutboxResponse", "OutboxSend", "AcknowledgementRequest"} <= set(
        document["components"]["schemas"]
    )
