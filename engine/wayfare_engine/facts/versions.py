"""Versions of rows that change the state of a key, given out under the key's lock.

Commit order is not the order of transaction ids, so neither decides which change is the last: the
version does. It is one more than the highest that the key's projection has, and the lock is held
until the transaction ends, so that no version is missing or given out twice. The lock comes before
the transaction has an id: who waits for it holds no sealer back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from psycopg import Connection

from wayfare_engine.facts.fact import STATES, Fact
from wayfare_engine.ledger import Kind

#: In the order of the numbers, which every writer follows: they wait, and never in a circle.
LOCK = "SELECT pg_advisory_xact_lock(number) FROM unnest(%s::bigint[]) AS given (number)"


def lock_numbers(facts: Iterable[Fact]) -> list[int]:
    """The advisory locks of all keys, in order. Two keys may share one, at no harm."""
    return sorted({_number(fact.kind, fact.key) for fact in facts if fact.key is not None})


def locks_of(keys: Iterable[tuple[Kind, tuple[str, ...]]]) -> list[int]:
    """The same locks of keys that are given by their kind and parts, in order."""
    return sorted({_number(kind, STATES[kind].joint.join(parts)) for kind, parts in keys})


def lock_keys(connection: Connection[Any], keys: Iterable[tuple[Kind, tuple[str, ...]]]) -> None:
    """Take the locks of `locks_of`. Once a transaction."""
    numbers = locks_of(keys)
    if numbers:
        connection.execute(LOCK.encode(), (numbers,))


def _number(kind: Kind, key: str) -> int:
    name = f"{kind} {key}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big", signed=True)


@cache
def highest(kind: Kind) -> str:
    """The highest version of each of some keys, as (place, version); an array a part of the key."""
    state = STATES[kind]
    arrays = ", ".join("%s::text[]" for _ in state.columns)
    names = ", ".join(f"c{i}" for i, _ in enumerate(state.columns))
    same = " AND ".join(f't."{column}" = given.c{i}' for i, column in enumerate(state.columns))
    return (
        f"SELECT given.place::int - 1, coalesce(max(t.version), 0) "  # noqa: S608
        f"FROM unnest({arrays}) WITH ORDINALITY AS given ({names}, place) "
        f"LEFT JOIN wayfare.{state.table} t ON {same} GROUP BY given.place"
    )


def by_kind(facts: Iterable[Fact]) -> dict[Kind, list[tuple[str, ...]]]:
    """The different keys of each kind that has states, as parts."""
    found: dict[Kind, dict[tuple[str, ...], None]] = {}
    for fact in facts:
        if fact.parts:
            found.setdefault(fact.kind, {})[fact.parts] = None
    return {kind: list(keys) for kind, keys in found.items()}


def turned(keys: Sequence[tuple[str, ...]]) -> tuple[list[str], ...]:
    """An array a part."""
    return tuple(list(column) for column in zip(*keys, strict=True))
