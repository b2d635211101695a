"""Objects that copy wrapped keys between sites: `keys/<batch>`, lines of JSON.

They are in the store before any row that needs them commits, and are no part of journal or
snapshots: erasing rewrites one, which the chain does not notice.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import msgspec
from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.objectstore.paths import KEYS

_purge_point = crash_point("privacy.purge", "a key is gone here and still in an object")
_purged_point = crash_point("privacy.purged", "the object is rewritten, and the purge is pending")


class WrappedKey(NamedTuple):
    """A row of the key table."""

    kid: bytes
    customer_id: str
    wrapped: bytes


def path(batch: str) -> str:
    """Where a batch is in the store."""
    return f"{KEYS}{batch}"


def encode(keys: Iterable[WrappedKey]) -> bytes:
    """The object's bytes; without a key they are always fewer."""
    return b"".join(
        msgspec.json.encode([_text(k.kid), k.customer_id, _text(k.wrapped)]) + b"\n" for k in keys
    )


def decode(body: bytes) -> list[WrappedKey]:
    """The keys of an object."""
    found = []
    for line in body.splitlines():
        kid, customer, wrapped = msgspec.json.decode(line, type=tuple[str, str, str])
        found.append(WrappedKey(base64.b64decode(kid), customer, base64.b64decode(wrapped)))
    return found


def add(connection: Connection[Any], batch: str | None, keys: Iterable[WrappedKey]) -> None:
    """Put keys into the key table; those that are there already stay, erased customers' are not
    taken."""
    connection.cursor().executemany(
        "INSERT INTO wayfare.customer_keys (kid, customer_id, wrapped, batch) "
        "SELECT %s, %s, %s, %s WHERE NOT EXISTS "
        "(SELECT FROM wayfare.erased WHERE customer_id = %s) ON CONFLICT DO NOTHING",
        [(k.kid, k.customer_id, k.wrapped, batch, k.customer_id) for k in keys],
    )


def sync(connection: Connection[Any], store: ObjectStore) -> int:
    """Bring the keys that the other site made, and drop those that it destroyed; returns how many
    objects were read. Call it before rows that may need them are used.

    An erased customer's key that an object still has is noted for `purge`.
    """
    known = dict(connection.execute("SELECT name, size FROM wayfare.key_batches").fetchall())
    read = 0
    for listed in store.list(KEYS):
        name = listed.path.removeprefix(KEYS)
        if known.get(name) == listed.size:
            continue
        body = store.get(listed.path)
        if body is None:
            continue
        keys = decode(body)
        with connection.transaction():
            connection.execute(
                "DELETE FROM wayfare.customer_keys WHERE batch = %s AND kid <> ALL(%s)",
                (name, [k.kid for k in keys]),
            )
            add(connection, name, keys)
            connection.execute(
                "INSERT INTO wayfare.key_purges (batch, kid) SELECT %s, kid FROM "
                "unnest(%s::bytea[], %s::text[]) AS held (kid, customer_id) "
                "WHERE customer_id IN (SELECT customer_id FROM wayfare.erased) "
                "ON CONFLICT DO NOTHING",
                (name, [k.kid for k in keys], [k.customer_id for k in keys]),
            )
            _seen(connection, name, len(body))
        read += 1
    return read


def purge(connection: Connection[Any], store: ObjectStore) -> int:
    """Take destroyed keys out of the store's objects; returns how many objects were rewritten.

    Only the site that may act calls it. Interrupted, it is finished by the next call. Raises
    StoreProblem or StoreUnavailable; the purge stays pending then.
    """
    pending = connection.execute(
        "SELECT batch, array_agg(kid) FROM wayfare.key_purges GROUP BY batch ORDER BY batch"
    ).fetchall()
    for batch, kids in pending:
        _rewrite(connection, store, batch, set(map(bytes, kids)))
    return len(pending)


def _rewrite(
    connection: Connection[Any], store: ObjectStore, batch: str, kids: Collection[bytes]
) -> None:
    body = store.get(path(batch))
    left = [k for k in decode(body or b"") if k.kid not in kids]
    fresh = encode(left)
    _purge_point()
    if body is not None and fresh != body:
        store.put(path(batch), fresh)
    _purged_point()
    with connection.transaction():
        connection.execute(
            "DELETE FROM wayfare.key_purges WHERE batch = %s AND kid = ANY(%s)",
            (batch, list(kids)),
        )
        _seen(connection, batch, len(fresh))


def _seen(connection: Connection[Any], name: str, size: int) -> None:
    connection.execute(
        "INSERT INTO wayfare.key_batches (name, size) VALUES (%s, %s) "
        "ON CONFLICT (name) DO UPDATE SET size = excluded.size",
        (name, size),
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
