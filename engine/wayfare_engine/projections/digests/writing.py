"""Making a digest: entries are spooled by the first byte of their key's hash, then sorted.

Memory does not grow with the tables: a few parts of a table, and one 256th of its entries.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from typing import IO, Any, Final

import numpy as np
from psycopg import Connection

from wayfare_engine.projections.digests.covered import COVERED, Covered
from wayfare_engine.projections.digests.hashing import entries
from wayfare_engine.projections.digests.layout import (
    ENTRY,
    LOWER,
    NODE,
    UPPER,
    Array,
    Document,
    TableDigest,
    encode_document,
    nodes_over,
    summed,
)

#: Entries that are sorted by their first byte at once: 19 MB.
_SPOOLED: Final = 500_000
#: Told of `(table, pages read, pages in all)`.
Progress = Callable[[str, int, int], None]


def write(
    connection: Connection[Any],
    into: IO[bytes],
    document: Callable[[tuple[TableDigest, ...]], Document],
    *,
    progress: Progress | None = None,
) -> Document:
    """Write the digest of all covered tables as the connection's transaction sees them.

    `hashing.prepare` was called on the session; `document` makes the document from the tables'
    parts. Temporary files take 76 bytes a row. Raises psycopg.Error, OSError.
    """
    made: list[TableDigest] = []
    with tempfile.TemporaryFile() as body:
        for table in COVERED.values():
            made.append(_table(connection, table, body, progress))
        whole = document(tuple(made))
        into.write(encode_document(whole))
        body.seek(0)
        shutil.copyfileobj(body, into, 1 << 20)
    return whole


def rewrite(written: IO[bytes], into: IO[bytes], document: Document) -> None:
    """A digest that was written, with another document over the same tables."""
    written.seek(0)
    written.readline()
    into.write(encode_document(document))
    shutil.copyfileobj(written, into, 1 << 20)


def _table(
    connection: Connection[Any], table: Covered, body: IO[bytes], progress: Progress | None
) -> TableDigest:
    at = body.tell()
    lower: list[Array] = []
    rows = 0
    with tempfile.TemporaryFile() as file:
        spool = _Spool(file)
        for done, pages, some in entries(connection, table):
            spool.add(some)
            if progress is not None:
                progress(table.name, done, pages)
        for some in spool.in_order():
            body.write(some.tobytes())
            ones = np.ones(len(some), np.uint64)
            prefixes = some["k1"].astype(np.uint64) >> np.uint64(64 - LOWER)
            lower.append(nodes_over(prefixes, ones, some["r1"], some["r2"], rows))
            rows += len(some)
    nodes = np.concatenate(lower) if lower else np.zeros(0, NODE)
    prefixes = nodes["prefix"] >> np.uint32(LOWER - UPPER)
    upper = nodes_over(prefixes, nodes["rows"], nodes["s1"], nodes["s2"], 0)
    body.write(nodes.tobytes())
    body.write(upper.tobytes())
    counted, digest = summed(upper)
    assert counted == rows, "every entry is under a node"
    return TableDigest(table.name, table.columns, rows, digest, at, len(nodes), len(upper))


class _Spool:
    """Entries in a file, in runs that are each ordered by the first byte of the key's hash."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._waiting: list[Array] = []
        self._count = 0
        self._runs: list[Array] = []  # of each run, where each of the 256 begins, in entries

    def add(self, some: Array) -> None:
        self._waiting.append(some)
        self._count += len(some)
        if self._count >= _SPOOLED:
            self._flush()

    def in_order(self) -> Iterable[Array]:
        """All entries, a 256th at a time, each in the order of its keys' hashes."""
        self._flush()
        for first in range(1 << UPPER):
            parts = [self._part(run[first], run[first + 1]) for run in self._runs]
            whole = _joined(parts)
            if len(whole):
                yield whole[np.lexsort((whole["k2"], whole["k1"]))]

    def _flush(self) -> None:
        if not self._count:
            return
        whole = _joined(self._waiting)
        firsts = (whole["k1"].astype(np.uint64) >> np.uint64(64 - UPPER)).astype(np.uint8)
        order = np.argsort(firsts, kind="stable")
        counts = np.bincount(firsts, minlength=1 << UPPER)
        start = sum(int(run[-1] - run[0]) for run in self._runs)
        self._runs.append(start + np.concatenate(([0], np.cumsum(counts))))
        self._file.seek(start * ENTRY.itemsize)
        self._file.write(whole[order].tobytes())
        self._waiting, self._count = [], 0

    def _part(self, start: int, end: int) -> Array:
        self._file.seek(int(start) * ENTRY.itemsize)
        return np.frombuffer(self._file.read(int(end - start) * ENTRY.itemsize), ENTRY)


def _joined(parts: list[Array]) -> Array:
    # As bytes: joining them as they are would turn the numbers' bytes around.
    return np.frombuffer(b"".join(part.tobytes() for part in parts), ENTRY)
