"""Which tables a snapshot holds: all that follow from the chains, and no others.

A test compares both lists with the schema, so a new table cannot be forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql

from wayfare_engine.projections import PROJECTIONS

#: Tables of rows that chains refer to by blob or keep elsewhere, with the order of their keys.
BESIDE: dict[str, tuple[str, ...]] = {
    "customer_schema": ("name",),
    "customer_version": ("single",),
    "id_blocks": ("first",),
    "segment_memberships": ("key",),
}

#: Tables of this database alone, why each is not in a snapshot.
LOCAL: dict[str, str] = {
    "api_keys": "secrets of this site's engine",
    "blob_copies": "a local copy of what is in the store",
    "blobs": "a local copy of what is in the store",
    "channel_descriptions": "hosts of this site say it again",
    "channel_reports": "what workers of this site say of now",
    "chain_positions": "the manifest's watermark",
    "compared_checkpoints": "what comparisons of this database said",
    "customer_keys": "keys are no part of journal or snapshots; objects of their own copy them",
    "discarded_rows": "rows of this database that were given up",
    "epochs_taken": "what this site took, and why",
    "event_repeats": "for a day; catch-up notes those that it finds in the journal",
    "history_positions": "what of history was brought back here",
    "key_batches": "which objects of keys were read here",
    "key_purges": "objects of keys that are to be rewritten",
    "ledger": "facts; history brings them back",
    "plan_acknowledgements": "pods of this site",
    "plans": "the operator publishes them",
    "pulled": "who has which offer at this site; the other site finds such sends in doubt",
    "pullers": "who asks at this site",
    "rebuild": "a rebuild of this database that is under way",
    "recovered_tails": "which of this disk's own rows were recovered",
    "restore": "a restore of this database that is under way",
    "schema_revision": "the manifest's revision",
    "seal_cuts": "sealing of this database",
    "seal_intents": "sealing of this database",
    "sealed_epochs": "sealing of this database",
    "sealed_instance": "sealing of this database",
    "sealing_problem": "sealing of this database",
    "senders": "processes of this site",
    "send_holds": "pauses, not facts",
    "settled_rows": "sealing of this database",
    "site_epoch": "which epoch this database writes under",
    "spooled_rows": "facts that are not in the ledger yet",
    "task_claims": "which task of a run may write to this database",
    "task_runs": "which run's tasks may write to this database",
    "unmatched_receipts": "what was said at this site, and matches no send that is known here",
    "wanted_plan": "the operator publishes it",
}


@dataclass(frozen=True)
class Table:
    """A table and the columns that it has now, in their order; `key` is what its rows are sorted
    by, so that its index is built from one end to the other."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


def tables(connection: Connection[Any]) -> list[Table]:
    """What a snapshot of this schema holds."""
    keys = {p.name: tuple(column.name for column in p.key) for p in PROJECTIONS} | BESIDE
    found = connection.execute(
        "SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) "
        "FROM information_schema.columns WHERE table_schema = 'wayfare' "
        "AND table_name = ANY(%s) AND is_generated = 'NEVER' GROUP BY table_name",
        (list(keys),),
    ).fetchall()
    return [Table(name, tuple(columns), keys[name]) for name, columns in sorted(found)]


def empty(connection: Connection[Any]) -> None:
    """Leave in these tables what migrations put there; in the caller's transaction."""
    names = [sql.Identifier("wayfare", table.name) for table in tables(connection)]
    connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(names)))
    connection.execute("INSERT INTO wayfare.customer_version VALUES (true, 0, 0)")
