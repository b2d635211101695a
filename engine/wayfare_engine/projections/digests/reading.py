"""Reading a digest a few bytes at a time, and counting them.

What is read is checked against what is above it, so a damaged digest is noticed where it matters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from wayfare_engine.projections.digests.layout import (
    ENTRY,
    NODE,
    Array,
    Document,
    TableDigest,
    decode_document,
    hexadecimal,
    summed,
)
from wayfare_engine.projections.digests.problems import DigestDamaged

#: Bytes that are asked for first: a document has about 5,000.
_FIRST: Final = 8 << 10
_LONGEST: Final = 4 << 20

#: `read(start, length)`: those bytes, fewer only at the end; None when there is no such thing.
Read = Callable[[int, int], bytes | None]


class Digest:
    """A digest at `source` (for people), of which `read` gives bytes.

    `exchanges` and `exchanged` count calls of `read` and bytes that came. Raises DigestDamaged,
    NewerDigest, and what `read` raises; so do the methods.
    """

    def __init__(self, source: str, read: Read) -> None:
        self.source = source
        self.exchanges = 0
        self.exchanged = 0
        self._read = read
        line, length = b"", _FIRST
        while b"\n" not in line:
            if length > _LONGEST:
                raise DigestDamaged(source, "it begins with no document")
            more = self._bytes(len(line), length, whole=False)
            line += more
            if len(more) < length and b"\n" not in line:
                raise DigestDamaged(source, "it ends before its document does")
            length *= 4
        line = line[: line.index(b"\n") + 1]
        self.document: Document = decode_document(source, line)
        self._behind = len(line)

    def upper(self, table: TableDigest) -> Array:
        """The nodes of the upper level."""
        nodes = self._array(table.upper_at, table.upper, NODE)
        self._check(table, summed(nodes), (table.rows, table.digest))
        return nodes

    def lower(self, table: TableDigest, above: Array) -> Array:
        """The nodes below one of the upper level."""
        size = NODE.itemsize
        nodes = self._array(table.lower_at + int(above["first"]) * size, int(above["below"]), NODE)
        self._check(table, summed(nodes), _said(above))
        return nodes

    def entries(self, table: TableDigest, above: Array) -> Array:
        """The entries below a node of the lower level."""
        size = ENTRY.itemsize
        found = self._array(table.at + int(above["first"]) * size, int(above["below"]), ENTRY)
        self._check(table, _sum_of(found), _said(above))
        return found

    def every_entry(self, table: TableDigest) -> Array:
        """All entries, for a table that has few."""
        found = self._array(table.at, table.rows, ENTRY)
        self._check(table, _sum_of(found), (table.rows, table.digest))
        return found

    def _array(self, at: int, count: int, kind: np.dtype[np.void]) -> Array:
        if not count:
            return np.zeros(0, kind)
        return np.frombuffer(self._bytes(self._behind + at, count * kind.itemsize), kind)

    def _bytes(self, start: int, length: int, *, whole: bool = True) -> bytes:
        found = self._read(start, length)
        if found is None:
            raise DigestDamaged(self.source, "there is nothing")
        self.exchanges += 1
        self.exchanged += len(found)
        if whole and len(found) < length:
            raise DigestDamaged(self.source, "it ends too early")
        return found

    def _check(self, table: TableDigest, found: object, said: object) -> None:
        if found != said:
            raise DigestDamaged(self.source, f"parts of {table.name} do not sum up to the whole")


def _said(node: Array) -> tuple[int, str]:
    return int(node["rows"]), hexadecimal(int(node["s1"]), int(node["s2"]))


def _sum_of(entries: Array) -> tuple[int, str]:
    halves = (int(entries[half].sum(dtype=np.uint64)) for half in ("r1", "r2"))
    return len(entries), hexadecimal(*halves)
