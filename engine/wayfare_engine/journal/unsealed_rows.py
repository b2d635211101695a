"""Rows of this database's ledger that are in no segment, as far as the database knows.

What is sealed and what is not stands in the same snapshot as the rows and their effects, so within
one REPEATABLE READ transaction the answer is exact for what that transaction sees.
"""

from __future__ import annotations

from typing import Any, LiteralString

from psycopg import Connection

from wayfare_engine.journal.positions import Chain

# Of chains that are sealed here, what is behind the last sealed transaction; of any other that
# something is here of, everything, unless it came from its chain. Rows of a recovered tail count
# until the tables were made from the chains alone.
UNSEALED_IDS: LiteralString = """
SELECT l.site, l.epoch, l.id FROM wayfare.sealed_epochs c
CROSS JOIN LATERAL (SELECT coalesce((SELECT i.to_tx FROM wayfare.seal_intents i
    WHERE i.site = c.site AND i.epoch = c.epoch AND i.sealed_at IS NOT NULL
    ORDER BY i.first DESC LIMIT 1), '0'::xid8) AS tx) sealed
JOIN wayfare.ledger l ON l.site = c.site AND l.epoch = c.epoch AND l.tx > sealed.tx
WHERE NOT EXISTS (SELECT FROM wayfare.settled_rows s WHERE s.id = l.id)
AND NOT EXISTS (SELECT FROM wayfare.discarded_rows d WHERE d.id = l.id)
AND NOT EXISTS (SELECT FROM wayfare.recovered_tails r WHERE r.site = l.site AND r.epoch = l.epoch
    AND (r.rebuilt OR EXISTS (SELECT FROM wayfare.rebuild WHERE step = 'Replaying')))
UNION ALL
SELECT l.site, l.epoch, l.id FROM wayfare.ledger l
WHERE NOT EXISTS (SELECT FROM wayfare.sealed_epochs c
    WHERE c.site = l.site AND c.epoch = l.epoch)
AND NOT EXISTS (SELECT FROM wayfare.chain_positions p
    WHERE p.site = l.site AND p.epoch = l.epoch)
AND NOT EXISTS (SELECT FROM wayfare.discarded_rows d WHERE d.id = l.id)
"""


def unsealed_rows(connection: Connection[Any]) -> dict[Chain, int]:
    """How many rows of each chain; chains without any are not there. Rows that a person gave up
    (`wayfare ledger rebuild --discard-unsealed`) change nothing any more and do not count."""
    found = connection.execute(
        f"SELECT site, epoch, count(*) FROM ({UNSEALED_IDS}) u GROUP BY 1, 2"  # noqa: S608
    ).fetchall()
    return {(site, epoch): count for site, epoch, count in found}


def stranded_rows(connection: Connection[Any], chain: Chain, *, at_seq: int) -> int:
    """How many rows that this database wrote under a chain are not among its `at_seq` rows, where
    it was closed. A segment that was put and not marked as sealed is among them."""
    row = connection.execute(
        "SELECT count(*) FROM wayfare.ledger l WHERE l.site = %(site)s AND l.epoch = %(epoch)s "
        "AND EXISTS (SELECT FROM wayfare.sealed_epochs c "
        "  WHERE c.site = l.site AND c.epoch = l.epoch) "
        "AND l.tx > coalesce((SELECT i.to_tx FROM wayfare.seal_intents i "
        "  WHERE i.site = %(site)s AND i.epoch = %(epoch)s AND i.last <= %(at)s "
        "  ORDER BY i.first DESC LIMIT 1), '0'::xid8) "
        "AND NOT EXISTS (SELECT FROM wayfare.settled_rows s WHERE s.id = l.id) "
        "AND NOT EXISTS (SELECT FROM wayfare.discarded_rows d WHERE d.id = l.id)",
        {"site": chain[0], "epoch": chain[1], "at": at_seq},
    ).fetchone()
    assert row is not None, "an aggregate has one row"
    return int(row[0])
