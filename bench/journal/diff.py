"""Finding the one row in which two sites differ, by their digests.

`diff_seconds`: from two kept digests to the differing key with both rows, of the best of five.
`diff_bytes` and `diff_exchanges`: what was read of both digests. `digest_seconds`: taking one.
The rows are of the real mix of tables in the proportions of a bank's day, half of them in the
widest one.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

ROWS = 5_000_000

# Keys are hashes where they are hashes in production, so that rows lie in no order.
_FILL = """
INSERT INTO wayfare.outbox (send_key, customer_id, intent_epoch, intent_id, planned_at, instance,
    journey, node, visit, channel, due, guard, payload, attempt, dispatch_epoch, dispatch_id,
    dispatched_at, dispatch_site, dispatch_channel, dispatch_guard)
SELECT encode(sha256(i::text::bytea), 'hex'), 'C' || lpad((i % 1000000)::text, 9, '0'), 1,
    md5(i::text)::uuid, at, md5('i' || i), 'journey-' || i % 200, 'send', 1, 'sms', at,
    'Journaled', '{"template":"t-1"}', 1, 1, md5('d' || i)::uuid, at, 'east', 'sms', 'Journaled'
FROM generate_series(1, %(rows)s / 2) i,
    LATERAL (SELECT timestamptz '2026-11-01' + i * interval '1 ms' AS at) a;
INSERT INTO wayfare.counters
SELECT 'C' || lpad(i::text, 9, '0'), 'journey-' || i % 200, '2026-11-23', i % 5
FROM generate_series(1, %(rows)s / 4) i;
INSERT INTO wayfare.journey_instances
SELECT md5(i::text), i % 5, 1, md5(i::text)::uuid, 'C' || lpad((i % 1000000)::text, 9, '0'),
    'journey-' || i % 200, 'wait', 1, 'Waiting', '', timestamptz '2026-11-01' + i * interval '1 ms'
FROM generate_series(1, %(rows)s / 4) i;
"""
_CHANGE = (
    "UPDATE wayfare.outbox SET attempt = 2 WHERE send_key = encode(sha256('4711'::bytea), 'hex')"
)


def measure(scale: float = 1.0) -> dict[str, Any]:
    """At scale 1.0 five million rows at each site; one differs."""
    from tests.servers.postgresql import running_postgresql

    rows = max(40_000, int(ROWS * scale))
    with tempfile.TemporaryDirectory(prefix="wayfare-bench-") as folder, running_postgresql() as pg:
        dsn = pg.database()
        kept = [Path(folder) / name for name in ("east.digest", "west.digest")]
        with psycopg.connect(dsn, autocommit=True) as connection:
            for statement in _FILL.replace("%(rows)s", str(rows)).split(";")[:-1]:
                connection.execute(statement.encode())
            connection.execute("VACUUM ANALYZE")
            seconds = _take(dsn, kept[0])
            # The other site's database is this one a row later: what a digest reads is all that
            # counts, and five million rows need not be made twice.
            connection.execute(_CHANGE.encode())
            _take(dsn, kept[1])
        found = [_find(dsn, kept) for _ in range(5)]
        size = kept[0].stat().st_size
    return {
        "diff_seconds": round(min(f["seconds"] for f in found), 4),
        "diff_bytes": found[0]["bytes"],
        "diff_exchanges": found[0]["exchanges"],
        "digest_seconds": round(seconds, 1),
        "diff": {"rows": rows, "digest_bytes_a_row": round(size / rows, 1)},
    }


def _take(dsn: str, path: Path) -> float:
    from wayfare_engine.clock import now
    from wayfare_engine.journal import digesting

    began = time.monotonic()
    with digesting.one_snapshot(dsn) as connection, path.open("wb") as file:
        digesting.take(connection, file, site="bench", clock=now)
    return time.monotonic() - began


def _find(dsn: str, kept: list[Path]) -> dict[str, float]:
    from wayfare_engine.journal import digesting
    from wayfare_engine.projections.digests import COVERED, compare
    from wayfare_engine.projections.digests.rows import find

    began = time.monotonic()
    with (
        digesting.one_snapshot(dsn) as connection,
        digesting.opened_file(kept[0]) as a,
        digesting.opened_file(kept[1]) as b,
    ):
        found = compare(a, b)
        (table,) = [t for t in found.tables if not t.equal]
        (difference,) = table.differences
        assert difference.b is not None
        row = find(connection, COVERED[table.name], [(difference.key, difference.b.ctid)])
        assert row[difference.key].columns["attempt"] == 2
    return {
        "seconds": time.monotonic() - began,
        "bytes": found.exchanged,
        "exchanges": found.exchanges,
    }
