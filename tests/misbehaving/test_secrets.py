"""Neither a channel's secrets nor a customer's address get anywhere by a failure."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from tests.misbehaving.stage import Bad, Stage, stage
from tests.servers import web
from tests.servers.wait import until

pytestmark = pytest.mark.timeout(300)
SECRET = "hunter2-of-the-provider"
ADDRESS = "anna.mueller@example.com"
PAYLOAD = f'{{"to": "{ADDRESS}", "text": "hello"}}'
#: Failures of all kinds; the texts of `raise`, `reject` and `refuse` tell all that the plugin has.
_TURNS = ("raise", "reject", "refuse", "crash 1", "hang", "slow 30")
#: The content of a send, which is the send itself.
_CONTENT = {("outbox", "payload"), ("ledger", "body")}


@pytest.fixture(scope="module")
def failed() -> Iterator[tuple[Stage, Bad]]:
    with stage(secrets={"token": SECRET}) as made:
        host = made.host("leaky", "plugin", "Key")
        away = made.host("away", "plugin", "None")
        made.start()
        # Each kind of failure is to be met, and none kept off by an open breaker.
        given = {"breaker": {"manual": "ForcedClosed"}}
        made.publish(made.way(host, **given), made.way(away, **given))
        for turn in _TURNS:
            _turn(made, turn)
        until(made.ended, seconds=90, what="every send ended", every=0.2)
        yield made, host


def _turn(made: Stage, turn: str) -> None:
    """Have each host fail so, and everything that reports do it while there is something to tell;
    then let them behave."""
    planned = {}
    for bad in made.channels.values():
        bad.folder.switch(turn)
        planned[bad.channel] = set(made.plan_sends(bad.channel, 8, f"turn-{turn}", payload=PAYLOAD))
    for bad in made.channels.values():
        _until_begun(made, bad, turn, planned[bad.channel])
    made.decide()
    made.told()
    for bad in made.channels.values():
        bad.folder.switch("")


def _until_begun(made: Stage, bad: Bad, turn: str, keys: set[str]) -> None:
    """Until one of these sends was begun at the host. A host that dies takes along what was on its
    way: where that is in doubt and never begun, others follow."""
    planned_at, more = time.monotonic(), itertools.count(1)

    def begun() -> bool:
        nonlocal planned_at
        if not keys.isdisjoint(bad.folder.keys("begun")):
            return True
        if time.monotonic() - planned_at > 3:
            entry = f"turn-{turn}-{next(more)}"
            keys.update(made.plan_sends(bad.channel, 2, entry, payload=PAYLOAD))
            planned_at = time.monotonic()
        return False

    until(begun, seconds=60, what=f"{bad.name}: hand-overs to one that does: {turn}")


def test_they_are_in_no_log(failed: tuple[Stage, Bad]) -> None:
    made, _ = failed
    logs = sorted(made.folder.glob("*.log"))
    assert len(logs) >= 4, logs
    whole = "".join(log.read_text() for log in logs)
    assert "channel.failed" in whole, "the plugin's failure is not even there"
    assert SECRET not in whole
    assert ADDRESS not in whole


def test_they_are_in_no_row(failed: tuple[Stage, Bad]) -> None:
    made, _ = failed
    with psycopg.connect(made.dsn) as connection:
        columns = connection.execute(
            "SELECT c.relname, a.attname, a.atttypid = 'bytea'::regtype FROM pg_attribute a "
            "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'wayfare' AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
            "AND a.attnum > 0 AND NOT a.attisdropped"
        ).fetchall()
        assert {(table, column) for table, column, _ in columns} >= _CONTENT
        for table, column, is_bytes in columns:
            if _has(connection, table, column, is_bytes, SECRET):
                raise AssertionError(f"{table}.{column} has the secret")
            found = _has(connection, table, column, is_bytes, ADDRESS)
            # The content of a send has it, and has to.
            assert found == ((table, column) in _CONTENT), f"{table}.{column} has the address"
        others = _has(connection, "ledger", "body", False, ADDRESS, "AND kind <> 'intent'")
        assert not others, "another row than an intent has the address"


def _has(
    connection: psycopg.Connection[Any],
    table: str,
    column: str,
    is_bytes: bool,
    what: str,
    more: str = "",
) -> bool:
    text = "encode({column}, 'escape')" if is_bytes else "{column}::text"
    query = f"SELECT count(*) FROM {{table}} WHERE position(%s in {text}) > 0 {more}"
    names = {"table": sql.Identifier("wayfare", table), "column": sql.Identifier(column)}
    found = connection.execute(sql.SQL(query).format(**names), (what,))
    return found.fetchone() != (0,)


def test_outcomes_and_reports_say_what_happened_all_the_same(failed: tuple[Stage, Bad]) -> None:
    made, _ = failed
    with psycopg.connect(made.dsn) as connection:
        details = {
            detail
            for (detail,) in connection.execute(
                "SELECT body::jsonb ->> 'detail' FROM wayfare.ledger WHERE kind = 'outcome'"
            ).fetchall()
        }
    assert any("***" in detail for detail in details if detail), details


def test_the_control_api_does_not_tell_them(failed: tuple[Stage, Bad]) -> None:
    made, _ = failed
    answer = str(made.told())
    assert "leaky" in answer
    assert SECRET not in answer
    assert ADDRESS not in answer
    for process in (made.workers[0], made.serve):
        assert process is not None
        metrics = web.get(f"{process.url}/metrics").text
        assert SECRET not in metrics
        assert ADDRESS not in metrics


@pytest.mark.parametrize("turn", ["raise", "reject", "refuse"])
def test_a_hosts_answer_has_neither_of_them(failed: tuple[Stage, Bad], turn: str) -> None:
    _, host = failed
    host.folder.switch(turn)
    with httpx.Client(base_url=host.url, timeout=10) as client:
        body: dict[str, Any] = {
            "send_key": f"by-hand-{turn}",
            "customer": "anna",
            "channel": host.channel,
            "site": "east",
            "epoch": 1,
            "attempt": 1,
            "remaining": 1.0,
            "clock": client.get("/v1/clock").headers["Wayfare-Clock"],
            "payload": {"text": "hello"},
            "address": ADDRESS,
        }
        answer = client.post("/v1/send", json=body)
    assert answer.status_code in (422, 500, 503)
    assert SECRET not in answer.text
    assert ADDRESS not in answer.text
