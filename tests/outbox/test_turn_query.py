"""How PostgreSQL finds whose turn it is, also before the table's first ANALYZE."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg

from tests.outbox.conftest import Outbox
from wayfare_engine.outbox import dispatch


def test_what_is_due_earlier_is_found_by_the_customer_without_statistics(outbox: Outbox) -> None:
    given: dict[str, Any] = {
        "now": datetime.now(UTC),
        "all": ["bank/sms", "bank/push"],
        "alone": False,
        "channels": ["bank/sms"],
        "limits": [500],
        "spent": [],
        "fetched": [],
        "partitions": list(range(64)),
        "busy": [],
    }
    with psycopg.connect(outbox.dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO wayfare.outbox (send_key, customer_id, channel, due, planned_at, payload, "
            "attempt, outcome_attempt) SELECT 'key-' || n, 'customer-' || n / 5, 'bank/sms', "
            "now() - interval '1 hour', now(), '{}', 0, 0 FROM generate_series(1, 20000) n"
        )
        plan = [line for (line,) in connection.execute(f"EXPLAIN {dispatch._OPEN}", given)]
    backlog = [
        line for line in plan if "using outbox_turn on" in line or "Seq Scan on outbox" in line
    ]
    assert len(backlog) == 1, "\n".join(plan)
    assert any("using outbox_turn_customer" in line for line in plan), "\n".join(plan)
