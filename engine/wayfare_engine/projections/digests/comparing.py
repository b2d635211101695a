"""Finding where two digests differ: from the documents down to the entries, a few nodes a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from wayfare_engine.projections.digests.layout import Array, TableDigest
from wayfare_engine.projections.digests.problems import CannotCompare
from wayfare_engine.projections.digests.reading import Digest

#: Tables with no more rows are compared by all their entries at once: fewer exchanges.
_FEW: Final = 256


class Entry(NamedTuple):
    """A row in a digest: its hash, and where it was in its database (`(page,place)`)."""

    digest: str
    ctid: str


class Difference(NamedTuple):
    """A key, by its hash, whose row only one has, or both and not the same."""

    key: str
    a: Entry | None
    b: Entry | None


@dataclass(frozen=True)
class TableComparison:
    """One table. `differences` holds the first of them; `more` says that there are others."""

    name: str
    rows_a: int
    rows_b: int
    equal: bool
    differences: tuple[Difference, ...] = ()
    more: bool = False


@dataclass(frozen=True)
class Comparison:
    """Two digests, table by table; `exchanges` and `exchanged` (bytes) count what was read of
    both. `same_point`: both are of the same positions of the same chains and of nothing beside
    that. If not, differences may be rows on their way."""

    tables: tuple[TableComparison, ...]
    same_point: bool
    exchanges: int
    exchanged: int

    @property
    def equal(self) -> bool:
        """Whether all tables are."""
        return all(table.equal for table in self.tables)


def compare(a: Digest, b: Digest, *, limit: int = 100) -> Comparison:
    """Compare, with at most `limit` differences a table.

    Raises CannotCompare when they are not of the same tables and columns; DigestDamaged.
    """
    tables = tuple(_table(a, b, *pair, limit) for pair in _pairs(a, b))
    one, other = a.document, b.document
    return Comparison(
        tables=tables,
        same_point=one.watermark == other.watermark and not one.unsealed and not other.unsealed,
        exchanges=a.exchanges + b.exchanges,
        exchanged=a.exchanged + b.exchanged,
    )


def _pairs(a: Digest, b: Digest) -> list[tuple[TableDigest, TableDigest]]:
    ours = {table.name: table for table in a.document.tables}
    theirs = {table.name: table for table in b.document.tables}
    if ours.keys() != theirs.keys():
        names = ", ".join(sorted(ours.keys() ^ theirs.keys()))
        raise CannotCompare(a.source, b.source, f"only one of them covers {names}")
    for name, table in ours.items():
        if table.columns != theirs[name].columns:
            raise CannotCompare(
                a.source,
                b.source,
                f"{name} has not the same columns (schema revisions {a.document.revision} and "
                f"{b.document.revision}): bring both to one version",
            )
    return [(table, theirs[name]) for name, table in ours.items()]


def _table(
    a: Digest, b: Digest, ours: TableDigest, theirs: TableDigest, limit: int
) -> TableComparison:
    name, counts = ours.name, (ours.rows, theirs.rows)
    if (ours.rows, ours.digest) == (theirs.rows, theirs.digest):
        return TableComparison(name, *counts, equal=True)
    found: list[Difference] = []
    for one, other in _leaves(a, b, ours, theirs):
        for difference in _entries(one, other):
            if len(found) == limit:
                return TableComparison(name, *counts, False, tuple(found), more=True)
            found.append(difference)
    return TableComparison(name, *counts, False, tuple(found))


def _leaves(
    a: Digest, b: Digest, ours: TableDigest, theirs: TableDigest
) -> Iterator[tuple[Array, Array]]:
    """Entries of both, below each node where they differ."""
    if max(ours.rows, theirs.rows) <= _FEW:
        yield a.every_entry(ours), b.every_entry(theirs)
        return
    for above_a, above_b in _unequal(a.upper(ours), b.upper(theirs)):
        lower_a = a.lower(ours, above_a) if above_a is not None else None
        lower_b = b.lower(theirs, above_b) if above_b is not None else None
        for one, other in _unequal(lower_a, lower_b):
            yield (
                a.entries(ours, one) if one is not None else _NONE,
                b.entries(theirs, other) if other is not None else _NONE,
            )


_NONE: Final[Any] = ()


def _unequal(a: Array | None, b: Array | None) -> Iterator[tuple[Any, Any]]:
    """Pairs of nodes with the same prefix that differ; None where there is none."""
    ours = {} if a is None else {int(node["prefix"]): node for node in a}
    theirs = {} if b is None else {int(node["prefix"]): node for node in b}
    for prefix in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(prefix), theirs.get(prefix)
        if one is None or other is None or _facts(one) != _facts(other):
            yield one, other


def _facts(node: Any) -> tuple[int, int, int]:
    return int(node["rows"]), int(node["s1"]), int(node["s2"])


def _entries(a: Any, b: Any) -> Iterator[Difference]:
    ours, theirs = _by_key(a), _by_key(b)
    for key in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(key), theirs.get(key)
        if one is None or other is None or one.digest != other.digest:
            yield Difference(key, one, other)


def _by_key(entries: Any) -> dict[str, Entry]:
    found = {}
    for entry in entries:
        raw = bytes(entry.tobytes())
        place = np.frombuffer(raw[32:], np.dtype([("page", ">u4"), ("place", ">u2")]))[0]
        found[raw[:16].hex()] = Entry(
            raw[16:32].hex(), f"({int(place['page'])},{int(place['place'])})"
        )
    return found
