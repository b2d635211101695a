"""What is counted of channels' sends is read by the indexes of what is open."""

from __future__ import annotations

import psycopg

from wayfare_engine.store import channel_reports
from wayfare_engine.store.channel_reports import Standing
from wayfare_engine.store.migrate import migrate


def test_counting_reads_what_is_open_and_not_the_whole_outbox(dsn: str) -> None:
    migrate(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO wayfare.outbox (send_key, customer_id, channel, due, attempt, "
            "outcome_attempt, outcome, dispatch_channel) "
            "SELECT 'done-' || n, 'c', 'bank/sms', now(), 1, 1, 'Accepted', 'bank/sms' "
            "FROM generate_series(1, 20000) n"
        )
        rows = [
            ("waits", "bank/sms", 0, 0, None, None),
            ("not-taken", "bank/sms", 1, 1, "NotAccepted", "bank/sms"),
            ("flies", "bank/push", 1, 0, None, "bank/push"),
            ("unknown", "bank/push", 1, 1, "Unknown", "bank/push"),
        ]
        connection.cursor().executemany(
            "INSERT INTO wayfare.outbox (send_key, customer_id, channel, due, attempt, "
            "outcome_attempt, outcome, dispatch_channel) "
            "VALUES (%s, 'c', %s, now(), %s, %s, %s, %s)",
            rows,
        )
        connection.execute("ANALYZE wayfare.outbox")
        assert channel_reports.standings_now(connection) == {
            "bank/sms": Standing(waiting=2),
            "bank/push": Standing(in_flight=1, unknown=1),
        }
        for query in (channel_reports.STANDINGS, channel_reports.UNKNOWN):
            plan = connection.execute(f"EXPLAIN {query}").fetchall()
            assert not any("Seq Scan on outbox" in line for (line,) in plan), plan
