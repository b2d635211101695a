"""Neither a channel's secrets nor a customer's address get anywhere by a failure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from tests.misbehaving.stage import Bad, Stage, stage
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
        retry = {"initialDelay": "100ms", "attempts": 2}
        made.publish(made.way(host, retry=retry), made.way(away, retry=retry))
        for turn in _TURNS:
            for bad in (host, away):
                bad.folder.switch(turn)
                made.plan_sends(bad.channel, 8, f"turn-{turn}", payload=PAYLOAD)

            def met(count: int = 8) -> bool:
                return len({*host.folder.keys("begun")}) >= count

            until(met, seconds=30, what=f"hand-overs: {turn}")
            _ask_all(made)
        for bad in (host, away):
            bad.folder.switch("")
        until(made.ended, seconds=90, what="every send ended", every=0.2)
        yield made, host


def _ask_all(made: Stage) -> None:
    """Have everything that reports do so while there is something to tell."""
    made.decide()
    made.told()


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
            "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'wayfare' AND c.relkind IN ('r', 'p') AND a.attnum > 0 "
            "AND NOT a.attisdropped"
        ).fetchall()
        assert set(columns) >= _CONTENT
        for table, column in columns:
            where = sql.SQL("")
            if (table, column) == ("ledger", "body"):
                where = sql.SQL("AND kind <> 'intent'")
            for hidden in (SECRET, ADDRESS):
                if hidden == ADDRESS and (table, column) == ("outbox", "payload"):
                    continue
                found = connection.execute(
                    sql.SQL("SELECT count(*) FROM {} WHERE position(%s in {}::text) > 0 {}").format(
                        sql.Identifier("wayfare", table), sql.Identifier(column), where
                    ),
                    (hidden,),
                ).fetchone()
                assert found == (0,), f"{table}.{column} has {hidden}"


def test_outcomes_and_reports_say_what_happened_all_the_same(failed: tuple[Stage, Bad]) -> None:
    made, _ = failed
    with psycopg.connect(made.dsn) as connection:
        details = {
            detail
            for (detail,) in connection.execute(
                "SELECT convert_from(body, 'UTF8')::jsonb ->> 'detail' FROM wayfare.ledger "
                "WHERE kind = 'outcome'"
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
        metrics = httpx.get(f"{process.url}/metrics").text
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
