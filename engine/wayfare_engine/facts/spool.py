"""Rows that were put aside, back into the ledger: those of an epoch that this site holds again, and
of those that it held right before it, one after the other.

What belongs to an epoch after which another site held one stays where it is, for the merge.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import class_row

from wayfare_engine.facts.record import record
from wayfare_engine.ledger import LedgerRow, fence
from wayfare_engine.ledger.append import BATCH

_SPOOLED = """
SELECT id, site, epoch, kind, key, version, customer_id, at, body::text AS body
FROM wayfare.spooled_rows s WHERE epoch = ANY(%s) ORDER BY id LIMIT %s
"""
_ANY = "SELECT FROM wayfare.spooled_rows WHERE epoch = ANY(%s) LIMIT 1"
_OWN = "SELECT epoch FROM wayfare.epochs_taken WHERE step = 'Acting' AND epoch < %s"
_THERE = "SELECT id FROM wayfare.ledger WHERE id = ANY(%s)"
_TAKEN = "DELETE FROM wayfare.spooled_rows WHERE id = ANY(%s)"


def put_back(dsn: str, epoch: int) -> int:
    """Write them under this epoch, with what follows from them; how many there were. Two that try
    at once wait for each other.

    Raises StaleEpoch when the epoch is not held here (any more), psycopg.Error, and what makes a
    row that cannot be written: it and those after it stay where they are.
    """
    done = 0
    with psycopg.connect(dsn, autocommit=True, application_name="wayfare-spool") as connection:
        held = _held_in_a_row(connection, epoch)
        while connection.execute(_ANY, (held,)).fetchone() is not None:
            with connection.transaction():
                fence.enter(connection, epoch)
                connection.execute("LOCK TABLE wayfare.spooled_rows IN SHARE ROW EXCLUSIVE MODE")
                with connection.cursor(row_factory=class_row(LedgerRow)) as cursor:
                    rows = cursor.execute(_SPOOLED, (held, BATCH)).fetchall()
                ids = [row.id for row in rows]
                there = {row_id for (row_id,) in connection.execute(_THERE, (ids,)).fetchall()}
                missing = [row._replace(epoch=epoch) for row in rows if row.id not in there]
                if missing:
                    record(connection, missing)
                connection.execute(_TAKEN, (ids,))
            done += len(rows)
    return done


def _held_in_a_row(connection: Connection[Any], epoch: int) -> list[int]:
    """The epoch, and the ones below it that this site held without another's in between: it took
    its own back (see `recovery/tasks/taking_back.py`)."""
    own = {taken for (taken,) in connection.execute(_OWN, (epoch,)).fetchall()}
    found = [epoch]
    while found[-1] - 1 in own:
        found.append(found[-1] - 1)
    return found
