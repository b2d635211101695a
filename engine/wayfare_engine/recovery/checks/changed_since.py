"""Which keys of which tables rows of the chains changed after a checkpoint.

A database that stands further on than a checkpoint differs from it, and rightly so, in the keys
that rows since then speak of. They are found by folding those rows, and hashed as digests hash
them; every other key has to be as the checkpoint says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg import Connection, sql

from wayfare_engine.journal.chain import chains, fetch, objects, opened
from wayfare_engine.journal.positions import Chain
from wayfare_engine.journal.segment import Closed
from wayfare_engine.ledger import Kind
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.projections.columns import given
from wayfare_engine.projections.declared import Column
from wayfare_engine.projections.prepared import Key, Prepared
from wayfare_engine.projections.preparing import add_inner, add_rows, add_table
from wayfare_engine.recovery.checks.own_rows import own_rows

_AT_ONCE: Final = 20_000
_ID_BLOCK: Final = (Column("site", "text"), Column("epoch", "bigint"), Column("first", "bigint"))
#: What a load replaces whole.
_OF_LOADS: Final = ("customer_schema", "customer_version")


@dataclass
class ChangedSince:
    """`keys`: by table, the hashes of keys that may differ; `whole`: tables that may differ in any
    key. `removing`: something was erased or is past its retention since, so that rows went whose
    keys nobody knows any more. `rows`: so many rows were folded."""

    rows: int = 0
    keys: dict[str, set[str]] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()
    removing: bool = False

    def explains(self, table: str, key: str) -> bool:
        """Whether this key may differ from the checkpoint."""
        return table in self.whole or key in self.keys.get(table, ())


def changed_since(
    connection: Connection[Any],
    store: ObjectStore,
    wanted: Mapping[Chain, int],
    here: Mapping[Chain, int],
) -> ChangedSince:
    """By the rows of each chain above `wanted` up to `here`, and by this database's own that are
    in none. The connection hashes as `hashing.prepare` has it.

    Raises ChainProblem, NewerFormat, RowDamaged, StoreProblem, StoreUnavailable, psycopg.Error.
    """
    into = Prepared()
    for chain, upto in here.items():
        after = wanted.get(chain, 0)
        if upto <= after:
            continue
        for path, data in fetch(store, objects(store, *chain, after=after)):
            found = opened(path, data, digest_rows=False)
            if isinstance(found, Closed) or found.header.first > upto:
                break
            rows = found.rows.slice(0, upto - found.header.first + 1)
            add_table(into, rows, site=chain[0], epoch=chain[1])
    for some in own_rows(connection, chains(store)):
        add_rows(into, some)
    add_inner(into, list(into.inner.values()))
    loaded = any(blob.kind == Kind.LOAD for blob in into.blobs)
    changed = ChangedSince(
        rows=into.rows,
        whole=frozenset(_OF_LOADS) if loaded else frozenset(),
        removing=bool(into.folds["erased"].states or into.folds["retention_cutoffs"].states),
    )
    for name, folds in into.folds.items():
        changed.keys[name] = _hashes(connection, folds.projection.key, list(folds.states))
    blocks: list[Key] = [(site, epoch, first) for first, _, site, epoch in into.id_blocks]
    changed.keys["id_blocks"] = _hashes(connection, _ID_BLOCK, blocks)
    return changed


def _hashes(
    connection: Connection[Any], columns: Sequence[Column], keys: Sequence[Key]
) -> set[str]:
    """The keys' hashes, as `hashing.key_hash` makes them of rows of a table."""
    names = [sql.Identifier(f"c{place}") for place in range(len(columns))]
    query = sql.SQL(
        "SELECT encode(substr(sha256(record_send(ROW({names}))), 1, 16), 'hex') "
        "FROM unnest({arrays}) AS k ({names})"
    ).format(
        names=sql.SQL(", ").join(names),
        arrays=sql.SQL(", ").join(sql.SQL(f"%s::{column.type}[]") for column in columns),
    )
    found: set[str] = set()
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        arrays = [given(c, [key[place] for key in some]) for place, c in enumerate(columns)]
        found.update(row[0] for row in connection.execute(query, arrays).fetchall())
    return found
