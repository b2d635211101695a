"""The locks under which versions are assigned: one a key that has a state, until the transaction
ends. Whoever reads a key's version to write the next one holds its lock."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import Connection

_SPACE = 0x57464B59  # "WFKY"
#: In the order of the locks, so that two who want several never wait in a circle.
LOCK = (
    "SELECT pg_advisory_xact_lock(%s, wanted.lock) FROM (SELECT DISTINCT hashtext(key) AS lock "
    "FROM unnest(%s::text[]) AS given (key) ORDER BY 1) AS wanted"
)


def lock_keys(connection: Connection[Any], keys: Iterable[tuple[str, ...]]) -> None:
    """Lock keys (a projection's name and the values of its key) for the rest of the transaction.

    Two keys may share a lock. Call it once a transaction. Raises psycopg.Error.
    """
    names = ["\x1f".join(key) for key in keys]
    if names:
        connection.execute(LOCK, (_SPACE, names))
