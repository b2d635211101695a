"""The key table: a data key for each customer who has something sensitive."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from psycopg import Connection

from wayfare_engine.crashpoints import crash_point
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.privacy import batches
from wayfare_engine.privacy.batches import WrappedKey
from wayfare_engine.privacy.masters import KEY_BYTES, MasterKeys

#: Customers in an object of keys: what one erasure rewrites, at most 2 MB.
BATCH = 10_000

_make_point = crash_point("privacy.keys.make", "new keys are made and nowhere yet")
_stored_point = crash_point("privacy.keys.stored", "new keys are in the store only")
_made_point = crash_point("privacy.keys.made", "new keys are in both, and no row needs them yet")


class CustomerKeys:
    """Keys as one piece of work needs them; opened ones are kept in memory for as long.

    `connection` is in autocommit mode: keys commit before the rows that need them.
    """

    def __init__(
        self,
        connection: Connection[Any],
        store: ObjectStore | None,
        masters: MasterKeys,
        *,
        ids: Callable[[], uuid.UUID],
    ) -> None:
        self._connection = connection
        self._store = store
        self._masters = masters
        self._ids = ids
        self._by_kid: dict[bytes, bytes | None] = {}

    def nonce(self) -> bytes:
        """12 random bytes."""
        return self._masters.random(12)

    def erased(self, customers: Sequence[str]) -> frozenset[str]:
        """Those of `customers` that were erased: nothing sensitive is kept of them ever again."""
        found = self._connection.execute(
            "SELECT customer_id FROM wayfare.erased WHERE customer_id = ANY(%s)",
            (list(customers),),
        ).fetchall()
        return frozenset(customer for (customer,) in found)

    def for_sealing(self, customers: Sequence[str]) -> dict[str, tuple[bytes, bytes]]:
        """(kid, key) of each customer; made where there is none, in the store first.

        None is made for erased customers. Raises NoMasterKey, StoreProblem, StoreUnavailable.
        """
        found: dict[str, tuple[bytes, bytes]] = {}
        gone = self.erased(customers)
        for kid, customer, wrapped in self._connection.execute(
            "SELECT kid, customer_id, wrapped FROM wayfare.customer_keys "
            "WHERE customer_id = ANY(%s)",
            (list(customers),),
        ).fetchall():
            found[customer] = (bytes(kid), self._masters.unwrap(bytes(kid), bytes(wrapped)))
        missing = iter(sorted({c for c in customers if c not in found and c not in gone}))
        while some := list(islice(missing, BATCH)):
            found |= self._make(some)
        return found

    def key_of(self, kid: bytes) -> bytes | None:
        """A key by its id, or None when it is gone. Raises NoMasterKey."""
        if kid not in self._by_kid:
            self.look_up([kid])
        return self._by_kid[kid]

    def look_up(self, kids: Iterable[bytes]) -> None:
        """Read many keys at once, for `key_of`."""
        wanted = [kid for kid in set(kids) if kid not in self._by_kid]
        if not wanted:
            return
        self._by_kid |= dict.fromkeys(wanted)
        for kid, wrapped in self._connection.execute(
            "SELECT kid, wrapped FROM wayfare.customer_keys WHERE kid = ANY(%s)", (wanted,)
        ).fetchall():
            self._by_kid[bytes(kid)] = self._masters.unwrap(bytes(kid), bytes(wrapped))

    def _make(self, customers: Sequence[str]) -> dict[str, tuple[bytes, bytes]]:
        made = {c: (self._masters.random(16), self._masters.random(KEY_BYTES)) for c in customers}
        rows = [WrappedKey(k, c, self._masters.wrap(k, key)) for c, (k, key) in made.items()]
        batch = None if self._store is None else self._ids().hex
        _make_point()
        if self._store is not None and batch is not None:
            body = batches.encode(rows)
            self._store.put_if_absent(batches.path(batch), body)
            _stored_point()
            with self._connection.transaction():
                batches.add(self._connection, batch, rows)
                self._connection.execute(
                    "INSERT INTO wayfare.key_batches (name, size) VALUES (%s, %s)",
                    (batch, len(body)),
                )
        else:
            batches.add(self._connection, None, rows)
        _made_point()
        return made
