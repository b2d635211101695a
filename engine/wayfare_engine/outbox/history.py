"""What the ledger has of one send, for people."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from wayfare_engine.ledger import Kind

_ROWS = """
SELECT o.customer_id, o.intent_id,
    array_remove(ARRAY[o.intent_id, o.dispatch_id, o.outcome_id, r.row_id], NULL)
FROM wayfare.outbox o LEFT JOIN wayfare.rulings r USING (send_key) WHERE o.send_key = %s
"""
_THESE = "SELECT id, at, site, epoch, kind, body FROM wayfare.ledger WHERE id = ANY(%s)"
# The ledger has no index by customer: it is read from the intent on.
_ALL = """
SELECT id, at, site, epoch, kind, body FROM wayfare.ledger
WHERE id >= %s AND customer_id = %s AND kind = ANY(%s) AND body->>'send_key' = %s
"""
_KINDS = [k.value for k in (Kind.INTENT, Kind.DISPATCH, Kind.OUTCOME, Kind.RECEIPT, Kind.RULING)]
#: What is written to a customer is nobody's to read here.
_HIDDEN = ("send_key", "payload")


def history(connection: Connection[Any], send_key: str, *, whole: bool) -> list[dict[str, Any]]:
    """Its rows, the oldest first, as far as they are here: those that stand (its intent, the last
    dispatch, the outcome, the last ruling), or the `whole` of them, for which the ledger is read
    from the intent on. Raises psycopg.Error."""
    found = connection.execute(_ROWS, (send_key,)).fetchone()
    if found is None:
        return []
    customer, intent, ids = found
    rows = connection.execute(_THESE, (ids,)).fetchall()
    if whole and intent is not None:
        rows += connection.execute(_ALL, (intent, customer, _KINDS, send_key)).fetchall()
    return [
        {"at": at, "site": site, "epoch": epoch, "kind": kind}
        | {name: value for name, value in body.items() if name not in _HIDDEN}
        for _, at, site, epoch, kind, body in sorted(
            {row[0]: row for row in rows}.values(), key=lambda row: (row[1], row[0])
        )
    ]
